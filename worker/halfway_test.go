package worker_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// A worker ends between the copy and the completion of the original, with all that it knew: both are there for the next
// one. Whichever comes first, the task is terminated once and each message ends once; and while the job stays disabled,
// duplicate detection keeps the request a single chain of copies.
//
// Scorecard: F18, R15.
func TestEndBetweenCopyAndCompletion(t *testing.T) {
	t.Parallel()
	for first, lock := range map[string]time.Duration{"the original": 5 * time.Second, "the copy": 5 * time.Minute} {
		for _, detection := range []bool{false, true} {
			for _, disabled := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s comes first, duplicate detection %v, job still disabled %v", first, detection, disabled), func(t *testing.T) {
					t.Parallel()
					queue := servicebustest.QueueConfig{LockDuration: lock, RequiresDuplicateDetection: detection, DuplicateDetectionWindow: time.Hour}
					inBubble(t, queue, func(t *testing.T, s *stack) { endsHalfway(t, s, detection, disabled) })
				})
			}
		}
	}
}

func endsHalfway(t *testing.T, s *stack, detection, disabled bool) {
	refused := s.account.OnNext(batchtest.Status(http.StatusConflict, "JobDisabled", 0), batchtest.Keep())
	time.Sleep(time.Second) // connected
	heal, healToken := s.strike(servicebustest.Settle, servicebustest.Swallow()), s.strike(servicebustest.Management, servicebustest.Swallow())
	s.task(t, "a")
	s.until(t, time.Minute, "the copy", func(c servicebustest.Counts) bool { return c.Scheduled == 1 })
	equal(t, "left", s.end().Left, 1)
	heal()
	healToken()
	if !disabled {
		refused.Remove()
	}
	s.start(t)
	time.Sleep(10 * time.Minute) // time for both to be handled, and to come back
	if c := s.queue.Counts(); disabled && detection {
		equal(t, "messages that carry the request", c.Active+c.Locked+c.Scheduled, 1)
	}
	refused.Remove()
	s.until(t, 2*time.Hour, "an empty queue", empty)
	equal(t, "terminations", s.account.Terminations("j", "a"), 1)
	equal(t, "dead letters", s.deadLetters(), nil)
	equal(t, "burned deliveries: the one that the end left locked", s.burned(), 1)
	for _, m := range s.queue.Ledger() {
		ends := 0
		for _, e := range m.Events {
			if e.Kind == servicebustest.EventCompleted {
				ends++
			}
		}
		if ends > 1 {
			t.Errorf("message %s was completed %d times", m.MessageID, ends)
		}
	}
}
