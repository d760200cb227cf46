package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/google/go-cmp/cmp"

	"batchterminator/handler"
)

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestEachDecisionIsSettledOnceInItsOwnWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outcome handler.Outcome
		want    []string
	}{
		{handler.Terminated, []string{"complete m0"}},
		{handler.AlreadyGone, []string{"complete m0"}},
		{handler.InvalidMessage, []string{"dead-letter invalid_message m0"}},
		{handler.Throttled, []string{"copy m0", "complete m0"}},
		{handler.AuthFailed, []string{"copy m0", "complete m0"}},
		{handler.LockLost, nil},
		{handler.Panic, []string{"abandon m0"}},
	} {
		t.Run(c.outcome.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, newScripted(messages(1)...), always(c.outcome))
				synctest.Wait()
				equal(t, "operations", r.queue.operations(), c.want)
				equal(t, "outcomes", r.outcomes(), []string{c.outcome.String()})
				r.end()
			})
		})
	}
}

// P7: credit outstanding, buffered and in flight never exceed the concurrency plus the buffer.
func TestPumpNeverAsksForMoreThanItsFreeSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(200)...)
		r := run(t, queue, decisions(func(ctx context.Context, m handler.Message) handler.Result {
			time.Sleep(50 * time.Millisecond)
			return handler.Result{Outcome: handler.Terminated}
		}), func(c *Config) { c.Concurrency, c.ReadyBuffer = 8, 2 })
		time.Sleep(time.Minute)
		if len(queue.operations()) != 200 {
			t.Fatalf("%d of 200 messages settled", len(queue.operations()))
		}
		for i, n := range queue.demands() {
			if n > 10 {
				t.Fatalf("receive %d asked for %d messages with 10 slots", i, n)
			}
		}
		if queue.maxLocked > 10+cap(r.settling) {
			t.Errorf("%d locks held at once; slots and settlements allow %d", queue.maxLocked, 10+cap(r.settling))
		}
		r.end()
	})
}

func TestSlotIsFreeBeforeTheSettlement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(4)...)
		queue.before = func(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error {
			if op == "complete" {
				time.Sleep(time.Second)
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated), func(c *Config) { c.Concurrency = 2 })
		time.Sleep(1500 * time.Millisecond)
		equal(t, "settled while two slots were settling slowly", len(queue.operations()), 3)
		r.end()
	})
}

func TestLockIsRenewedWhileTheWorkLastsAndNotAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var renewals atomic.Int32
		queue := newScripted(messages(1)...)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "renew" {
				renewals.Add(1)
			}
			return nil
		}
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(5 * time.Minute)
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(10 * time.Minute)
		equal(t, "operations", queue.operations(), []string{"complete m0"})
		if n := renewals.Load(); n < 8 || n > 10 {
			t.Errorf("%d renewals of a 1 min lock in 5 min at 50 to 60 %% of what remains; want 8 to 10", n)
		}
		r.end()
	})
}

func TestLostLockCancelsTheWorkAndSettlesNothing(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{"broker says so": lostLock(), "renewals fail until it expires": errors.New("no answer")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(1)...)
				queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op == "renew" {
						return answer
					}
					return nil
				}
				var cause error
				start, took := time.Now(), time.Duration(0) // both are read after the worker's end
				r := run(t, queue, decisions(func(ctx context.Context, m handler.Message) handler.Result {
					<-ctx.Done()
					cause, took = context.Cause(ctx), time.Since(start)
					return handler.Result{Outcome: handler.LockLost}
				}))
				time.Sleep(2 * time.Minute)
				r.end()
				if !errors.Is(cause, handler.ErrLockLost) || took > time.Minute {
					t.Errorf("work was cancelled with %v after %v; want the lost lock within the lock's minute", cause, took)
				}
				equal(t, "operations", queue.operations(), nil)
			})
		})
	}
}

