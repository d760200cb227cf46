package worker_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// The sender's own time to live ends a request that keeps failing, and says so.
//
// Scorecard: M9.
func TestExpiredRequestIsDeadLetteredAsExpired(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.AddTask("j", "a", batchtest.TaskRunning)
		s.account.OnNext(batchtest.Status(http.StatusConflict, "JobDisabled", 0), batchtest.Keep())
		if _, err := s.queue.Send(servicebustest.Message{ID: "a", Body: []byte(`{"jobId":"j","taskId":"a"}`), TTL: 5 * time.Minute}); err != nil {
			t.Fatal(err)
		}
		s.until(t, 10*time.Minute, "a dead letter", func(c servicebustest.Counts) bool { return c.DeadLettered == 1 })
		equal(t, "reason", s.queue.DeadLettered()[0].Reason, "expired")
	})
}

// P6: whatever a body says, no call leaves the path of a task.
//
// Scorecard: M6.
func TestHostileIdsMakeNoCall(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.AddTask("j", "t", batchtest.TaskRunning)
		hostile := []string{"..", ".", "%2e%2e", "a/b", `a\\b`, "a\\u0000", "a?x=1", "a#b", "a b", "ä", "t\\r\\nX: y", "..%2fterminate", ""}
		for i, id := range hostile {
			s.send(t, fmt.Sprint("job", i), `{"jobId":"`+id+`","taskId":"t"}`)
			s.send(t, fmt.Sprint("task", i), `{"jobId":"j","taskId":"`+id+`"}`)
		}
		s.until(t, time.Minute, "dead letters", func(c servicebustest.Counts) bool { return c.DeadLettered == 2*len(hostile) })
		equal(t, "calls", s.account.CallCount(), 0)
	})
}

// A 200 where 204 is documented is a success, and a line that somebody should read.
func TestUndocumentedSuccessIsASuccessWithAWarning(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Body(http.StatusOK, "application/json", []byte("{}")))
		s.task(t, "a")
		s.until(t, time.Minute, "the completion", func(c servicebustest.Counts) bool { return c.Completed == 1 })
		line := s.logs.FilterMessage("delivery").All()[0]
		if line.Level != zapcore.WarnLevel || !strings.Contains(fmt.Sprint(line.ContextMap()["detail"]), "only 204 is documented") {
			t.Errorf("%v %v; want a warning that names the status", line.Level, line.ContextMap())
		}
		equal(t, "outcomes", s.outcomes(), map[string]int{"terminated": 1})
	})
}
