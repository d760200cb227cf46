package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
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

// Scorecard: F5, R4.
// A renewal that hangs must not keep the lock's timer, or another message's, from doing its work.
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

// I4: the broker may have given the message to someone else; a renewal without an answer must not stretch the work.
//
// Scorecard: A7, F7.
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
//
// Scorecard: F15.
func TestLockIsKeptWhateverTheBrokersClockSays(t *testing.T) {
	t.Parallel()
	for name, adjust := range map[string]func(*scripted){
		"an hour behind":    func(s *scripted) { s.skew = -time.Hour },
		"a bit ahead":       func(s *scripted) { s.skew = 20 * time.Second },
		"an hour ahead":     func(s *scripted) { s.skew = time.Hour },
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

// A message that waits for a handler holds a lock too: it is renewed, and when it is lost nobody works on the message.
func TestLockOfAWaitingMessage(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"is kept": false, "is lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(5)...)
				var handled sync.Map
				queue.before = func(_ context.Context, op string, m *azservicebus.ReceivedMessage) error {
					if lost && op == "renew" {
						queue.mu.Lock()
						defer queue.mu.Unlock()
						if _, ok := handled.Load(queue.locked[m.LockToken].MessageID); !ok {
							return lostLock()
						}
					}
					return nil
				}
				r := run(t, queue, decisions(func(_ context.Context, m handler.Message) handler.Result {
					handled.Store(m.RequestIdentity, true)
					time.Sleep(3 * time.Minute)
					return handler.Result{Outcome: handler.Terminated}
				}), func(c *Config) { c.ReadyBuffer = 1 })
				time.Sleep(10 * time.Minute)
				r.end()
				got := r.outcomes()
				if want := map[bool]string{true: "lock_lost", false: "terminated"}[lost]; len(got) != 5 || !slices.Contains(got, want) || slices.Contains(got, "lock_lost") != lost {
					t.Errorf("outcomes %v; want five, %s among them", got, want)
				}
				equal(t, "settled", len(queue.operations()), map[bool]int{true: 4, false: 5}[lost])
				equal(t, "locks lost", r.metric(t, "locks_lost_total"), map[bool]float64{true: 1}[lost])
			})
		})
	}
}

// Scorecard: R30.
func TestLockIsNotHeldLongerThanAllowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration // read after the worker's end
		start := time.Now()
		r := run(t, newScripted(messages(1)...), decisions(func(ctx context.Context, _ handler.Message) handler.Result {
			<-ctx.Done()
			took = time.Since(start)
			return handler.Result{Outcome: handler.LockLost}
		}), func(c *Config) { c.MaxLock = 5 * time.Minute })
		time.Sleep(time.Hour)
		r.end()
		if took < 5*time.Minute || took > 6*time.Minute {
			t.Errorf("the work was ended after %v; want the first renewal after 5 minutes to be the last", took)
		}
	})
}
