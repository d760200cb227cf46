package worker

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

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

// A renewal that hangs keeps neither the settlement waiting nor the slot taken.
func TestHangingRenewalDelaysNoSettlement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		renewing := make(chan struct{})
		queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "renew" {
				close(renewing)
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			<-renewing
			time.Sleep(time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}))
		<-renewing
		time.Sleep(time.Second)
		synctest.Wait()
		equal(t, "operations", queue.operations(), []string{"complete m0"})
		r.end()
	})
}

// I4: the broker may have given the message to someone else; a renewal without an answer must not stretch the work.
func TestWorkEndsWithItsLock(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]string{"renewals hang": "renew", "no connection": "dial"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(1)...)
				queue.lockFor = 6 * time.Second
				var started atomic.Bool
				queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op == fault && started.Load() {
						if op == "renew" {
							<-ctx.Done()
						}
						return errors.New("no answer")
					}
					return nil
				}
				start, took := time.Now(), make(chan time.Duration, 1)
				r := run(t, queue, decisions(func(ctx context.Context, _ handler.Message) handler.Result {
					started.Store(true)
					<-ctx.Done()
					took <- time.Since(start)
					return handler.Result{Outcome: handler.LockLost}
				}))
				time.Sleep(time.Second)
				if fault == "dial" {
					c, err := r.clients.get(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					c.fail("receive", errLinkFailed)
				}
				if d := <-took; d > queue.lockFor {
					t.Errorf("the work went on until %v under a lock of %v", d, queue.lockFor)
				}
				r.end()
			})
		})
	}
}

// S6: the broker's clock is not ours. Whatever it says, a lock is renewed in time and at a pace.
func TestLockIsKeptWhateverTheBrokersClockSays(t *testing.T) {
	t.Parallel()
	for name, adjust := range map[string]func(*scripted){
		"an hour behind":    func(s *scripted) { s.skew = -time.Hour },
		"a bit ahead":       func(s *scripted) { s.skew = 20 * time.Second },
		"says nothing":      func(s *scripted) { s.silent = true },
		"the shortest lock": func(s *scripted) { s.lockFor = shortestLock },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var renewals atomic.Int32
				queue := newScripted(messages(1)...)
				adjust(queue)
				queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op == "renew" && renewals.Add(1) > 1000 {
						panic("renewals without a pause")
					}
					return nil
				}
				r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
					time.Sleep(5 * time.Minute)
					return handler.Result{Outcome: handler.Terminated}
				}))
				time.Sleep(10 * time.Minute)
				equal(t, "operations", queue.operations(), []string{"complete m0"})
				if n := renewals.Load(); n > 120 {
					t.Errorf("%d renewals in 5 min; want at most one each 2.5 s", n)
				}
				r.end()
			})
		})
	}
}

// Service Bus grants 5 s to 5 min; what says otherwise is the difference of two clocks.
func TestGrantedTimeIsBoundedByWhatServiceBusGrants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for said, want := range map[time.Duration]time.Duration{
			-time.Hour: shortestLock, 0: shortestLock, time.Second: shortestLock, 30 * time.Second: 30 * time.Second,
			5 * time.Minute: 5 * time.Minute, time.Hour: longestLock,
		} {
			until := time.Now().Round(0).Add(said) // as off the wire, without a monotonic reading
			equal(t, "time left of "+said.String(), time.Until(granted(&until)), want)
		}
		equal(t, "time left of an unknown lock", time.Until(granted(nil)), shortestLock)
	})
}

func TestLostLockIsCountedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(2)...)
		queue.before = func(_ context.Context, op string, m *azservicebus.ReceivedMessage) error {
			if op == "renew" || op == "complete" {
				return lostLock()
			}
			return nil
		}
		r := run(t, queue, decisions(func(ctx context.Context, m handler.Message) handler.Result {
			if m.RequestIdentity == "m0" {
				<-ctx.Done() // its lock is lost, and its answer arrives all the same
			}
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(time.Minute)
		r.end()
		equal(t, "locks lost, one during the work and one at the settlement", r.metric(t, "locks_lost_total"), 2.0)
	})
}

// With every settlement slow, a decided message waits for its turn; its lock is kept meanwhile.
func TestLockIsKeptWhileTheSettlementWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(3)...)
		queue.lockFor = shortestLock
		stalled := time.Now().Add(7 * time.Second)
		queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "complete" && time.Now().Before(stalled) {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated), func(c *Config) { c.Concurrency = 1 })
		time.Sleep(time.Minute)
		r.end()
		equal(t, "the one that waited is settled", slices.Contains(queue.operations(), "complete m2"), true)
	})
}
