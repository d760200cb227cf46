package worker_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/handler"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// state is what the worker is doing when a fault strikes.
type state struct {
	name string
	// reach brings the worker there; the tasks a to d exist afterwards, or will.
	reach func(t *testing.T, s *stack)
}

const stateWork = 8 * time.Second // of each request

// states are those in which the end of a link may meet a worker. One that drains has to do so within its grace period.
func states() []state {
	held := []string{"a", "b", "c", "d"}
	hold := func(t *testing.T, s *stack) {
		time.Sleep(30 * time.Second)
		s.task(t, held...)
		s.until(t, time.Minute, "the deliveries", func(c servicebustest.Counts) bool { return c.Locked == len(held) })
		time.Sleep(2 * time.Second)
	}
	return []state{
		{"idle", func(*testing.T, *stack) { time.Sleep(30 * time.Second) }},
		{"holding", hold},
		{"draining", func(t *testing.T, s *stack) {
			hold(t, s)
			s.stop()
			time.Sleep(time.Second)
		}},
	}
}

// meets runs a fault in each state. It may burn so many deliveries at most, four of them of what was held. A fault that lasts is
// ended by what strike returns; nil: there is nothing to end.
func meets(t *testing.T, name string, lasts time.Duration, burns int, strike func(s *stack) (end func()), options ...option) {
	options = append([]option{func(s *stack) { s.wrap = func(h worker.Handler) worker.Handler { return slowly{h, stateWork} } }}, options...)
	for _, in := range states() {
		t.Run(name+", "+in.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				in.reach(t, s)
				struck := time.Now()
				end := strike(s)
				if in.name == "draining" {
					report := <-s.reports
					s.reports <- report
					if took := time.Since(struck); took > s.config.Grace-2*time.Second {
						t.Errorf("drained in %v; the grace period is %v", took, s.config.Grace)
					}
				}
				time.Sleep(max(0, lasts-time.Since(struck)))
				if end != nil {
					end()
				}
				if in.name == "draining" {
					s.start(t)
				}
				most := burns
				if in.name == "idle" {
					most = max(0, burns-4)
				}
				s.finishes(t, most)
			}, options...)
		})
	}
}

// finishes checks that all is as if nothing had been: what was held ends, and a new request is worked on at once.
func (s *stack) finishes(t *testing.T, burns int) {
	t.Helper()
	s.task(t, "new")
	s.until(t, 20*time.Minute, "the end of all", empty)
	if n := s.burned(); n > burns {
		t.Errorf("%d burned deliveries, %d allowed\n%s", n, burns, s.transcript())
	}
	for _, m := range s.queue.Ledger() {
		ends := 0
		for _, e := range m.Events {
			if e.Kind == servicebustest.EventCompleted {
				ends++
			}
		}
		equal(t, "ends of "+m.MessageID, ends, 1)
	}
	for _, id := range []string{"a", "b", "c", "d", "new"} {
		if _, exists := s.account.Task("j", id); exists {
			equal(t, "terminations of "+id, s.account.Terminations("j", id), 1)
		}
	}
	started := time.Now()
	s.task(t, "last")
	s.until(t, time.Minute, "the last completion", empty)
	if took := time.Since(started); took > stateWork+10*time.Second {
		t.Errorf("the last request took %v: the worker is not what it was", took)
	}
	equal(t, "outcomes that are dead letters", s.outcomes()[handler.RetriesExhausted.String()], 0)
}

var unreleased = servicebustest.When(func(c servicebustest.Call) bool { return c.Settlement != "release" })

var completion = servicebustest.When(func(c servicebustest.Call) bool { return c.Settlement == "complete" })

// conditions are those that links, sessions and connections end with, and none.
var conditions = []string{
	"", "amqp:link:detach-forced", "amqp:connection:forced", "amqp:internal-error", "amqp:not-found", "amqp:unauthorized-access", "amqp:not-allowed",
	"amqp:resource-limit-exceeded", "amqp:resource-deleted", "com.microsoft:entity-disabled", "com.microsoft:container-close",
	"com.microsoft:server-busy", "com.microsoft:timeout", "com.microsoft:operation-cancelled",
}

// Scorecard: A3, A4, F2.
func TestEndOfALinkBurnsNothingWhateverTheWorkerIsDoing(t *testing.T) {
	t.Parallel()
	for _, condition := range conditions {
		name := "with " + condition
		if condition == "" {
			name = "without a condition"
		}
		meets(t, "the links end "+name, 0, 0, func(s *stack) func() { s.bus.DetachLinks(queueName, condition, "by the test"); return nil })
		meets(t, "the connection ends "+name, 0, 0, func(s *stack) func() { s.bus.CloseConnections(condition, "by the test"); return nil })
		meets(t, "the session ends at a settlement "+name, 0, 0, func(s *stack) func() {
			// Not at a release by the SDK of what came between two receives: nobody can do that again.
			s.bus.OnNext(servicebustest.Settle, servicebustest.EndSession(condition, "by the test"), completion)
			return nil
		})
	}
}

// silences are the ways in which the peer of every live connection can fall silent.
var silences = map[string]func(*servicebustest.Server, bool) int{
	"silent": (*servicebustest.Server).SilenceConnections, "deaf": (*servicebustest.Server).DeafenConnections, "both": (*servicebustest.Server).MuteConnections,
}

