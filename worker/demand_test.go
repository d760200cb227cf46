package worker

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

// takes is a handler that works for so long.
func takes(d time.Duration, o handler.Outcome) decisions {
	return func(context.Context, handler.Message) handler.Result {
		time.Sleep(d)
		return handler.Result{Outcome: o, Request: handler.Request{Endpoint: account}}
	}
}

// near tells whether a number is within a tenth of another.
func near(got, want float64) bool { return math.Abs(got-want) <= want/10 }

// unsettled counts what is in the queue.
func (s *scripted) unsettled() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(len(s.active) + len(s.locked))
}

func TestDemandIsTheWorkThatWaitsHoweverMuch(t *testing.T) {
	t.Parallel()
	for _, n := range []int{150, 400, 10_000} {
		synctest.Test(t, func(t *testing.T) {
			queue := newScripted(messages(n)...)
			var looks atomic.Int32
			queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
				if op == "peek" {
					looks.Add(1)
				}
				return nil
			}
			r := run(t, queue, takes(2*time.Second, handler.Terminated))
			time.Sleep(demandEvery + time.Second/2)
			if got, want := r.Demand().Seconds(), 2*queue.unsettled(); !near(got, want) {
				t.Errorf("of %d: %v s wanted, %v s left", n, got, want)
			}
			if looks := looks.Load(); looks > mostLooks {
				t.Errorf("of %d: %d looks", n, looks)
			}
			r.end()
		})
	}
}

// Scheduled messages of others, and numbers that nobody has any more, lie between those that wait.
func TestDemandCountsOnlyWhatCanBeReceived(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var all []*azservicebus.ReceivedMessage
		for i, m := range messages(2_400) {
			switch {
			case i < 200 || i%3 == 0:
				all = append(all, m)
			case i%3 == 1:
				m.State = azservicebus.MessageStateScheduled
				all = append(all, m)
			}
		}
		queue := newScripted()
		queue.unreceivable = func(m *azservicebus.ReceivedMessage) bool { return m.State == azservicebus.MessageStateScheduled }
		queue.add(all...)
		r := run(t, queue, takes(200*time.Millisecond, handler.Terminated))
		time.Sleep(demandEvery + time.Second/20)
		left := 0.0
		queue.mu.Lock()
		for _, m := range queue.active {
			if m.State == azservicebus.MessageStateActive {
				left++
			}
		}
		queue.mu.Unlock()
		if got := r.Demand().Seconds() / .2; left == 0 || !near(got, left) {
			t.Errorf("%v messages wanted, %v are left", got, left)
		}
		r.end()
	})
}

func TestAnEmptyQueueWantsNothingAndIsNotLookedInto(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(3)...)
		r := run(t, queue, takes(time.Second, handler.Terminated))
		time.Sleep(time.Second / 2)
		if got := r.Demand(); got != 3*unmeasured {
			t.Errorf("%v wanted while three are at work, of which none has ended", got)
		}
		time.Sleep(19 * time.Second)
		if got := r.Demand(); got != 0 {
			t.Errorf("%v wanted with nothing to do", got)
		}
		r.wantMetrics(t, "idle", map[[2]string]float64{{"servicebus_operations_total", "probe"}: 1})
		r.end()
	})
}

// N10: what waits for a closed gate is no reason for more workers, and neither is what a person has stopped.
//
// Scorecard: R24.
func TestWhatCannotBeWorkedOnIsNoDemand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(3_000)...)
		r := run(t, queue, takes(time.Second, handler.Terminated))
		time.Sleep(demandEvery + time.Second/2)
		wanted := func(when string, some bool) {
			t.Helper()
			if got := r.Demand(); (got > 0) != some {
				t.Errorf("%s: %v wanted", when, got)
			}
		}
		wanted("at work", true)
		r.gates.calls(account, handler.AuthFailed)
		wanted("the gate is closed", false)
		if _, err := r.gates.Reset(account); err != nil {
			t.Fatal(err)
		}
		wanted("the gate is open again", true)
		r.Pause("ada")
		wanted("paused", false)
		r.Resume()
		wanted("resumed", true)
		r.end()
		wanted("stopped", false)
	})
}

// N10: a minute before they come back, retries ask for the workers that they will need.
func TestRetriesThatComeBackSoonAreDemand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(20)...)
		r := run(t, queue, takes(time.Second, handler.JobDisabled), func(c *Config) {
			c.Redelivery.Initial, c.Redelivery.Max = 10*time.Minute, 10*time.Minute
		})
		time.Sleep(10 * time.Second)
		back := time.Time{}
		for _, m := range queue.copies() {
			if at := m.MessageAnnotations[scheduledEnqueueTime].(time.Time); back.IsZero() || at.Before(back) {
				back = at
			}
		}
		if got := r.Demand(); len(queue.copies()) != 20 || got != 0 {
			t.Errorf("%d copies, %v wanted long before", len(queue.copies()), got)
		}
		time.Sleep(time.Until(back) - soon - dueGrain)
		if got := r.Demand(); got != 0 {
			t.Errorf("%v wanted before it is soon", got)
		}
		time.Sleep(soon)
		some := r.Demand()
		if some < time.Second {
			t.Errorf("%v wanted as they come", some)
		}
		r.gates.calls(account, handler.AuthFailed)
		if n := r.demand.due(time.Now(), r.gates.isClosed); n != 0 {
			t.Errorf("%d wanted for a closed gate", n)
		}
		time.Sleep(20 * time.Minute)
		if _, err := r.gates.Reset(account); err != nil {
			t.Fatal(err)
		}
		if got := r.Demand(); got != 0 || len(r.demand.copies) != 0 {
			t.Errorf("%v wanted after they came, %d remembered", got, len(r.demand.copies))
		}
		r.end()
	})
}

// An estimate harms nobody: it may fail, and what it found is forgotten when it cannot be made again.
func TestALookThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		queue := newScripted(messages(3_000)...)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "peek" && fails.Load() {
				return errors.New("not now")
			}
			return nil
		}
		r := run(t, queue, takes(time.Second, handler.Terminated))
		time.Sleep(demandEvery + time.Second/2)
		if got := r.Demand(); got < 1000*time.Second {
			t.Errorf("%v wanted", got)
		}
		fails.Store(true)
		time.Sleep(demandStale + demandEvery)
		if got := r.Demand(); got > 10*time.Second || queue.clientsMade() != 1 {
			t.Errorf("%v wanted by what is not known any more, %d clients", got, queue.clientsMade())
		}
		r.end()
	})
}
