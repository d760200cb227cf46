package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/handler"
)

// The process stood still, and of what was due meanwhile a call comes first, before the end of its lock: there is none.
//
// Scorecard: S3.
func TestCallAfterAStandstillIsNotMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, newScripted(), always(handler.Terminated))
		m := message("a", 1)
		until := time.Now().Add(10 * time.Second)
		m.LockedUntil = &until
		l := r.hold(newDelivery(&client{connection: new(connection)}, m))
		if _, _, ok := r.gates.Admit(l, account); !ok {
			t.Fatal("not admitted while the lock holds")
		}
		r.gates.Observe(account, handler.Terminated, 0)
		l.timer.Stop() // nothing has run since
		time.Sleep(10 * time.Second)
		if _, _, ok := r.gates.Admit(l, account); ok || !errors.Is(context.Cause(l), handler.ErrLockLost) {
			t.Errorf("admitted: %v, with cause %v", ok, context.Cause(l))
		}
		equal(t, "places taken", r.gates.gates[account].calls, 0)
		equal(t, "locks lost", r.metric(t, "locks_lost_total"), 1.0)
		l.stop()
		r.end()
	})
}
