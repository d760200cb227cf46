package worker_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func at[T any](v T) *T { return &v }

func TestRequestTerminatesItsTaskOnceAndIsCompleted(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.task(t, "a", "b", "c")
		s.until(t, time.Minute, "three completions", func(c servicebustest.Counts) bool { return c.Completed == 3 })
		for _, id := range []string{"a", "b", "c"} {
			equal(t, "terminations of "+id, s.account.Terminations("j", id), 1)
			delivered, burned := s.deliveries(id)
			equal(t, "deliveries and burned ones of "+id, [2]int{delivered, burned}, [2]int{1, 0})
		}
		equal(t, "outcomes", s.outcomes(), map[string]int{"terminated": 3})
	})
}

func TestCompletedTaskAndGoneTaskFinishTheRequest(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.AddTask("j", "done", batchtest.TaskCompleted)
		s.account.AddJob("ending", batchtest.JobTerminating)
		s.account.AddTask("ending", "t", batchtest.TaskRunning)
		s.send(t, "done", `{"jobId":"j","taskId":"done"}`)
		s.send(t, "gone", `{"jobId":"j","taskId":"gone"}`)
		s.send(t, "nojob", `{"jobId":"nojob","taskId":"t"}`)
		s.send(t, "ending", `{"jobId":"ending","taskId":"t"}`)
		s.until(t, time.Minute, "an empty queue", func(c servicebustest.Counts) bool { return c.Completed == 4 })
		equal(t, "outcomes", s.outcomes(), map[string]int{"already_completed": 1, "already_gone": 2, "job_ending": 1})
	})
}

// P4: each kind of request that a person must look at, with a reason that tells what to do.
//
// Scorecard: M1, M7, F17.
func TestEachDeadLetterSaysWhyAndCallsNothingItMustNot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body        string
		task        batchtest.TaskState
		options     []option
		fault       *batchtest.Fault
		reason      string
		description string
		calls       int
	}{
		"malformed body":      {body: `{"jobId":"j"`, reason: "invalid_message", description: "body:"},
		"misspelt condition":  {body: `{"jobId":"j","taskId":"t","ifmatch":"0x1"}`, reason: "invalid_message", description: "did you mean ifMatch"},
		"path escape":         {body: `{"jobId":"j","taskId":".."}`, reason: "invalid_message", description: "taskId"},
		"foreign endpoint":    {body: `{"jobId":"j","taskId":"t","endpoint":"https://evil.example"}`, reason: "endpoint_not_allowed", description: "evil.example"},
		"refused by Batch":    {body: `{"jobId":"j","taskId":"t"}`, task: batchtest.TaskRunning, fault: at(batchtest.Status(http.StatusBadRequest, "InvalidInput", 0)), reason: "InvalidInput", description: "request-id=", calls: 1},
		"condition not met":   {body: `{"jobId":"j","taskId":"t","ifMatch":"0xOLD"}`, task: batchtest.TaskRunning, reason: "condition_not_met", description: "client-request-id=", calls: 2},
		"not found, strictly": {body: `{"jobId":"j","taskId":"gone"}`, options: []option{func(s *stack) { s.policy.NotFoundDeadLetters = true }}, reason: "not_found", description: "TaskNotFound", calls: 1},
		"retries exhausted": {body: `{"jobId":"j","taskId":"t"}`, task: batchtest.TaskRunning, fault: at(batchtest.Status(http.StatusConflict, "JobDisabled", 0)),
			options: []option{func(s *stack) { s.config.Redelivery.MaxCount = 1 }}, reason: "retries_exhausted", description: "job_disabled", calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				if c.task != "" {
					s.account.AddTask("j", "t", c.task)
				}
				if c.fault != nil {
					s.account.OnNext(*c.fault, batchtest.Keep())
				}
				s.send(t, "m", c.body)
				s.until(t, time.Hour, "a dead letter", func(c servicebustest.Counts) bool { return c.DeadLettered == 1 })
				dead := s.queue.DeadLettered()[0]
				equal(t, "reason", dead.Reason, c.reason)
				if !strings.Contains(dead.Description, c.description) {
					t.Errorf("description %q does not contain %q", dead.Description, c.description)
				}
				equal(t, "calls", s.account.CallCount(), c.calls)
			}, c.options...)
		})
	}
}

// Scorecard: H6, R14.
func TestThrottledRequestWaitsAsLongAsBatchAsks(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{7 * time.Second, 5 * time.Minute} { // in process; by a scheduled copy
		t.Run(wait.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				s.account.OnNext(batchtest.Status(http.StatusTooManyRequests, "TooManyRequests", wait))
				s.task(t, "a")
				s.until(t, time.Hour, "the completion", func(servicebustest.Counts) bool {
					return s.account.Terminations("j", "a") == 1 && empty(s.queue.Counts())
				})
				calls := s.account.Calls()
				if len(calls) != 2 || calls[1].Time.Sub(calls[0].Time) < wait {
					t.Errorf("%d calls, the last %v after the first; want two at least %v apart", len(calls), calls[len(calls)-1].Time.Sub(calls[0].Time), wait)
				}
				equal(t, "burned deliveries", s.burned(), 0)
				equal(t, "dead letters", s.deadLetters(), nil)
			})
		})
	}
}

