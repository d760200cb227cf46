package worker_test

import (
	"fmt"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// P5: a person may pause at any time, and it costs nothing.
func TestAPausedWorkerTakesNothingAndBurnsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(5*time.Second), batchtest.Keep())
		tasks := func(from, to int) {
			for i := from; i < to; i++ {
				s.task(t, fmt.Sprint("t", i))
			}
		}
		tasks(0, 20)
		time.Sleep(7 * time.Second)
		done := s.queue.Counts().Completed
		if done == 0 || done == 20 {
			t.Fatalf("%d done; want the pause in the middle of the work", done)
		}
		first := s.worker.Pause("ada")
		if again := s.worker.Pause("grace"); again != first || first.By != "ada" || s.status().Paused == nil {
			t.Errorf("a second pause: %+v, the first %+v", again, first)
		}
		time.Sleep(10 * time.Second)
		before := s.queue.Counts()
		if before.Locked != 0 || before.Completed <= done || before.Active == 0 {
			t.Errorf("what was held has not been finished, or more was taken: %+v", before)
		}
		calls := len(s.account.Calls())
		tasks(20, 60) // on the credit that was out
		s.bus.DropConnections()
		time.Sleep(time.Hour)
		if c := s.queue.Counts(); c.Locked != 0 || c.Active != before.Active+40 || len(s.account.Calls()) != calls || s.burned() != 0 {
			t.Errorf("an hour later: %+v, %d calls, %d burned", c, len(s.account.Calls())-calls, s.burned())
		}
		if !s.worker.Resume() || s.worker.Resume() {
			t.Error("want one pause to end")
		}
		s.until(t, 5*time.Minute, "the rest", empty)
		if c := s.queue.Counts(); c.Completed != 60 || s.burned() != 0 || s.status().Paused != nil {
			t.Errorf("at the end: %+v, %d burned, %+v", c, s.burned(), s.status())
		}
	})
}

func TestAPausedWorkerDrainsAsAnyOther(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		time.Sleep(time.Second)
		s.worker.Pause("ada")
		time.Sleep(time.Second) // what arrives in this moment is still taken
		s.task(t, "t")
		time.Sleep(time.Minute)
		if report := s.end(); report.Left+report.HandedBack+report.Finished != 0 || report.Took > 5*time.Second {
			t.Errorf("%+v", report)
		}
		if c := s.queue.Counts(); c.Active != 1 || s.burned() != 0 {
			t.Errorf("%+v, %d burned", c, s.burned())
		}
	})
}
