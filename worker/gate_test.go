package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"batchterminator/handler"
	"batchterminator/metrics"
)

const otherAccount = "https://fabrikam.northeurope.batch.azure.com"

func newTestGates(endpoints ...string) *Gates {
	return NewGates(endpoints, 0, metrics.New(prometheus.NewRegistry(), "test", endpoints), zap.NewNop())
}

// admitted tells whether an attempt may be made now.
func admitted(g *Gates, endpoint string) bool {
	_, _, ok := g.Admit(context.Background(), endpoint)
	return ok
}

func fail(g *Gates, o handler.Outcome, times int) {
	for range times {
		g.Observe(account, o, 0)
	}
}

// Scorecard: R12.
func TestGateClosesOnItsCauseAndStopsIntake(t *testing.T) {
	t.Parallel()
	for outcome, c := range map[handler.Outcome]struct {
		after int
		first time.Duration
	}{
		handler.AuthFailed:          {1, 5 * time.Second},
		handler.AccountDisabled:     {1, 5 * time.Second},
		handler.WrongEndpoint:       {1, 5 * time.Second},
		handler.WorkerMisconfigured: {1, 5 * time.Second},
		handler.Throttled:           {1, 2 * time.Second},
		handler.Unavailable:         {outageAfter, 5 * time.Second},
		handler.TimedOut:            {outageAfter, 5 * time.Second},
		handler.Network:             {outageAfter, 5 * time.Second},
	} {
		t.Run(outcome.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := newTestGates(account)
				fail(g, outcome, c.after-1)
				if !admitted(g, account) {
					t.Fatalf("closed after %d failures; want %d", c.after-1, c.after)
				}
				fail(g, outcome, 1)
				if limit, wait := g.intake(); admitted(g, account) || limit != 0 || wait != c.first {
					t.Errorf("after %d failures: intake %d for %v; want none for %v", c.after, limit, wait, c.first)
				}
				time.Sleep(c.first)
				if limit, _ := g.intake(); limit != 1 || !admitted(g, account) || admitted(g, account) {
					t.Errorf("after the pause: intake %d; want one probe and no second", limit)
				}
				g.Observe(account, handler.AlreadyCompleted, 0)
				if limit, _ := g.intake(); limit < 1000 || g.Down(account) {
					t.Errorf("after a probe that succeeded: intake %d; want all", limit)
				}
			})
		})
	}
}

func TestGatePausesLongerWithEachFailedProbeUpToItsBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTestGates(account)
		var pauses []time.Duration
		for range 9 {
			g.Observe(account, handler.AuthFailed, 0)
			_, wait := g.intake()
			pauses = append(pauses, wait)
			time.Sleep(wait)
			if !admitted(g, account) {
				t.Fatal("no probe after the pause")
			}
		}
		s := time.Second
		equal(t, "pauses", pauses, []time.Duration{5 * s, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 300 * s, 300 * s, 300 * s})
	})
}

// Scorecard: H6, R14.
func TestRetryAfterIsTheLeastPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTestGates(account)
		g.Observe(account, handler.Throttled, 90*time.Second)
		g.Observe(account, handler.Throttled, 10*time.Second) // an answer to an earlier call
		if _, wait := g.intake(); wait != 90*time.Second {
			t.Errorf("pause %v; want the longer wait that Batch asked for", wait)
		}
	})
}

// A straggler's success, of a call made before the gate closed, must not open it into the throttling.
func TestAnswersToEarlierCallsDoNotOpenTheGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTestGates(account)
		g.Observe(account, handler.Throttled, 0)
		g.Observe(account, handler.Terminated, 0)
		if admitted(g, account) {
			t.Error("a success during the pause opened the gate")
		}
	})
}

