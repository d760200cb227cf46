package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/handler"
)

// wantPause asserts that nothing is admitted for exactly d from now, and then a probe.
func wantPause(t *testing.T, g *Gates, what string, d time.Duration) {
	t.Helper()
	limit, wait := g.intake()
	if limit != 0 || wait != d || admitted(g, account) {
		t.Fatalf("%s: intake %d, next look in %v; want none for %v", what, limit, wait, d)
	}
	time.Sleep(d)
	if !admitted(g, account) {
		t.Fatalf("%s: no probe after the pause", what)
	}
}

// A probe that meets silence has failed, whatever the gate was closed for: the next one waits twice as long.
func TestProbeThatGetsNoAnswerPausesTheGateAgain(t *testing.T) {
	t.Parallel()
	for closedBy, c := range map[handler.Outcome]cause{handler.AuthFailed: causeAuth, handler.Throttled: causeThrottle, handler.Network: causeOutage} {
		for _, silence := range []handler.Outcome{handler.Network, handler.TimedOut, handler.Unavailable} {
			t.Run(closedBy.String()+" then "+silence.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					g := newTestGates(account)
					fail(g, closedBy, outageAfter)
					wantPause(t, g, "closed", pauses[c].first)
					g.Observe(account, silence, 0)
					wantPause(t, g, "after the probe", 2*pauses[c].first)
					g.Observe(account, handler.Terminated, 0)
					if g.Down(account) {
						t.Error("a success did not open the gate")
					}
				})
			})
		}
	}
}

// The answer to a call made before the outage says nothing about it: the first probe that fails closes the gate again.
func TestAnswerToAnEarlierCallDoesNotMakeTheOutageBeginAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTestGates(account)
		fail(g, handler.Network, outageAfter)
		g.Observe(account, handler.Terminated, 0)
		wantPause(t, g, "closed", pauses[causeOutage].first)
		g.Observe(account, handler.Network, 0)
		wantPause(t, g, "after the probe", 2*pauses[causeOutage].first)
	})
}

// A probe that ends before its turn under the rate makes no call and reports nothing: its place is free at once.
func TestProbeThatIsCutShortBeforeItsTurnGivesItsPlaceUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTestGates(account)
		g.Observe(account, handler.AuthFailed, 0)
		time.Sleep(pauses[causeAuth].first)
		lost, cancel := context.WithCancel(context.Background())
		cancel()
		if _, _, ok := g.Admit(lost, account); ok {
			t.Fatal("a delivery that has ended was admitted")
		}
		if !admitted(g, account) {
			t.Error("the probe that never was keeps its place")
		}
	})
}

// An attempt that was cut short on our side neither opens the gate nor counts as a failure.
func TestInterruptedProbeProvesNothing(t *testing.T) {
	t.Parallel()
	for _, o := range []handler.Outcome{handler.LockLost, handler.Draining, handler.Panic} {
		t.Run(o.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newTestGates(account)
				fail(g, handler.Network, outageAfter-1)
				g.Observe(account, o, 0)
				if !admitted(g, account) {
					t.Error("an interrupted attempt was counted as a failure")
				}
				fail(g, handler.Network, 1)
				wantPause(t, g, "closed", pauses[causeOutage].first)
				g.Observe(account, o, 0)
				if limit, _ := g.intake(); limit != 1 || !g.Down(account) {
					t.Errorf("after an interrupted probe: intake %d; want the next probe", limit)
				}
			})
		})
	}
}

// Only consecutive failures are an outage.
func TestAnswerBetweenFailuresStartsTheCountAnew(t *testing.T) {
	t.Parallel()
	g := newTestGates(account)
	for range 3 {
		fail(g, handler.Unavailable, outageAfter-1)
		g.Observe(account, handler.StateConflict, 0)
	}
	if len(g.Closed()) != 0 || g.Down(account) {
		t.Errorf("closed: %v; want an open gate, never more than %d failures in a row", g.Closed(), outageAfter-1)
	}
}

func TestStateOfTheGateIsAMetric(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, newScripted(), always(handler.Terminated))
		state := func(what string, want float64) {
			t.Helper()
			equal(t, what, r.metric(t, "gate_state", account, causeAuth.String()), want)
		}
		state("at the start", gateOpen)
		r.gates.Observe(account, handler.AuthFailed, 0)
		state("refused", gateClosed)
		time.Sleep(pauses[causeAuth].first)
		admitted(r.gates, account)
		state("during the probe", gateProbing)
		r.gates.Observe(account, handler.AuthFailed, time.Minute)
		state("after a probe that failed", gateClosed)
		time.Sleep(time.Minute)
		r.gates.Observe(account, handler.Terminated, 0)
		state("after an answer", gateOpen)
		equal(t, "waits that Batch asked for", r.metric(t, "retry_after_seconds"), 1.0)
		equal(t, "times closed and opened, in the log", r.logs.FilterMessageSnippet("gate ").Len(), 2)
		r.end()
	})
}

// P4: a worker that starts in the middle of a long outage knows nothing of it. A request older than the maximum age is
// not given up before the account has shown that it works.
func TestRestartInALongOutageGivesNoRequestUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		known []handler.Outcome
		want  []string
	}{
		"nothing known of the account":  {nil, []string{"copy old", "complete old"}},
		"the account works":             {[]handler.Outcome{handler.AlreadyGone}, []string{"dead-letter retries_exhausted old"}},
		"it worked, its gate is closed": {[]handler.Outcome{handler.AlreadyGone, handler.AuthFailed}, []string{"copy old", "complete old"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted()
				r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
					return handler.Result{Outcome: handler.Network, Attempts: 4, Request: handler.Request{Endpoint: account}}
				}))
				for _, o := range c.known {
					r.gates.Observe(account, o, 0)
				}
				fail(r.gates, handler.Network, 4) // one message's attempts, too few for the gate to close
				old := message("old", 1)
				enqueued := time.Now().Add(-25 * time.Hour)
				old.EnqueuedTime = &enqueued
				old.ApplicationProperties = map[string]any{propRedeliveries: int64(1)}
				queue.add(old)
				time.Sleep(time.Minute)
				equal(t, "operations", queue.operations(), c.want)
				r.end()
			})
		})
	}
}
