package worker

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/handler"
)

// A handler that does not return keeps its slot for ever, and nothing else shows it. One that ends with its lock is waited for.
//
// Scorecard: S9, R30.
func TestHandlerThatIgnoresTheEndOfItsLockEndsTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(3)...)
		forever := make(chan struct{})
		r := run(t, queue, decisions(func(ctx context.Context, m handler.Message) handler.Result {
			switch m.RequestIdentity {
			case "m0":
				<-forever
			case "m1":
				<-ctx.Done()
				return handler.Result{Outcome: handler.LockLost}
			}
			return handler.Result{Outcome: handler.Terminated}
		}))
		start, overdue := time.Now(), r.config.MaxLock+longestLock+lifeless
		report := r.ended(t, time.Hour)
		wantStuck(t, report, "message 1 has been under way")
		if took := time.Since(start); took < overdue || took > overdue+2*checkEvery+r.config.Grace {
			t.Errorf("ended after %v; want a little more than %v", took, overdue)
		}
		equal(t, "left", report.Left, 1)
		close(forever)
		time.Sleep(time.Minute)
	})
}

// After a machine that stood still all deliveries are late; they end by themselves.
func TestDeliveryThatIsLateForAMomentDoesNotEndTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		late := &delivery{received: time.Now().Add(-time.Hour)}
		var looks atomic.Int32
		d := &watchdog{fetching: &pulse{}, connecting: &pulse{}, stuck: &atomic.Int64{}, overdue: time.Minute,
			deliveries: func() (int, int) { return 0, 0 }, cpu: func() (time.Duration, bool) { return 0, false },
			oldest: func() *delivery {
				if looks.Add(1)%2 == 0 {
					return late
				}
				return &delivery{received: time.Now()}
			}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := d.watch(ctx); err != nil {
			t.Error(err)
		}
	})
}
