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

// No renewal runs into the settlement, whether it was under way or only due.
func TestRenewalsAreOverBeforeTheSettlement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		renewing := make(chan struct{}, 1)
		var inside, renewals atomic.Int32
		queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			switch op {
			case "renew":
				renewals.Add(1)
				inside.Add(1)
				defer inside.Add(-1)
				renewing <- struct{}{}
				<-ctx.Done()
				time.Sleep(guardMargin / 2)
				return ctx.Err()
			case "complete":
				equal(t, "renewals under way", inside.Load(), 0)
			}
			return nil
		}
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			<-renewing
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(2 * time.Minute)
		equal(t, "operations", queue.operations(), []string{"complete m0"})
		l := r.hold(newDelivery(&client{connection: new(connection)}, message("a", 2)))
		l.stop()
		l.renew() // it was due as the work ended
		equal(t, "renewals", renewals.Load(), 1)
		r.end()
	})
}

// The answer is certain though the lock may be gone: settling it can only help.
func TestFinishedWorkIsSettledThoughItsLockSeemsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		var tried atomic.Bool
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "complete" {
				tried.Store(true)
			}
			if op == "renew" {
				return errors.New("no answer")
			}
			return nil
		}
		r := run(t, queue, decisions(func(ctx context.Context, _ handler.Message) handler.Result {
			<-ctx.Done()
			time.Sleep(5 * time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(2 * time.Minute)
		r.end()
		equal(t, "tried", tried.Load(), true)
		equal(t, "settlements", r.metric(t, "settlements_total", "complete", "lock_lost"), 1.0)
	})
}
