package app

import (
	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"batchterminator/batchapi"
	"batchterminator/worker"
)

// Services is what the settings lead to, for who looks at it instead of working.
type Services struct {
	ServiceBus worker.ServiceBus
	// Credential is nil when nothing needs one.
	Credential azcore.TokenCredential
	// Batch has one client for each endpoint of the allow-list, in its order.
	Batch []*batchapi.Client
}

// Services returns the way to every service of valid settings, without the worker. Nothing is dialled, and no token is asked
// for.
func (s *Settings) Services(d Deps) (Services, error) {
	if err := s.Validate(); err != nil {
		return Services{}, err
	}
	list, _ := s.parseEndpoints() // Validate has reported its errors
	credential, err := s.credential(list)
	if err != nil {
		return Services{}, err
	}
	clients, err := s.clients(list, credential, d.Transport, nil)
	if err != nil {
		return Services{}, err
	}
	r := Services{ServiceBus: s.serviceBus(credential, d), Credential: credential}
	for _, e := range list {
		r.Batch = append(r.Batch, clients[e.canonical])
	}
	return r, nil
}

// serviceBus is the entity, the way to it, and the credential where it is one.
func (s *Settings) serviceBus(credential azcore.TokenCredential, d Deps) worker.ServiceBus {
	b := s.ServiceBus.target()
	b.Subscription, b.Dial = s.Subscription, d.Dial
	if s.ServiceBus.Namespace != "" {
		b.Credential = credential
	}
	return b
}
