package worker

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"batchterminator/handler"
)

// throttle closes the gate as Batch would, and brings the probe after the pause through.
func throttle(t *testing.T, g *Gates, endpoint string) {
	t.Helper()
	if !admitted(g, endpoint) {
		t.Fatal("not admitted")
	}
	g.Observe(endpoint, handler.Throttled, 0)
	time.Sleep(pauses[causeThrottle].first)
	if !admitted(g, endpoint) {
		t.Fatal("no probe")
	}
	g.Observe(endpoint, handler.Terminated, 0)
}

func TestThrottlingHalvesTheConcurrencyWhichThenClimbsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTestGates(account)
		g.bound(64, func() {})
		throttle(t, g, account)
		for _, want := range []int{32, 42, 53, 64} { // a 30th of 64 each second
			if limit, _ := g.intake(); limit != want && (want < 64 || limit < 1000) {
				t.Errorf("intake %d, want %d", limit, want)
			}
			time.Sleep(5 * time.Second)
		}
		throttle(t, g, account)
		throttle(t, g, account)
		if limit, again := g.intake(); limit != 16 || again != climbTime/64 {
			t.Errorf("after two more: intake %d, look again in %v; want 16 and the time of one step", limit, again)
		}
		g.Observe(account, handler.AuthFailed, 0) // another cause leaves it alone
		time.Sleep(pauses[causeAuth].first)
		g.Observe(account, handler.Terminated, 0)
		if limit, _ := g.intake(); limit != 26 {
			t.Errorf("after 5 s more: intake %d, want 26", limit)
		}
	})
}

func TestTheClimbingAccountWaitsAndTheOthersDoNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newTestGates(account, otherAccount)
		g.bound(10, func() {})
		throttle(t, g, account)
		start := time.Now()
		for range 10 {
			if !admitted(g, account) || !admitted(g, otherAccount) {
				t.Fatal("not admitted")
			}
		}
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("10 calls of which none ended took %v to be admitted; want 5 at once, and one more every 3 s", took)
		}
		var second sync.WaitGroup
		second.Go(func() { admitted(g, account) })
		synctest.Wait()
		g.Observe(account, handler.Terminated, 0)
		second.Wait()
		if took := time.Since(start); took != 15*time.Second {
			t.Error("a call that ended did not make place for the next at once")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, ok := g.Admit(ctx, account); ok || time.Since(start) != 75*time.Second {
			t.Error("a call beyond the bound was admitted")
		}
		g.Observe(account, handler.Terminated, 0)
		if !admitted(g, account) {
			t.Error("the call that gave up waiting keeps a place")
		}
	})
}

// Whatever happens: no call begins beyond the limit of the moment, the limit falls by throttling only, and half a minute
// after the last throttling it is whole again.
//
// Scorecard: R17.
func TestConcurrencyAlwaysFindsItsWayBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) { // a bubble for each draw: rapid itself looks at the real clock
			const most = 20
			g := newTestGates(account)
			g.bound(most, func() {})
			calls := 0
			for range rapid.IntRange(1, 200).Draw(rt, "steps") {
				before := g.gates[account].climb.at(time.Now())
				if rapid.Bool().Draw(rt, "begin") && calls < before {
					if admitted(g, account) {
						calls++
					}
				} else if calls > 0 {
					calls--
					o := rapid.SampledFrom([]handler.Outcome{handler.Terminated, handler.Throttled, handler.Network, handler.Panic}).Draw(rt, "outcome")
					g.Observe(account, o, 0)
					after := g.gates[account].climb.at(time.Now())
					if after < before && (o != handler.Throttled || after != max(1, before/2)) || after > before {
						rt.Fatalf("%v takes the limit from %d to %d", o, before, after)
					}
				}
				if n := g.gates[account].calls; n != calls {
					rt.Fatalf("counts %d calls, want %d", n, calls)
				}
				time.Sleep(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "pause")) * time.Millisecond)
			}
			for ; calls > 0; calls-- {
				g.Observe(account, handler.Terminated, 0)
			}
			time.Sleep(2*pauses[causeThrottle].last + probeLimit)
			for len(g.Closed()) > 0 {
				if !admitted(g, account) {
					rt.Fatal("no probe after the pause")
				}
				g.Observe(account, handler.Terminated, 0)
				time.Sleep(time.Second)
			}
			time.Sleep(climbTime)
			if limit, _ := g.intake(); limit < 1000 || g.gates[account].climb.at(time.Now()) != most {
				rt.Fatalf("intake %d", limit)
			}
		})
	})
}
