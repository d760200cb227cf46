package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// A message whose time ends while it waits for its turn is not acted upon; nor is one whose time ended in the queue.
//
// Scorecard: M9.
func TestRequestThatOutlivesItsTimeMakesNoCall(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{DeadLetterOnExpiration: true}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(30*time.Second), batchtest.Times(4))
		s.task(t, "a", "b", "c", "d") // all there is to work with
		time.Sleep(time.Second)
		for _, m := range []servicebustest.Message{{ID: "waits here", TTL: 20 * time.Second}, {ID: "waits there", TTL: 20 * time.Second}, {ID: "lives", TTL: time.Minute}} {
			task := strings.ReplaceAll(m.ID, " ", "-")
			s.account.AddTask("j", task, batchtest.TaskRunning)
			m.Body = []byte(`{"jobId":"j","taskId":"` + task + `"}`)
			if _, err := s.queue.Send(m); err != nil {
				t.Fatal(err)
			}
		}
		s.until(t, 5*time.Minute, "an empty queue", empty)
		equal(t, "calls", s.account.CallCount(), 5)
		equal(t, "terminations of the one that lives", s.account.Terminations("j", "lives"), 1)
		equal(t, "dead letters", s.deadLetters(), []string{"waits here: expired", "waits there: TTLExpiredException"})
	}, func(s *stack) { s.config.Concurrency, s.config.ReadyBuffer = 4, 1 })
}

// Whatever the broker says that the time is, of whatever place in the queue: a message that has time left is acted upon once.
//
// Scorecard: M9, F15, S6.
func TestBrokersClockDecidesOverNoRequest(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-24 * time.Hour, -time.Hour, -10 * time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{LockDuration: 30 * time.Second}, func(t *testing.T, s *stack) {
				s.bus.SkewClock(skew)
				s.bus.OnNext(servicebustest.Deliver, servicebustest.Alter(servicebustest.Annotation("x-opt-sequence-number", int64(0))), servicebustest.Times(5))
				s.account.OnNext(batchtest.Delay(31*time.Second), batchtest.Times(2)) // longer than the lock
				for i := range 10 {
					id := fmt.Sprint("t", i)
					s.account.AddTask("j", id, batchtest.TaskRunning)
					if _, err := s.queue.Send(servicebustest.Message{ID: id, Body: []byte(fmt.Sprintf(`{"jobId":"j","taskId":%q}`, id)), TTL: 5 * time.Minute}); err != nil {
						t.Fatal(err)
					}
				}
				s.until(t, 4*time.Minute, "an empty queue", empty)
				equal(t, "completed", s.queue.Counts().Completed, 10)
				equal(t, "burned deliveries", s.burned(), 0)
				for i := range 10 {
					equal(t, "terminations", s.account.Terminations("j", fmt.Sprint("t", i)), 1)
				}
			})
		})
	}
}

// One request published ten thousand times, and requests whose names differ in one letter: each message ends, each task is
// terminated once, each request has one identity and no other's.
//
// Scorecard: M11, M12.
func TestRequestsAreToldApartAndTogether(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		const same = 10_000
		s.account.AddTask("j", "same", batchtest.TaskRunning)
		for i := range same {
			s.send(t, fmt.Sprint("same", i%7), `{"jobId":"j","taskId":"same","clientRequestId":"0f3c1d52-6a7e-4b58-9a44-2d1c8e5b7f10"}`)
		}
		var ids []string
		for c := byte('a'); c <= 'z'; c++ {
			ids = append(ids, "task-"+string(c), "task-"+string(c)+string(c), "task-_"+string(c))
		}
		s.task(t, ids...)
		s.until(t, time.Hour, "an empty queue", empty)
		equal(t, "completed", s.queue.Counts().Completed, same+len(ids))
		equal(t, "terminations of the same", s.account.Terminations("j", "same"), 1)
		equal(t, "burned deliveries", s.burned(), 0)
		names := map[string]string{}
		for _, call := range s.account.Calls() {
			id := call.Header.Get("client-request-id")
			if task, ok := names[id]; ok && task != call.TaskID {
				t.Errorf("%s and %s were called as %s", task, call.TaskID, id)
			}
			names[id] = call.TaskID
		}
		equal(t, "identities", len(names), 1+len(ids))
	}, func(s *stack) { s.config.Concurrency = 64 })
}
