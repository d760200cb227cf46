package worker_test

import (
	"fmt"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// The estimate through the real SDK, beside the broker's own count; and an outage, which the queue's length does not show.
func TestDemandFollowsTheBacklogAndEndsWithAnOutage(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(time.Second), batchtest.Keep())
		for i := range 700 {
			s.task(t, fmt.Sprint("t", i))
		}
		time.Sleep(31 * time.Second)
		left := s.queue.Counts()
		seen := s.worker.Demand().Seconds()
		if want := float64(left.Active + left.Locked); seen < want*.9 || seen > want*1.1 {
			t.Errorf("%v s of work wanted, %v messages of 1 s are left", seen, want)
		}
		outage := s.account.OnNext(batchtest.OutageFor(10*time.Minute, 503))
		time.Sleep(5 * time.Minute)
		if got := s.worker.Demand(); got != 0 || s.queue.Counts().Active < 300 {
			t.Errorf("%v wanted in an outage, with %+v", got, s.queue.Counts())
		}
		outage.Remove()
		time.Sleep(time.Minute)
		if got := s.worker.Demand(); got < 100*time.Second {
			t.Errorf("%v wanted after it, with %+v", got, s.queue.Counts())
		}
		if s.burned() != 0 {
			t.Errorf("%d burned", s.burned())
		}
	})
}
