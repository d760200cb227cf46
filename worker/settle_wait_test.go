package worker_test

import (
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// Who gives a settlement up while the broker cannot be reached, though the lock stands, burns the delivery.
//
// Scorecard: A12, F12.
func TestSettlementWaitsForAConnectionAsLongAsItsLockLasts(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{LockDuration: time.Minute}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(5*time.Second), batchtest.Keep())
		s.task(t, "a", "b", "c")
		time.Sleep(2 * time.Second)
		heal := s.dialTo(refused)
		s.bus.DropConnections()
		time.Sleep(15 * time.Second)
		heal()
		s.until(t, time.Minute, "an empty queue", empty)
		equal(t, "burned", s.burned(), 0)
		equal(t, "outcomes", s.outcomes(), map[string]int{"terminated": 3})
	})
}