// A renewal that hangs must not keep the lock's timer, or another message's, from doing its work (F5).
func TestHangingRenewalDelaysNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(2)...)
		var first atomic.Pointer[[16]byte]
		queue.before = func(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error {
			var token [16]byte
			if m != nil {
				token = m.LockToken
			}
			if op == "renew" && (first.CompareAndSwap(nil, &token) || *first.Load() == token) {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		r := run(t, queue, decisions(func(ctx context.Context, m handler.Message) handler.Result {
			select {
			case <-ctx.Done():
				return handler.Result{Outcome: handler.LockLost}
			case <-time.After(3 * time.Minute):
				return handler.Result{Outcome: handler.Terminated}
			}
		}))
		time.Sleep(5 * time.Minute)
		if len(queue.operations()) != 1 {
			t.Errorf("settled %v; want exactly the message whose renewals were answered", queue.operations())
		}
		r.end()
	})
}

func TestSettlementIsTriedAgainByLockToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		var tries []bool // whether the try carried more than the token
		queue.before = func(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error {
			if op == "complete" {
				if tries = append(tries, m.MessageID != ""); len(tries) == 1 {
					return errors.New("link detached")
				}
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(time.Minute)
		r.end()
		equal(t, "tries", tries, []bool{true, false})
		equal(t, "operations", queue.operations(), []string{"complete m0"})
		equal(t, "clients", queue.clientsMade(), 2)
	})
}

// The call had its answer, the settlement was lost: the redelivery is settled without a second call (P2, I12).
func TestFinishedWorkIsNotRepeatedWhenItsSettlementWasLost(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[handler.Outcome][]string{
		handler.Terminated: {"terminated", "duplicate_delivery"},
		handler.Refused:    {"refused", "refused"},
		handler.Throttled:  {"throttled", "duplicate_delivery"},
	} {
		t.Run(outcome.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(message("a", 7))
				var lost atomic.Bool
				lost.Store(true)
				queue.before = func(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error {
					if lost.Load() && (op == "complete" || strings.HasPrefix(op, "dead-letter")) {
						return lostLock()
					}
					return nil
				}
				calls := 0
				r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
					calls++
					return handler.Result{Outcome: outcome, Code: "InvalidInput", Request: handler.Request{Endpoint: account}}
				}))
				time.Sleep(time.Minute)
				lost.Store(false)
				queue.add(message("a", 7))
				time.Sleep(time.Minute)
				r.end()
				equal(t, "calls", calls, 1)
				equal(t, "outcomes", r.outcomes(), want)
				equal(t, "copies", len(queue.copies()), map[bool]int{true: 1}[outcome == handler.Throttled])
			})
		})
	}
}

func TestMemoryOfFinishedWorkNamesTheMessageByPlaceAndId(t *testing.T) {
	t.Parallel()
	f := newFinished()
	a := &delivery{msg: message("same-id", 1)}
	f.remember(a, handler.Result{Outcome: handler.Terminated})
	if _, ok := f.recall(&delivery{msg: message("same-id", 2)}); ok {
		t.Error("another message with the same id was taken for the finished one")
	}
	for i := range rememberAtMost {
		f.remember(&delivery{msg: message("x", int64(i+10))}, handler.Result{})
	}
	if _, ok := f.recall(a); ok || len(f.at) != rememberAtMost || f.order.Len() != rememberAtMost {
		t.Errorf("memory holds %d entries, the oldest among them: %v; want %d without it", len(f.at), ok, rememberAtMost)
	}
}

func TestReceiveFailuresReplaceTheClient(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(context.Context) error{
		"nothing and no error means that the link failed": func(context.Context) error { return errDone },
		"error": func(context.Context) error { return errors.New("detached") },
		"panic": func(context.Context) error { panic("DeadLetterReason is an int") },
		"hung": func(context.Context) error {
			time.Sleep(time.Minute)
			return errors.New("too late")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(3)...)
				var faulty atomic.Bool
				faulty.Store(true)
				queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op == "receive" && faulty.CompareAndSwap(true, false) {
						return fault(ctx)
					}
					return nil
				}
				r := run(t, queue, always(handler.Terminated))
				time.Sleep(3 * time.Minute)
				equal(t, "clients", queue.clientsMade(), 2)
				equal(t, "settled", len(queue.operations()), 3)
				if name == "panic" {
					equal(t, "asked for after the panic", queue.demands()[1], 1)
				}
				r.end()
			})
		})
	}
}

