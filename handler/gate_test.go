package handler

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi"
)

// admission is what a gate says to one attempt. Its last one repeats.
type admission struct {
	takes   time.Duration
	refusal Outcome
	wait    time.Duration
	ok      bool
}

// observation is what a gate was told.
type observation struct {
	outcome    Outcome
	retryAfter time.Duration
}

type gate struct {
	admit    []admission
	asked    int
	observed []observation
	endpoint string
}

func (g *gate) Admit(ctx context.Context, endpoint string) (Outcome, time.Duration, bool) {
	g.asked++
	g.endpoint = endpoint
	next := g.admit[0]
	if len(g.admit) > 1 {
		g.admit = g.admit[1:]
	}
	select {
	case <-time.After(next.takes):
		return next.refusal, next.wait, next.ok
	case <-ctx.Done():
		return Throttled, 0, false
	}
}

func (g *gate) Observe(endpoint string, o Outcome, retryAfter time.Duration) {
	if endpoint != g.endpoint {
		o = Panic // a gate of another account was told
	}
	g.observed = append(g.observed, observation{o, retryAfter})
}

func gated(g Gate) func(*Config) { return func(c *Config) { c.Gate = g } }

func checkNames(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, part := range want {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want one that says %q", err, part)
		}
	}
}

// A closed gate costs no call and teaches the gate nothing; a short wait is worth holding the lock for.
func TestAClosedGateMakesNoCall(t *testing.T) {
	t.Parallel()
	for _, refusal := range []Outcome{AuthFailed, Throttled, Unavailable} {
		g := &gate{admit: []admission{{refusal: refusal, wait: time.Minute}}}
		a := &account{}
		r, took := bubble(t, a, message(""), gated(g))
		if r.Outcome != refusal || r.RetryAfter != time.Minute || r.Attempts != 0 || took != 0 || g.asked != 1 {
			t.Errorf("%v: %v, wait %v, %d attempts in %v, asked %d times", refusal, r.Outcome, r.RetryAfter, r.Attempts, took, g.asked)
		}
		if len(a.seen)+len(g.observed) != 0 || r.Detail == "" {
			t.Errorf("%v: calls %v, observed %v, detail %q", refusal, a.calls(), g.observed, r.Detail)
		}
	}
}

func TestAGateThatOpensInTimeIsWaitedFor(t *testing.T) {
	t.Parallel()
	g := &gate{admit: []admission{{refusal: Throttled, wait: 5 * time.Second}, {ok: true}}}
	a := &account{script: []answer{{call: terminate}}}
	r, took := bubble(t, a, message(""), gated(g))
	if r.Outcome != Terminated || took != 5*time.Second || r.Attempts != 1 || r.Detail != "" || r.RetryAfter != 0 {
		t.Errorf("%+v after %v", r, took)
	}
	if !slices.Equal(g.observed, []observation{{Terminated, 0}}) {
		t.Errorf("observed %v", g.observed)
	}
}

// The gate closes between two tries: what Batch said last is still what the request failed of.
func TestAGateThatClosesKeepsTheLastAnswer(t *testing.T) {
	t.Parallel()
	failure := batchError(500, "InternalError")
	g := &gate{admit: []admission{{ok: true}, {refusal: Unavailable, wait: time.Hour}}}
	a := &account{script: []answer{{call: terminate, err: failure}}}
	r, _ := bubble(t, a, message(""), gated(g))
	if r.Outcome != Unavailable || r.RetryAfter != time.Hour || a.tries() != 1 {
		t.Errorf("%v, wait %v, %d calls", r.Outcome, r.RetryAfter, a.tries())
	}
	if !errors.Is(r.Err, failure) || r.Code != "InternalError" || !strings.Contains(r.Detail, "InternalError") {
		t.Errorf("error %v, code %s, detail %q", r.Err, r.Code, r.Detail)
	}
}

// panicky is an account whose client fails in the worst way.
type panicky struct{ account }

