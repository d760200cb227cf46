package app

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"batchterminator/batchapi"
)

// endpoint is one entry of the allow-list.
type endpoint struct {
	canonical string
	// loopback: plain http on this machine, where no token is ever sent.
	loopback bool
}

func (e endpoint) host() string {
	_, host, _ := strings.Cut(e.canonical, "://")
	return host
}

// parseEndpoints returns the allow-list in canonical form, and one error for each entry that cannot be in it.
func (s *Settings) parseEndpoints() (list []endpoint, errs []error) {
	if len(s.Batch.Endpoints) == 0 {
		return nil, []error{errors.New("none given; at least one is needed, such as https://<account>.<region>.batch.azure.com")}
	}
	for i, raw := range s.Batch.Endpoints {
		e, err := s.parseEndpoint(strings.TrimSpace(raw))
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", shown(raw, i), err))
		case slices.Contains(list, e):
			errs = append(errs, fmt.Errorf("%s: given twice", shown(raw, i)))
		default:
			list = append(list, e)
		}
	}
	return list, errs
}

// parseEndpoint leaves the judgement to package batchapi, whose client it makes and drops; nothing is called.
//
// Plain http would show a token to the network, so it is for simulators: on this machine only, and only together with a
// Service Bus emulator, which no production process is configured for.
func (s *Settings) parseEndpoint(raw string) (endpoint, error) {
	loopback := strings.HasPrefix(strings.ToLower(raw), "http://")
	if loopback && !s.ServiceBus.ConnectionString.emulator() {
		return endpoint{}, errors.New("must be https; http is for simulators on this machine, with UseDevelopmentEmulator=true in the connection string")
	}
	client, err := batchapi.NewClient(raw, unusable{}, s.clientOptions(loopback))
	if refused, ok := errors.AsType[*batchapi.ArgumentError](err); ok {
		return endpoint{}, errors.New(refused.Reason)
	}
	if err != nil {
		return endpoint{}, err
	}
	return endpoint{canonical: client.Endpoint(), loopback: loopback}, nil
}

func (s *Settings) clientOptions(loopback bool) *batchapi.ClientOptions {
	return &batchapi.ClientOptions{
		APIVersion: s.Batch.APIVersion, Scope: s.Batch.Scope, AllowLoopbackHTTP: loopback,
		// Every call under way has a connection of its own, or calls would queue where nobody times them.
		MaxConnsPerHost: s.Worker.Concurrency,
	}
}

// unusable stands in where a client is made only to be judged.
type unusable struct{ azcore.TokenCredential }

// shown names an entry without repeating what may be a secret: userinfo, a query, a pasted connection string.
func shown(raw string, i int) string {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.User != nil || strings.ContainsAny(raw, "@?#=;") {
		return fmt.Sprintf("entry %d", i+1)
	}
	return fmt.Sprintf("%q", raw)
}

// emulator tells whether the connection string is for an emulator of Service Bus.
func (s Secret) emulator() bool {
	return strings.EqualFold(s.part("UseDevelopmentEmulator"), "true")
}

// part returns one value of a connection string, "" if it has none.
func (s Secret) part(name string) string {
	for part := range strings.SplitSeq(string(s), ";") {
		if key, value, ok := strings.Cut(part, "="); ok && strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// clients returns one client for each entry, by its canonical address.
func (s *Settings) clients(list []endpoint, credential azcore.TokenCredential, transport func(string) policy.Transporter, steps func(string) []policy.Policy) (map[string]*batchapi.Client, error) {
	clients := make(map[string]*batchapi.Client, len(list))
	for _, e := range list {
		options := s.clientOptions(e.loopback)
		if steps != nil {
			options.PerRetryPolicies = steps(e.canonical)
		}
		if transport != nil {
			options.Transport = transport(e.canonical)
		}
		client, err := batchapi.NewClient(e.canonical, credential, options)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.canonical, err)
		}
		clients[e.canonical] = client
	}
	return clients, nil
}
