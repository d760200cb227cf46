package worker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest"
)

// replaced counts the clients that ended for this cause, as logged.
func (s *stack) replaced(during string) (n int) {
	for _, e := range s.logs.FilterMessageSnippet("connection to Service Bus failed").All() {
		if e.ContextMap()["during"] == during {
			n++
		}
	}
	return n
}

// Scorecard: F1, A15, R1, R2.
func TestF1MessageBehindAMuteLinkIsProcessedWithinAMinute(t *testing.T) {
	t.Parallel()
	for name, strike := range map[string]func(*stack){
		"mute while idle": func(s *stack) { s.bus.MuteLinks(queueName, true) },
		// The broker has locked the message for the dead link.
		"mute from this delivery on": func(s *stack) { s.bus.OnNext(servicebustest.Deliver, servicebustest.MuteLink()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				time.Sleep(5 * time.Minute)
				strike(s)
				synctest.Wait()
				s.task(t, "a")
				s.until(t, time.Minute, "the completion", func(c servicebustest.Counts) bool { return c.Completed == 1 })
				equal(t, "replaced as stalled", s.replaced("stalled"), 1)
				equal(t, "burned deliveries", s.burned(), 0)
				equal(t, "terminations", s.account.Terminations("j", "a"), 1)
				s.task(t, "b")
				s.until(t, time.Second, "the next completion", func(c servicebustest.Counts) bool { return c.Completed == 2 })
			})
		})
	}
}

// Six hours without a message: the link is made anew now and then, nothing piles up, and the first message is taken at once.
func TestIdleHoursEndWithTheFirstMessage(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		time.Sleep(6*time.Hour + time.Minute)
		equal(t, "connections", s.bus.Connections(), 1)
		s.task(t, "a")
		s.until(t, time.Second, "the completion", func(c servicebustest.Counts) bool { return c.Completed == 1 })
	})
}
