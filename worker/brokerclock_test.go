package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/handler"
)

// grantedNow returns how much of a lock is left by our clock that the broker says ends so much later.
func grantedNow(b *brokerClock, said time.Duration) time.Duration {
	now := time.Now()
	until := now.Round(0).Add(said) // as off the wire, without a monotonic reading
	return b.granted(&until, 0, now).Sub(now)
}

// Service Bus grants 5 s to 5 min; what says otherwise is the difference of two clocks.
func TestGrantedTimeIsBoundedByWhatServiceBusGrants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for said, want := range map[time.Duration]time.Duration{
			-time.Hour: shortestLock, 0: shortestLock, time.Second: shortestLock, 30 * time.Second: 30 * time.Second,
			5 * time.Minute: 5 * time.Minute, 5*time.Minute + 1: 5 * time.Minute, 6 * time.Minute: 5 * time.Minute, 6*time.Minute + 1: shortestLock, time.Hour: shortestLock,
		} {
			equal(t, "time left of "+said.String(), grantedNow(new(brokerClock), said), want)
		}
		equal(t, "time left of an unknown lock", time.Until(new(brokerClock).granted(nil, 0, time.Now())), shortestLock)
	})
}

// Found by review: a lock of the longest kind was believed for 5 s where the broker's clock was ahead of ours by anything at all.
func TestLongestLockIsBelievedWhoseClockIsAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := new(brokerClock)
		const ahead = 20 * time.Second
		equal(t, "left of a lock", grantedNow(b, longestLock+ahead), longestLock)
		equal(t, "left of one that came 50 s later", grantedNow(b, longestLock+ahead-50*time.Second), longestLock-50*time.Second)
	})
}

// A process that stood still with its first message on its way finds a lock that may have ended long ago, and takes no clock
// for wrong.
func TestGrantedTimeShrinksByAStandstill(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for lasted, want := range map[time.Duration]time.Duration{
		0: shortestLock, pollLimit + guardMargin: shortestLock, pollLimit + guardMargin + time.Second: shortestLock - time.Second,
		pollLimit + guardMargin + shortestLock: 0,
	} {
		received := func(until *time.Time) time.Duration {
			c := &client{connection: new(connection)}
			c.owes(lent{asked: now.Add(-lasted)})
			return c.lockEnds(until, now).Sub(now)
		}
		past, alive := now.Add(-time.Second), now.Add(30*time.Second)
		for _, until := range []*time.Time{nil, &past} {
			equal(t, "time left after "+lasted.String(), received(until), want)
		}
		equal(t, "time left of a lock that lives", received(&alive), 30*time.Second)
	}
}

// A grant that comes later than others did, by whatever clock, has met a standstill, of the process or of the network: it is
// sure for so much less. What the others told is known after any pause, and forgotten when two later spans tell otherwise.
//
// Scorecard: S3.
func TestLateGrantIsSureForLess(t *testing.T) {
	t.Parallel()
	for name, lock := range map[string]time.Duration{"shortest": shortestLock, "usual": 30 * time.Second, "longest": longestLock} {
		for _, ahead := range []time.Duration{-time.Hour, -3 * time.Second, 0} { // the broker's clock, which is not believed when it is behind
			t.Run(name+", "+ahead.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					var b brokerClock
					grant := func(late time.Duration) time.Duration { return grantedNow(&b, lock+ahead-late) }
					fresh := max(lock+ahead, shortestLock)
					equal(t, "left of the first lock", grant(0), fresh)
					for range 3 {
						time.Sleep(time.Hour)
						for _, late := range []time.Duration{lock + time.Minute, lock, lock - time.Second, lock / 2, 20 * time.Millisecond} {
							equal(t, "left of one that comes late by "+late.String(), grant(late), fresh-late)
						}
						equal(t, "left of one that is broken", grant(-3*time.Hour), shortestLock)
						equal(t, "left of a fresh one", grant(0), fresh)
					}
					ahead -= 10 * time.Second // another node answers, or its clock was set
					for range 3 {
						time.Sleep(clockMemory)
						grant(0)
					}
					if left := grant(0); left < shortestLock {
						t.Errorf("%v left of a fresh lock, three spans after the clock was set", left)
					}
				})
			})
		}
	}
}

// Our own clock may be set: by itself that makes no grant late, and what the next grant says is believed by the new clock.
//
// Scorecard: S6.
func TestClockThatIsSetMakesNoGrantLate(t *testing.T) {
	t.Parallel()
	for _, forward := range []time.Duration{-time.Hour, -10 * time.Second, 10 * time.Second, time.Minute} {
		t.Run(forward.String(), func(t *testing.T) {
			t.Parallel()
			var b brokerClock
			wrong := 30*time.Second + forward // the broker says 30 s, by our clock after that
			grantedNow(&b, wrong)
			b.set(forward)
			equal(t, "left of a fresh lock", grantedNow(&b, 30*time.Second).Round(time.Millisecond), 30*time.Second)
			equal(t, "left of one that is late", grantedNow(&b, time.Second).Round(time.Millisecond), time.Second)
		})
	}
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
	var b brokerClock
	for name, at := range map[string]time.Time{
		"a lock": b.granted(&until, 0, time.Now()), "a lock without an end": b.granted(nil, 0, time.Now()),
		"a pause": g.gates[account].closed[causeThrottle].until,
	} {
		if at == at.Round(0) { //nolint:staticcheck // == tells whether there is a monotonic reading, which Equal does not
			t.Errorf("%s ends at %v, on the wall clock", name, at)
		}
	}
	for _, clock := range []time.Duration{-time.Hour, -10 * time.Minute, 10 * time.Minute, time.Hour} { // ours is wrong by that
		if left := grantedNow(new(brokerClock), time.Minute-clock); left < shortestLock-time.Second || left > longestLock {
			t.Errorf("our clock is %v ahead: a lock of %v", clock, left)
		}
	}
}
