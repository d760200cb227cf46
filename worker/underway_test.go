package worker_test

import (
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// Scorecard: A9, F10.
func TestMessageThatArrivesTwiceUnderOneLockIsCalledOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(5*time.Second), batchtest.Keep())
		s.bus.OnNext(servicebustest.Deliver, servicebustest.Duplicate())
		s.task(t, "a")
		s.until(t, time.Minute, "an empty queue", empty)
		equal(t, "calls", s.account.CallCount(), 1)
		equal(t, "outcomes", s.outcomes(), map[string]int{"terminated": 1, "lock_lost": 1})
	})
}

// The broker ends the lock early, and the worker cannot know: its lock looks good until it is renewed.
// Scorecard: A7, A9, F7.
func TestMessageThatArrivesAgainDuringItsCallWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(15*time.Second), batchtest.Keep())
		s.bus.OnNext(servicebustest.Deliver, servicebustest.ExpireLock(5*time.Second))
		s.task(t, "a")
		s.until(t, time.Minute, "an empty queue", empty)
		equal(t, "calls at once", s.account.MaxInFlight(), 1)
		equal(t, "calls", s.account.CallCount(), 1) // the second delivery is settled by what the first came to
		equal(t, "outcomes", s.outcomes(), map[string]int{"terminated": 1, "duplicate_delivery": 1})
	})
}
