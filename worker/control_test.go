package worker

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"batchterminator/handler"
	"batchterminator/metrics"
)

func TestConcurrencyGoesDownAndUpWithinWhatIsConfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, peak atomic.Int32
		queue := newScripted(messages(400)...)
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			n := now.Add(1)
			defer now.Add(-1)
			for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
			}
			time.Sleep(time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}), func(c *Config) { c.Concurrency, c.ReadyBuffer = 16, 4 })
		settled := func(n int, want int32) {
			t.Helper()
			if before, err := r.SetConcurrency(n); err != nil {
				t.Fatalf("%d after %d: %v", n, before, err)
			}
			time.Sleep(3 * time.Second) // the calls under way go on
			peak.Store(0)
			time.Sleep(3 * time.Second)
			if got := peak.Load(); got != want {
				t.Errorf("%d calls at once with a concurrency of %d, want %d", got, n, want)
			}
			if got := r.metric(t, "concurrency_limit"); got != float64(n) {
				t.Errorf("the metric says %v, want %d", got, n)
			}
		}
		settled(16, 16)
		settled(4, 4)
		if held := r.pump.heldNow(); held > 5 {
			t.Errorf("%d messages held, want at most 4 and a quarter", held)
		}
		settled(1, 1)
		settled(2, 2)
		settled(16, 16)
		for _, wrong := range []int{0, -1, 17, 1 << 40} {
			if _, err := r.SetConcurrency(wrong); err == nil {
				t.Errorf("%d was accepted", wrong)
			}
		}
		if most, now := r.Concurrency(); most != 16 || now != 16 {
			t.Errorf("%d of %d", now, most)
		}
		r.end()
	})
}

func (p *pump) heldNow() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// A number that changes its mind all the time neither loses a place nor gains one, and leaves no goroutine.
func TestConcurrencyMayChangeAtAnyMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(500)...)
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(300 * time.Millisecond)
			return handler.Result{Outcome: handler.Terminated}
		}), func(c *Config) { c.Concurrency = 8 })
		for i := range 500 {
			if _, err := r.SetConcurrency(1 + i*7%8); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		if _, err := r.SetConcurrency(8); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if n := len(queue.operations()); n != 500 {
			t.Errorf("%d settled, want 500", n)
		}
		if n := len(r.handlers); n != 0 {
			t.Errorf("%d places taken with nothing to do", n)
		}
		r.end()
	})
}

func TestALoweredConcurrencyDoesNotOutlastTheDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(8)...)
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(5 * time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}), func(c *Config) { c.Concurrency = 8 })
		time.Sleep(time.Second)
		if _, err := r.SetConcurrency(1); err != nil {
			t.Fatal(err)
		}
		report := r.end()
		equal(t, "finished", report.Finished, 8)
	})
}

func TestGatesOpenByHand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGates([]string{account, otherAccount}, 0, metrics.New(prometheus.NewRegistry(), "test", []string{account, otherAccount}), zap.NewNop())
		woken := 0
		g.bound(10, func() { woken++ })
		for _, endpoint := range []string{account, otherAccount} {
			g.calls(endpoint, handler.AuthFailed)
		}
		g.calls(account, handler.Throttled)
		equal(t, "closed", g.Closed(), []string{account + ": auth", account + ": throttle", otherAccount + ": auth"})
		if _, err := g.Reset("https://evil.example"); err == nil {
			t.Error("an unknown endpoint was accepted")
		}
		opened, err := g.Reset(account)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "opened", opened, []string{account + ": auth", account + ": throttle"})
		equal(t, "still closed", g.Closed(), []string{otherAccount + ": auth"})
		if limit, _ := g.intake(); limit < 1000 {
			t.Errorf("the intake is limited to %d", limit)
		}
		before := woken
		opened, err = g.Reset("")
		equal(t, "opened", opened, []string{otherAccount + ": auth"})
		if err != nil || woken == before || len(g.Closed()) != 0 {
			t.Errorf("error %v, woken %v, closed %q", err, woken > before, g.Closed())
		}
	})
}

// calls has one call be admitted and end so, or only end where none is admitted.
func (g *Gates) calls(endpoint string, o handler.Outcome) {
	g.mu.Lock()
	g.gates[endpoint].calls++
	g.mu.Unlock()
	g.Observe(endpoint, o, 0)
}
