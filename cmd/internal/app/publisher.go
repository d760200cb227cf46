package app

import (
	"context"
	"net"

	"batchterminator/worker"
)

// Publisher returns a publisher to the entity. Nothing is dialled before its first use; dial is as in [Deps].
func (s ServiceBusSettings) Publisher(dial func(context.Context) (net.Conn, error)) (*worker.Publisher, error) {
	b := s.target()
	b.Dial = dial
	if s.Namespace != "" {
		credential, err := newCredential([]string{s.Namespace})
		if err != nil {
			return nil, err
		}
		b.Credential = credential
	}
	return worker.NewPublisher(b)
}