func TestProbeThatNeverReportsGivesItsPlaceUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTestGates(account)
		g.Observe(account, handler.AuthFailed, 0)
		time.Sleep(5 * time.Second)
		if !admitted(g, account) || admitted(g, account) {
			t.Fatal("want exactly one probe")
		}
		if _, wait, _ := g.Admit(context.Background(), account); wait > time.Second {
			t.Errorf("whoever meets a probe waits %v; want about as long as a probe takes", wait)
		}
		time.Sleep(probeLimit)
		if !admitted(g, account) {
			t.Error("a probe that was lost keeps the gate closed for ever")
		}
		g.Observe(account, handler.LockLost, 0) // the probe was cut short on our side
		if !admitted(g, account) {
			t.Error("a probe that was cut short keeps its place")
		}
	})
}

func TestGatesOfAccountsAreKeptApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTestGates(account, otherAccount)
		g.Observe(account, handler.AuthFailed, 0)
		if limit, _ := g.intake(); limit < 1000 || admitted(g, account) || !admitted(g, otherAccount) {
			t.Error("one account's gate must close that account and nothing else")
		}
		g.Observe(otherAccount, handler.Throttled, 0)
		if limit, wait := g.intake(); limit != 0 || wait != 2*time.Second {
			t.Errorf("with all closed: intake %d, next look in %v; want none until the first pause ends", limit, wait)
		}
		equal(t, "closed", g.Closed(), []string{account + ": auth", otherAccount + ": throttle"})
	})
}

func TestRateIsKeptPerAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGates([]string{account, otherAccount}, 10, metrics.New(prometheus.NewRegistry(), "test", []string{account, otherAccount}), zap.NewNop())
		start := time.Now()
		for range 21 {
			admitted(g, account)
			admitted(g, otherAccount)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("21 calls to each account at 10 a second took %v; want 2s", took)
		}
	})
}

// Whatever happened before: never more than one probe at a time, and a success that follows the pause brings full rate.
//
// Scorecard: R17.
func TestGateAlwaysFindsItsWayBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) { // a bubble for each draw: rapid itself looks at the real clock
			g := newTestGates(account)
			for range rapid.IntRange(1, 60).Draw(rt, "steps") {
				o := rapid.SampledFrom(handler.Outcomes()).Draw(rt, "outcome")
				if len(g.Closed()) > 0 && admitted(g, account) && admitted(g, account) {
					rt.Fatal("two probes at a time")
				}
				g.Observe(account, o, time.Duration(rapid.IntRange(0, 120).Draw(rt, "retry after"))*time.Second)
				time.Sleep(time.Duration(rapid.IntRange(0, 30).Draw(rt, "pause")) * time.Second)
			}
			_, wait := g.intake()
			time.Sleep(wait + probeLimit)
			if !admitted(g, account) {
				rt.Fatal("no probe after the pause")
			}
			g.Observe(account, handler.Terminated, 0)
			if limit, _ := g.intake(); limit < 1000 || g.Down(account) {
				rt.Fatal("a success did not bring full rate back")
			}
		})
	})
}

// A call that waited for its turn under --rate meets the gate as it is then, not as it was.
func TestCallThatWaitedForTheRateMeetsTheGateAsItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGates([]string{account}, 1, metrics.New(prometheus.NewRegistry(), "test", []string{account}), zap.NewNop())
		admitted(g, account)
		time.AfterFunc(time.Second/2, func() { g.Observe(account, handler.Throttled, time.Minute) })
		o, wait, ok := g.Admit(t.Context(), account)
		if ok || o != handler.Throttled || wait != time.Minute-time.Second/2 {
			t.Errorf("admitted %v as %v, wait %v; want it refused until the minute is over", ok, o, wait)
		}
		time.Sleep(wait)
		if !admitted(g, account) || admitted(g, account) {
			t.Error("want one probe after the pause")
		}
	})
}

func TestCallThatIsInterruptedWhileItWaitsForTheRateIsNotMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGates([]string{account}, 0.01, metrics.New(prometheus.NewRegistry(), "test", []string{account}), zap.NewNop())
		admitted(g, account)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, ok := g.Admit(ctx, account); ok {
			t.Error("admitted")
		}
	})
}