func (*panicky) TerminateTask(context.Context, string, string, *batchapi.TerminateTaskOptions) (batchapi.TerminateTaskResponse, error) {
	panic("the client fell over")
}

// Whoever admits an attempt counts it as under way until it hears of it.
func TestTheGateIsToldOfAnAttemptThatPanics(t *testing.T) {
	t.Parallel()
	g := &gate{admit: []admission{{ok: true}}}
	h := newHandler(t, &panicky{}, gated(g))
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed: confining it is the worker's part")
			}
		}()
		h.Handle(t.Context(), message(""))
	}()
	if !slices.Equal(g.observed, []observation{{Panic, 0}}) {
		t.Errorf("observed %v", g.observed)
	}
}

func TestTheGateIsToldEachAttemptsOutcomeAndItsOwnRetryAfter(t *testing.T) {
	t.Parallel()
	g := &gate{admit: []admission{{ok: true}}}
	a := &account{script: []answer{
		{call: terminate, err: after(2*time.Second, batchError(503, "ServerBusy"))},
		{call: terminate, err: reset("read")},
		{call: terminate},
	}}
	r, _ := bubble(t, a, message(`"endpoint": "`+fabrikam+`"`), gated(g))
	want := []observation{{Throttled, 2 * time.Second}, {Network, 0}, {Terminated, 0}}
	if r.Outcome != Terminated || !slices.Equal(g.observed, want) || g.endpoint != fabrikam {
		t.Errorf("%v, observed %v of %s, want %v", r.Outcome, g.observed, g.endpoint, want)
	}
}

// Time spent at the gate, for a rate, is time without a call: the delivery may end there.
func TestADeliveryThatEndsAtTheGateKeepsItsCause(t *testing.T) {
	t.Parallel()
	for cause, want := range cancellations {
		g := &gate{admit: []admission{{takes: time.Hour, ok: true}}}
		a := &account{t: t}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		c := &call{account: a, gate: g}
		v, _ := c.attempt(ctx)
		if len(a.seen)+len(g.observed) != 0 || !v.retry {
			t.Errorf("%v: %+v, calls %v", want, v, a.calls())
		}
	}
}

// One hiccup of the resolver looks like a misspelt account; only when it lasts does everything pause.
func TestAnUnknownHostPausesTheAccountOnlyWhenItLasts(t *testing.T) {
	t.Parallel()
	unknown := &net.DNSError{Err: "no such host", IsNotFound: true}
	g := &gate{admit: []admission{{ok: true}}}
	a := &account{script: []answer{{call: terminate, err: unknown}, {call: terminate}}}
	if r, _ := bubble(t, a, message(""), gated(g)); r.Outcome != Terminated {
		t.Errorf("%v", r.Outcome)
	}
	if !slices.Equal(g.observed, []observation{{Network, 0}, {Terminated, 0}}) {
		t.Errorf("observed %v; want the passing failure as a network one", g.observed)
	}
}

func TestAPasswordInAnEndpointIsNotRepeated(t *testing.T) {
	t.Parallel()
	r, _ := bubble(t, &account{}, message(`"endpoint":"https://user:hunter2@contoso.westeurope.batch.azure.com"`))
	if r.Outcome != EndpointNotAllowed || strings.Contains(r.Detail, "hunter2") || strings.Contains(r.DeadLetterDescription(), "hunter2") {
		t.Errorf("%v: %q", r.Outcome, r.DeadLetterDescription())
	}
}

func TestDetailIsBoundedHoweverLongTheCause(t *testing.T) {
	t.Parallel()
	r, _ := bubble(t, &account{}, message(`"`+strings.Repeat("x", 9000)+`":1,"`+strings.Repeat("x", 9000)+`":1`))
	if r.Outcome != InvalidMessage || len(r.Detail) > maxDetail {
		t.Errorf("%v with a detail of %d characters", r.Outcome, len(r.Detail))
	}
}