// The connection is never reset, and a peer that is only deaf goes on with its heartbeats.
//
// Scorecard: A2.
func TestSilentPeerIsNoticed(t *testing.T) {
	t.Parallel()
	for what, strike := range silences {
		for name, idle := range map[string]time.Duration{"": 0, ", before there is work": 10 * time.Minute} {
			t.Run(what+name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
					time.Sleep(30 * time.Second)
					strike(s.bus, true)
					time.Sleep(idle)
					s.task(t, "a", "b", "c")
					s.until(t, 65*time.Second, "an empty queue", empty)
					equal(t, "terminated", s.outcomes()["terminated"], 3)
				})
			})
		}
	}
}

// Scorecard: A2.
func TestSilentPeerIsReplacedWhateverTheWorkerIsDoing(t *testing.T) {
	t.Parallel()
	const held = 4
	for what, strike := range silences {
		for _, lasts := range []time.Duration{5 * time.Second, 70 * time.Second, 10 * time.Minute} {
			meets(t, fmt.Sprintf("%s for %v", what, lasts), lasts, held+1, func(s *stack) func() {
				strike(s.bus, true)
				return func() { s.bus.ResetConnections() }
			})
		}
	}
}

// Scorecard: A6, F8.
func TestBusyBrokerCostsNoDeliveryWhateverTheWorkerIsDoing(t *testing.T) {
	t.Parallel()
	for op, what := range map[servicebustest.Op]string{servicebustest.Settle: "settlements", servicebustest.RenewLock: "renewals", servicebustest.Attach: "attaches", servicebustest.Management: "management"} {
		for _, lasts := range []time.Duration{2 * time.Second, 10 * time.Second, time.Minute} {
			burns := 0
			if op != servicebustest.RenewLock && lasts == time.Minute {
				burns = 4 // what a worker that had to stop could not settle
			}
			meets(t, fmt.Sprintf("%s refused as busy for %v", what, lasts), lasts, burns, func(s *stack) func() {
				return s.bus.OnNext(op, servicebustest.ServerBusy(), servicebustest.Keep()).Remove
			})
		}
	}
}

// Scorecard: A8, F6.
func TestLostAnswersCostNoSecondCallWhateverTheWorkerIsDoing(t *testing.T) {
	t.Parallel()
	for op, what := range map[servicebustest.Op]string{servicebustest.Settle: "settlements", servicebustest.SettleEcho: "answers to settlements", servicebustest.RenewLock: "renewals", servicebustest.Reply: "answers of the management node"} {
		for _, n := range []int{1, 20} {
			meets(t, fmt.Sprintf("%d %s lost", n, what), 0, 0, func(s *stack) func() {
				s.bus.OnNext(op, servicebustest.Swallow(), servicebustest.Times(n), unreleased)
				return nil
			})
		}
		meets(t, what+" lost for a minute", time.Minute, 5, func(s *stack) func() {
			return s.bus.OnNext(op, servicebustest.Swallow(), servicebustest.Keep(), unreleased).Remove
		})
	}
}

// The job is disabled for the first call of each request but the last, so that it comes back as a copy.
//
// Scorecard: A8, F6.
func TestCopyThatGoesUnansweredIsSentAgainWhateverTheWorkerIsDoing(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var faults []*servicebustest.Injection // under mu
	t.Cleanup(func() {
		for _, fault := range faults {
			if fault.Fired() == 0 {
				t.Error("no copy was lost")
			}
		}
	})
	lost := func(option servicebustest.FaultOption) func(s *stack) func() {
		return func(s *stack) func() {
			for _, id := range []string{"a", "b", "c", "d", "new"} {
				s.account.OnNext(batchtest.Status(http.StatusConflict, "JobDisabled", batchtest.NoRetryAfter), batchtest.ForTask("j", id))
			}
			fault := s.bus.OnNext(servicebustest.Send, servicebustest.Swallow(), option)
			mu.Lock()
			defer mu.Unlock()
			faults = append(faults, fault)
			time.AfterFunc(time.Minute, fault.Remove)
			return nil
		}
	}
	meets(t, "1 copy lost", 0, 0, lost(servicebustest.Times(1)))
	meets(t, "copies lost for a minute", 0, 5, lost(servicebustest.Keep()))
	meets(t, "20 copies lost within a minute", 0, 5, lost(servicebustest.Times(20)))
}

// panicsOnce panics on the first delivery of each message but the last.
type panicsOnce struct {
	worker.Handler
	seen *sync.Map
}

func (h panicsOnce) Handle(ctx context.Context, m handler.Message) handler.Result {
	if _, again := h.seen.LoadOrStore(m.RequestIdentity, true); !again && m.RequestIdentity != "last" {
		panic("by the test")
	}
	return h.Handler.Handle(ctx, m)
}

// A message whose handling panics is abandoned, which costs it a delivery; a lost answer costs no further one.
//
// Scorecard: A8, F6.
func TestAbandonThatGoesUnansweredCostsNoOtherDeliveryWhateverTheWorkerIsDoing(t *testing.T) {
	t.Parallel()
	panicking := func(s *stack) {
		seen := new(sync.Map)
		s.wrap = func(h worker.Handler) worker.Handler { return slowly{panicsOnce{h, seen}, stateWork} }
	}
	abandonment := servicebustest.When(func(c servicebustest.Call) bool { return c.Settlement == "abandon" })
	for op, what := range map[servicebustest.Op]string{servicebustest.Settle: "abandons", servicebustest.SettleEcho: "answers to abandons"} {
		for _, n := range []int{1, 20} {
			meets(t, fmt.Sprintf("%d %s lost", n, what), 0, 5, func(s *stack) func() {
				s.bus.OnNext(op, servicebustest.Swallow(), servicebustest.Times(n), abandonment)
				return nil
			}, panicking)
		}
	}
}
