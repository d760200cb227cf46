package worker_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// While part of the answers are failures everything goes on; when all of them are, intake stops and the queue waits. After ten
// minutes of either, what is new is done at once.
//
// Scorecard: H10, R12, R16.
func TestFailuresOfAPartAreWorkedThroughAndThoseOfAllAreWaitedOut(t *testing.T) {
	t.Parallel()
	const lasting, each = 10 * time.Minute, 500 * time.Millisecond
	for name, c := range map[string]struct {
		status, every int
		finished      int // of 1,200 requests while it lasts, at least
		calls         int // while it lasts, at most
	}{
		"5 % fail":       {http.StatusInternalServerError, 20, 1100, 1400},
		"50 % fail":      {http.StatusInternalServerError, 2, 1000, 2500},
		"all fail":       {http.StatusInternalServerError, 1, 0, 100},
		"5 % throttled":  {http.StatusServiceUnavailable, 20, 1100, 1400},
		"50 % throttled": {http.StatusServiceUnavailable, 2, 200, 1200}, // each one asks for a pause of all
		"all throttled":  {http.StatusServiceUnavailable, 1, 0, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				rule := s.account.OnNext(batchtest.Status(c.status, "", batchtest.NoRetryAfter), batchtest.Keep(), batchtest.EveryNth(c.every))
				for n := range int(lasting / each) {
					s.task(t, fmt.Sprintf("t%04d", n))
					time.Sleep(each)
				}
				during, finished := s.account.CallCount(), s.outcomes()["terminated"]
				if during > c.calls || finished < c.finished {
					t.Errorf("%d calls, %d requests finished; want at most %d, at least %d", during, finished, c.calls, c.finished)
				}
				rule.Remove()
				healed := time.Now()
				s.until(t, time.Hour, "an empty queue", empty)
				t.Logf("%d calls and %d finished meanwhile, all done %v after", during, finished, time.Since(healed))
				equal(t, "burned deliveries", s.burned(), 0)
				equal(t, "dead letters", s.deadLetters(), nil)
				for n := range int(lasting / each) {
					equal(t, "terminations", s.account.Terminations("j", fmt.Sprintf("t%04d", n)), 1)
				}
			})
		})
	}
}
