package handler

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// Config is what a Handler needs. The zero value of a setting is not its default; [DefaultRetry] is.
type Config struct {
	// Accounts holds one account for each allow-listed endpoint, under its canonical form: scheme and host in lower case,
	// no trailing slash.
	Accounts map[string]Account
	// Default is the endpoint of requests that name none; a key of Accounts.
	Default string
	// Gate admits attempts; nil admits all.
	Gate Gate
	// Retry bounds the attempts inside one delivery.
	Retry Retry
	// NotFoundDeadLetters dead-letters a request whose task or job does not exist, instead of completing it.
	NotFoundDeadLetters bool
	// ConditionNotMetCompletes completes a request whose own condition is not met, instead of dead-lettering it.
	ConditionNotMetCompletes bool
}

// Handler turns messages into results. It is safe for concurrent use and keeps no state between messages.
type Handler struct{ config Config }

// New checks the configuration and returns a handler.
func New(config Config) (*Handler, error) {
	if config.Accounts[config.Default] == nil {
		return nil, fmt.Errorf("handler: the default endpoint %q has no account", config.Default)
	}
	if err := config.Retry.Validate(); err != nil {
		return nil, fmt.Errorf("handler: %w", err)
	}
	if config.Gate == nil {
		config.Gate = open{}
	}
	return &Handler{config: config}, nil
}

// Handle decides one delivery. It makes no call for a message that breaks the contract, and blocks for at most the
// retry budget plus one attempt. Cancel ctx with [ErrLockLost] or [ErrDraining] as its cause to interrupt it.
func (h *Handler) Handle(ctx context.Context, m Message) Result {
	request, refusal := h.decode(m)
	if refusal != nil {
		return *refusal
	}
	return h.terminate(ctx, m, request)
}

func (h *Handler) decode(m Message) (Request, *Result) {
	body, err := unwrap(m)
	if err != nil {
		return Request{}, refuse(InvalidMessage, err)
	}
	request, err := DecodeRequest(body)
	if err != nil {
		return Request{}, refuse(InvalidMessage, err)
	}
	if request.Endpoint, err = h.resolve(request.Endpoint); err != nil {
		return Request{}, refuse(EndpointNotAllowed, err)
	}
	return request, nil
}

func (h *Handler) terminate(ctx context.Context, m Message, request Request) Result {
	c := &call{account: h.config.Accounts[request.Endpoint], gate: h.config.Gate, request: request}
	c.result.Request, c.result.ClientRequestID = request, request.clientID(m.RequestIdentity)
	v, err := h.config.Retry.run(ctx, c)
	c.result.Outcome, c.result.Err = h.settings(v.Outcome), err
	return c.result
}

// settings applies the two choices an operator has over the table.
func (h *Handler) settings(o Outcome) Outcome {
	switch {
	case o == AlreadyGone && h.config.NotFoundDeadLetters:
		return NotFound
	case o == ConditionNotMet && h.config.ConditionNotMetCompletes:
		return SkippedCondition
	}
	return o
}

// resolve maps a request's endpoint to a key of the allow-list. Anything but an exact origin is refused, so that a
// message cannot make the worker send its token elsewhere (promise P6).
func (h *Handler) resolve(endpoint string) (string, error) {
	if endpoint == "" {
		return h.config.Default, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || printable(endpoint) != endpoint || u.Scheme == "" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return "", fmt.Errorf("endpoint: want https://<account>.<region>.batch.azure.com, got %s", quoted(origin(endpoint)))
	}
	canonical := strings.ToLower(u.Scheme + "://" + u.Host)
	if h.config.Accounts[canonical] == nil {
		return "", fmt.Errorf("endpoint: %s is not on the allow-list (--batch-endpoint)", quoted(endpoint))
	}
	return canonical, nil
}

// origin cuts away what may hold a password: everything up to an @.
func origin(endpoint string) string {
	return endpoint[strings.LastIndexByte(endpoint, '@')+1:]
}

func host(endpoint string) string {
	_, after, _ := strings.Cut(endpoint, "://")
	return after
}

func refuse(o Outcome, err error) *Result {
	return &Result{Outcome: o, Detail: clip(printable(err.Error()), maxDetail), Err: err}
}
