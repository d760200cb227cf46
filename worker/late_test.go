package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"batchterminator/handler"
)

// overruns has the n-th receive come back this late, with messages all the same.
func overruns(queue *scripted, n int32, late time.Duration) {
	var receives atomic.Int32
	queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
		if op == "receive" && receives.Add(1) == n {
			time.Sleep(late)
		}
		return nil
	}
}

// P1, P5: the locks of what comes late are ours; left alone each would burn a delivery.
func TestMessagesOfAReceiveThatWasGivenUpAreWorkedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		overruns(queue, 1, 30*time.Second)
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(29 * time.Second) // the successor has its credit out by then, and gets nothing
		queue.mu.Lock()
		queue.active = messages(1)
		queue.mu.Unlock()
		time.Sleep(time.Minute)
		equal(t, "operations", queue.operations(), []string{"complete m0"})
		equal(t, "replaced as hung", r.metric(t, "client_replacements_total", "hung"), 1.0)
		equal(t, "locks lost", r.metric(t, "locks_lost_total"), 0.0)
		r.end()
	})
}

// What comes after the intake has ended finds nobody to work on it, and must not hold the process up.
func TestMessagesThatComeAfterTheEndAreLeftToTheirLocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		overruns(queue, 1, 30*time.Second)
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(time.Second)
		report := r.end()
		queue.add(messages(1)...)
		time.Sleep(time.Minute)
		equal(t, "operations", queue.operations(), nil)
		equal(t, "warnings", r.logs.FilterMessageSnippet("after the end of the intake").Len(), 1)
		if report.Took > 5*time.Second {
			t.Errorf("the end took %v", report.Took)
		}
	})
}

// Scorecard: F20, R5.
// Renewals that are refused while receives work would go on until every lock is lost.
func TestRefusedRenewalsReplaceTheClientWithinALock(t *testing.T) {
	t.Parallel()
	hang := errors.New("no answer")
	for name, c := range map[string]struct {
		answer error
		within time.Duration
	}{
		"unauthorized": {denied(), 37 * time.Second},
		"detached":     {&amqp.LinkError{RemoteErr: &amqp.Error{Condition: amqp.ErrCondNotAllowed}}, 37 * time.Second},
		"no answer":    {hang, 50 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(3)...)
				queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op != "renew" || queue.clientsMade() > 1 {
						return nil
					}
					if errors.Is(c.answer, hang) {
						<-ctx.Done()
						return ctx.Err()
					}
					return c.answer
				}
				r := run(t, queue, decisions(func(ctx context.Context, _ handler.Message) handler.Result {
					select {
					case <-time.After(3 * time.Minute):
						return handler.Result{Outcome: handler.Terminated}
					case <-ctx.Done():
						return handler.Result{Outcome: handler.LockLost}
					}
				}))
				time.Sleep(c.within)
				equal(t, "clients, replaced for their renewals", [2]float64{float64(queue.clientsMade()), r.metric(t, "client_replacements_total", "renew")}, [2]float64{2, 1})
				time.Sleep(3 * time.Minute)
				equal(t, "settled", len(queue.operations()), 3)
				equal(t, "locks lost", r.metric(t, "locks_lost_total"), 0.0)
				r.end()
			})
		})
	}
}

// The right is gone for good, or so it seems: nothing is received that could not be kept, and the worker waits.
func TestNothingIsReceivedWhileRenewalsAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		var refused atomic.Bool
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if refused.Load() && (op == "renew" || op == "probe") {
				return denied()
			}
			return nil
		}
		r := run(t, queue, decisions(func(ctx context.Context, m handler.Message) handler.Result {
			refused.CompareAndSwap(false, m.RequestIdentity == "m0")
			select {
			case <-time.After(45 * time.Second):
			case <-ctx.Done():
			}
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(40 * time.Second)
		queue.add(message("later", 9))
		receives := len(queue.demands())
		time.Sleep(20 * time.Minute)
		equal(t, "receives", len(queue.demands()), receives)
		equal(t, "attached", r.Status().Attached, false)
		refused.Store(false)
		time.Sleep(lastReconnect + time.Minute)
		equal(t, "last operation", queue.operations()[len(queue.operations())-1], "complete later")
		r.end()
	})
}