func TestSilenceIsProvedToBeIdleness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		var dead atomic.Bool
		queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "probe" && dead.Load() && queue.clientsMade() == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(10 * time.Minute)
		equal(t, "clients while the broker answers probes", queue.clientsMade(), 1)
		dead.Store(true)
		time.Sleep(2 * time.Minute)
		equal(t, "clients after a probe went unanswered", queue.clientsMade(), 2)
		r.end()
	})
}

func TestPanicStaysWithItsMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		last := message("poison", 1)
		last.DeliveryCount = 9 // the queue's limit of 10 is reached with this delivery
		queue := newScripted(last, message("good", 2))
		r := run(t, queue, decisions(func(_ context.Context, m handler.Message) handler.Result {
			if m.RequestIdentity == "poison" {
				panic("nil map")
			}
			return handler.Result{Outcome: handler.Terminated}
		}))
		synctest.Wait()
		got := queue.operations()
		slices.Sort(got)
		equal(t, "operations", got, []string{"complete good", "dead-letter crash_suspect poison"})
		r.end()
	})
}

func TestDrainFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(4)...)
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(10 * time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(time.Second)
		queue.add(message("late", 99))
		report := r.end()
		equal(t, "report", report, Report{Finished: 4, Took: 9 * time.Second})
		equal(t, "deliveries of what came late", queue.active[0].DeliveryCount, uint32(0))
	})
}

// P5, P8: a straggler costs no delivery count and does not outlast the grace period.
func TestDrainHandsStragglersBackWithinTheGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(6)...)
		r := run(t, queue, decisions(func(ctx context.Context, _ handler.Message) handler.Result {
			<-ctx.Done()
			return handler.Result{Outcome: handler.Draining, Request: handler.Request{Endpoint: account}}
		}), func(c *Config) { c.Concurrency, c.ReadyBuffer = 4, 1 })
		time.Sleep(time.Second)
		report := r.end()
		if report.HandedBack != 5 || report.Left != 0 || report.Took > r.config.Grace-exitReserve {
			t.Errorf("report %+v; want 5 handed back (4 at work, 1 ready) within %v", report, r.config.Grace-exitReserve)
		}
		for _, c := range queue.copies() {
			if _, delayed := c.MessageAnnotations[scheduledEnqueueTime]; delayed {
				t.Error("a copy of a drained message waits; it must be there for the next worker at once")
			}
		}
		equal(t, "abandoned", strings.Contains(strings.Join(queue.operations(), " "), "abandon"), false)
	})
}

func TestDrainEndsInTimeWhenNothingAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(4)...)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "send" || op == "complete" {
				time.Sleep(20 * time.Second)
				return errors.New("too late")
			}
			return nil
		}
		r := run(t, queue, decisions(func(ctx context.Context, _ handler.Message) handler.Result {
			<-ctx.Done()
			return handler.Result{Outcome: handler.Draining, Request: handler.Request{Endpoint: account}}
		}))
		time.Sleep(time.Second)
		report := r.end()
		if report.Left != 4 || report.Took > r.config.Grace-exitReserve {
			t.Errorf("report %+v; want 4 left to their locks within %v", report, r.config.Grace-exitReserve)
		}
		time.Sleep(time.Hour) // the scripted broker's late answers
	})
}

// Without the right to send there are no copies: the request is abandoned, and people are told at the start.
func TestWithoutTheRightToSendARequestIsAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "open" {
				return denied()
			}
			return nil
		}
		r := run(t, queue, always(handler.JobDisabled))
		time.Sleep(time.Minute)
		r.end()
		equal(t, "operations", queue.operations(), []string{"abandon m0"})
		equal(t, "warnings about the missing right", r.logs.FilterMessageSnippet("Azure Service Bus Data Sender").Len(), 1)
	})
}
