package app

import (
	"context"
	"fmt"
	"net"

	"batchterminator/batchapi"
	"batchterminator/handler"
	"batchterminator/worker"
)

// EntitySettings name a queue or a subscription for commands that look into it. They do not work on it: where the worker
// takes a default for granted a person is asked.
type EntitySettings struct {
	ServiceBus   ServiceBusSettings `embed:"" group:"Service Bus"`
	Subscription string             `group:"Service Bus" env:"SERVICEBUS_SUBSCRIPTION" placeholder:"NAME" help:"Subscription of --topic."`
}

// Validate looks at what the settings of Service Bus do not.
func (e EntitySettings) Validate() error {
	var p Problems
	p.check(e.Subscription == "" || e.ServiceBus.Topic != "", "subscription", "SERVICEBUS_SUBSCRIPTION", "needs --topic (SERVICEBUS_TOPIC) too")
	p.check(e.ServiceBus.Topic == "" || e.Subscription != "", "topic", "SERVICEBUS_TOPIC", "needs --subscription (SERVICEBUS_SUBSCRIPTION) too")
	return p.err()
}

// Entity names the queue or subscription for people.
func (e EntitySettings) Entity() string {
	b := e.ServiceBus.target()
	b.Subscription = e.Subscription
	return b.Entity()
}

func (e EntitySettings) target(dial func(context.Context) (net.Conn, error)) (worker.ServiceBus, error) {
	b := e.ServiceBus.target()
	b.Subscription, b.Dial = e.Subscription, dial
	if e.ServiceBus.Namespace != "" {
		credential, err := newCredential([]string{e.ServiceBus.Namespace})
		if err != nil {
			return b, err
		}
		b.Credential = credential
	}
	return b, nil
}

// Browser looks into the entity, or its dead-letter queue. Nothing is dialled before its first look.
func (e EntitySettings) Browser(deadLetters bool, d Deps) (*worker.Browser, error) {
	b, err := e.target(d.Dial)
	if err != nil {
		return nil, err
	}
	return worker.NewBrowser(b, deadLetters), nil
}

// DeadLetters works on the entity's dead-letter queue; to and aTopic are as in package worker.
func (e EntitySettings) DeadLetters(to string, aTopic bool, d Deps) (*worker.DeadLetters, error) {
	b, err := e.target(d.Dial)
	if err != nil {
		return nil, err
	}
	return worker.NewDeadLetters(b, to, aTopic), nil
}

// AccountSettings name Batch accounts for commands that read from them.
type AccountSettings struct {
	Endpoints  []string `name:"batch-endpoint" env:"BATCH_ENDPOINT" placeholder:"URL" help:"Batch account endpoint, as the worker has it; the first one serves requests that name none. No other host ever sees a token."`
	APIVersion string   `name:"batch-api-version" env:"BATCH_API_VERSION" placeholder:"DATE" help:"Version of the Batch REST API. Default ${api_version}."`
	Scope      string   `name:"batch-scope" env:"BATCH_SCOPE" placeholder:"SCOPE" help:"Scope of the Batch token, for endpoints outside the known clouds. Default derived from the endpoint."`
}

// settings are the worker's, of which only what is said here matters.
func (a AccountSettings) settings(e EntitySettings) *Settings {
	s := Defaults()
	s.ServiceBus, s.Subscription = e.ServiceBus, e.Subscription
	s.Batch.Endpoints, s.Batch.APIVersion, s.Batch.Scope = a.Endpoints, a.APIVersion, a.Scope
	return &s
}

// Default returns the canonical endpoint of requests that name none, "" when there is none.
func (a AccountSettings) Default(e EntitySettings) (string, error) {
	if len(a.Endpoints) == 0 {
		return "", nil
	}
	var p Problems
	list := a.settings(e).checkBatch(&p)
	if err := p.err(); err != nil {
		return "", err
	}
	return list[0].canonical, nil
}

// Inspector returns a handler to read tasks with, and what to call at its end. Nothing is dialled.
func (a AccountSettings) Inspector(e EntitySettings, d Deps) (h *handler.Handler, end func(), err error) {
	s := a.settings(e)
	if err := s.Validate(); err != nil {
		return nil, nil, err
	}
	list, _ := s.parseEndpoints() // Validate has reported its errors
	credential, err := s.credential(list)
	if err != nil {
		return nil, nil, err
	}
	clients, accounts := map[string]*batchapi.Client{}, map[string]handler.Account{}
	for _, entry := range list {
		options := s.clientOptions(entry.loopback)
		if d.Transport != nil {
			options.Transport = d.Transport(entry.canonical)
		}
		client, err := batchapi.NewClient(entry.canonical, credential, options)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", entry.canonical, err)
		}
		clients[entry.canonical], accounts[entry.canonical] = client, client
	}
	h, err = handler.New(handler.Config{Accounts: accounts, Default: list[0].canonical, Retry: s.Retry.retry()})
	return h, func() {
		for _, c := range clients {
			c.CloseIdleConnections()
		}
	}, err
}
