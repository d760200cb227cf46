package worker_test

import (
	"context"
	"testing"
	"time"

	"batchterminator/handler"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// slowly is a handler whose work takes a while.
type slowly struct {
	worker.Handler
	takes time.Duration
}

func (h slowly) Handle(ctx context.Context, m handler.Message) handler.Result {
	select {
	case <-time.After(h.takes):
	case <-ctx.Done():
	}
	return h.Handler.Handle(ctx, m)
}

// Two renewals go unanswered, which ends the client; the answer to the first call of the next one is lost too. What is left
// of the lock has to suffice. Found by a simulated day, seed 109.
//
// Scorecard: A8.
func TestThreeLostAnswersInARowCostNoLock(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{LockDuration: 50 * time.Second}, func(t *testing.T, s *stack) {
		s.task(t, "a")
		s.until(t, time.Minute, "the delivery", func(c servicebustest.Counts) bool { return c.Locked == 1 })
		lost := s.bus.OnNext(servicebustest.RenewLock, servicebustest.Swallow(), servicebustest.Times(3))
		s.until(t, 3*time.Minute, "the completion", func(c servicebustest.Counts) bool { return c.Completed == 1 })
		equal(t, "lost answers", lost.Fired(), 3)
		equal(t, "burned deliveries", s.burned(), 0)
		equal(t, "terminations", s.account.Terminations("j", "a"), 1)
	}, func(s *stack) {
		s.wrap = func(h worker.Handler) worker.Handler { return slowly{h, time.Minute} }
	})
}
