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
		l := r.hold(newDelivery(nil, m))
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

// Only what the broker says when it grants a lock is wall time. From then on locks and pauses are on the monotonic clock,
// which no setting of the clock moves: Go compares times by it where both have it.
//
// Scorecard: S6.
func TestLocksAndPausesAreOnTheMonotonicClock(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Minute).Round(0).UTC() // as from the wire
	g := newTestGates(account)
	g.Observe(account, handler.Throttled, time.Minute)
	for name, at := range map[string]time.Time{
		"a lock": granted(&until, time.Now()), "a lock without an end": granted(nil, time.Now()), "a pause": g.gates[account].closed[causeThrottle].until,
	} {
		if at == at.Round(0) { //nolint:staticcheck // == tells whether there is a monotonic reading, which Equal does not
			t.Errorf("%s ends at %v, on the wall clock", name, at)
		}
	}
	for _, clock := range []time.Duration{-time.Hour, -10 * time.Minute, 10 * time.Minute, time.Hour} { // ours is wrong by that
		wrong := time.Now().Add(time.Minute - clock).Round(0)
		if left := time.Until(granted(&wrong, time.Now())); left < shortestLock-time.Second || left > longestLock {
			t.Errorf("our clock is %v ahead: a lock of %v", clock, left)
		}
	}
}
