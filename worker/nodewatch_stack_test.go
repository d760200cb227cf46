package worker_test

import (
	"strconv"
	"testing"
	"time"

	"batchterminator/handler"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// To renew a lock over a management link that the broker has ended, the SDK closes the receive link too, and what it has
// received but not handed over is lost with it. So the client is replaced long before that. Found by a simulated day, seed
// 20: thirteen messages on a slow line, as the gate closed and one settlement went over the other link.
//
// Scorecard: F20.
func TestEndOfTheManagementLinkEndsTheClientBeforeTheNextRenewal(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.task(t, "held")
		s.until(t, time.Minute, "the delivery", func(c servicebustest.Counts) bool { return c.Locked == 1 })
		s.bus.DetachLinks(queueName+"/$management", "amqp:link:detach-forced", "idle for 10 minutes")
		time.Sleep(time.Second)
		equal(t, "replaced during renew", s.replaced("renew"), 1)
		s.until(t, 5*time.Minute, "the completion", func(c servicebustest.Counts) bool { return c.Completed == 1 })
		equal(t, "burned deliveries", s.burned(), 0)
	}, func(s *stack) {
		s.wrap = func(h worker.Handler) worker.Handler { return slowly{h, 2 * time.Minute} }
	})
}

// Service Bus ends a management link that nobody has used for ten minutes, and calls that take no renewal never use it.
//
// Scorecard: F3.
func TestManagementLinkDoesNotEndForWantOfUse(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		const requests = 240
		for i := range requests {
			s.task(t, strconv.Itoa(i))
			time.Sleep(15 * time.Second) // less than it takes for the queue to be looked into
		}
		equal(t, "completed", s.outcomes()[handler.Terminated.String()], requests)
		for _, cause := range []string{"renew", "probe", "receive", "settle"} {
			equal(t, "replaced during "+cause, s.replaced(cause), 0)
		}
	})
}