// The lock ends in the middle of a call, because the broker refuses to renew it: the call is cancelled, nothing is
// settled under a foreign lock, and the redelivery finishes the request under the same identity.
func TestLockExpiresInTheMiddleOfACall(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{LockDuration: 10 * time.Second}, func(t *testing.T, s *stack) {
		s.bus.OnNext(servicebustest.RenewLock, servicebustest.Fail("com.microsoft:message-lock-lost", "the lock is gone"),
			servicebustest.OnEntity(queueName), servicebustest.When(func(c servicebustest.Call) bool { return s.queue.Counts().Locked > 0 }))
		s.account.OnNext(batchtest.Delay(20 * time.Second))
		s.task(t, "a")
		s.until(t, time.Minute, "the completion", func(c servicebustest.Counts) bool { return c.Completed == 1 })
		delivered, burned := s.deliveries("a")
		equal(t, "deliveries and lost locks", [2]int{delivered, burned}, [2]int{2, 1})
		equal(t, "outcomes", s.outcomes()["lock_lost"], 1)
		if n := s.account.Terminations("j", "a"); n != 1 {
			t.Errorf("the task was terminated %d times", n)
		}
		for _, e := range s.queue.History("a") {
			if e.Kind == servicebustest.EventSettleRefused {
				t.Errorf("a settlement under a lost lock was tried: %+v", e)
			}
		}
	})
}

// The call outlives the lock duration; renewals keep it.
func TestLongCallKeepsItsLock(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{LockDuration: 10 * time.Second}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(30 * time.Second))
		s.task(t, "a")
		s.until(t, time.Minute, "the completion", func(c servicebustest.Counts) bool { return c.Completed == 1 })
		delivered, burned := s.deliveries("a")
		equal(t, "deliveries and lost locks", [2]int{delivered, burned}, [2]int{1, 0})
	})
}

// The connection dies in the middle of a call: the call goes on, and its message is settled by lock token on the next
// connection. Nothing is called twice.
func TestConnectionIsCutInTheMiddleOfACall(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(5 * time.Second))
		s.task(t, "a")
		time.Sleep(2 * time.Second)
		if n := s.bus.DropConnections(); n == 0 {
			t.Fatal("there was no connection to cut")
		}
		s.until(t, time.Minute, "the completion", func(c servicebustest.Counts) bool { return c.Completed == 1 })
		equal(t, "calls", s.account.CallCount(), 1)
		delivered, burned := s.deliveries("a")
		equal(t, "deliveries and lost locks", [2]int{delivered, burned}, [2]int{1, 0})
	})
}

// The settlement's answer is lost: the message was completed, the worker does not know, and nothing happens twice.
func TestSettlementAnswerIsLost(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.bus.OnNext(servicebustest.SettleEcho, servicebustest.Swallow())
		s.task(t, "a")
		time.Sleep(5 * time.Minute)
		equal(t, "completed", s.queue.Counts().Completed, 1)
		equal(t, "calls", s.account.CallCount(), 1)
		equal(t, "outcomes", s.outcomes(), map[string]int{"terminated": 1})
	})
}

// P5, P8: SIGTERM with work in flight.
func TestDrainWithWorkInFlight(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(3*time.Second), batchtest.Times(4))  // finish within the grace
		s.account.OnNext(batchtest.Delay(10*time.Minute), batchtest.Times(4)) // stragglers
		for i := range 30 {
			s.task(t, fmt.Sprintf("t%02d", i))
		}
		time.Sleep(time.Second)
		before := s.queue.Counts()
		start := time.Now()
		report := s.end()
		if took := time.Since(start); took > s.config.Grace-2*time.Second {
			t.Errorf("the drain took %v of %v", took, s.config.Grace)
		}
		if report.Left != 0 || report.Finished < 4 || report.HandedBack < 4 {
			t.Errorf("report %+v; want at least 4 finished, at least 4 handed back, none left (%+v before)", report, before)
		}
		equal(t, "burned deliveries", s.burned(), 0)
		equal(t, "locked afterwards", s.queue.Counts().Locked, 0)

		s.start(t) // the next replica finds all of it
		s.until(t, 20*time.Minute, "an empty queue", empty)
		for i := range 30 {
			equal(t, "terminations", s.account.Terminations("j", fmt.Sprintf("t%02d", i)), 1)
		}
	})
}

// P3 over a scheduled copy and a restart; the copy carries what a person needs to see.
func TestScheduledCopyCarriesTheRequest(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.AddTask("j", "a", batchtest.TaskRunning)
		rule := s.account.OnNext(batchtest.Status(http.StatusConflict, "JobDisabled", 0), batchtest.Keep())
		properties := map[string]any{"tenant": "blue", "weight": int64(3)}
		original := servicebustest.Message{ID: "original", Body: []byte(`{"jobId":"j","taskId":"a"}`), ContentType: "application/json",
			Subject: "terminate", CorrelationID: "c-1", Properties: properties, TTL: 10 * time.Hour}
		if _, err := s.queue.Send(original); err != nil {
			t.Fatal(err)
		}
		s.until(t, time.Minute, "the copy", func(c servicebustest.Counts) bool { return c.Scheduled == 1 && c.Completed == 1 })
		copied := s.queue.Messages()[0]
		equal(t, "body", string(copied.Body), string(original.Body))
		equal(t, "content type, subject, correlation", [3]string{copied.ContentType, copied.Subject, copied.CorrelationID}, [3]string{"application/json", "terminate", "c-1"})
		kept := maps.Clone(copied.Properties)
		maps.DeleteFunc(kept, func(k string, _ any) bool { return strings.HasPrefix(k, "bt-") })
		equal(t, "properties", kept, properties)
		equal(t, "identity", copied.Properties["bt-request-id"], any("original"))
		equal(t, "redeliveries", copied.Properties["bt-redeliveries"], any(int64(1)))
		if ledger := copied.Properties["bt-ledger"]; !strings.Contains(fmt.Sprint(ledger), "job_disabled/1") {
			t.Errorf("ledger %v does not name the outcome", ledger)
		}
		s.end()
		rule.Remove()
		s.start(t)
		s.until(t, time.Hour, "an empty queue", empty)
		equal(t, "terminations", s.account.Terminations("j", "a"), 1)
	})
}
