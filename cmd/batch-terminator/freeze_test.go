//go:build unix

package main

import (
	"syscall"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// A worker stands still for longer than its locks, as in a pause of its machine, and another one does its work meanwhile.
// When it goes on it calls for nothing any more, and none of its settlements takes effect.
//
// Scorecard: S3.
func TestWorkerThatStoodStillTrustsItsLocksNoMore(t *testing.T) {
	t.Parallel()
	s := newSite(t, servicebustest.QueueConfig{}, "CONCURRENCY=4", "READY_BUFFER=1")
	s.account.OnNext(batchtest.Delay(4*time.Second), batchtest.Times(4)) // the fifth waits under lock for one of their places
	s.send(t, "a", "b", "c", "d", "e")
	frozen := s.start(t)
	eventually(t, "four calls and five locks", func() bool { return s.account.MaxInFlight() == 4 && s.queue.Counts().Locked == 5 })
	frozen.signal(t, syscall.SIGSTOP)
	eventually(t, "the end of its locks", func() bool { return s.count(servicebustest.EventLockExpired) == 5 })
	other := s.start(t)
	s.until(t, "an empty queue", empty)
	frozen.signal(t, syscall.SIGCONT)
	frozen.stop(t)
	other.stop(t)
	s.holds(t)
	if n := s.account.CallCount(); n != 9 {
		t.Errorf("%d calls, want 9: four before the standstill, and the other's five", n)
	}
	if n := s.count(servicebustest.EventLockExpired) + s.count(servicebustest.EventAbandoned); n != 5 {
		t.Errorf("%d burned deliveries, want 5: what was locked at the standstill", n)
	}
}
