package worker_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// replica starts one more worker beside those that run, whose calls carry its name in their User-Agent, and returns what
// stops it.
func (s *stack) replica(t *testing.T, name string) (end func() worker.Report) {
	t.Helper()
	client, err := batchapi.NewClient(s.account.Endpoint(), token{}, &batchapi.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: s.account.Client(), Telemetry: policy.TelemetryOptions{ApplicationID: name}}})
	if err != nil {
		t.Fatal(err)
	}
	s.client.CloseIdleConnections()
	s.client = client
	s.start(t)
	return s.ender()
}

// ender stops the worker that was started last, also when others have been started since.
func (s *stack) ender() (end func() worker.Report) {
	last := stack{stop: s.stop, reports: s.reports}
	return last.end
}

// P3, whole: a publisher that was not sure sends one request twice, and two replicas work on it at the same time. Both
// try again in process, both lose their locks in the middle of a call, both bring the request back by a scheduled copy,
// and a replica that was started after them finishes it. What the account saw carries one identity throughout, and on
// each attempt the date of that attempt.
func TestRequestKeepsOneIdentityThroughEverythingThatRepeatsIt(t *testing.T) {
	t.Parallel()
	one := func(s *stack) { s.config.Concurrency, s.config.ReadyBuffer = 1, 0 } // so that each replica gets one of the two
	inBubble(t, servicebustest.QueueConfig{LockDuration: 10 * time.Second}, func(t *testing.T, s *stack) {
		first := s.ender()
		second := s.replica(t, "second")
		onA := batchtest.ForTask("j", "a")
		s.account.OnNext(batchtest.Status(http.StatusInternalServerError, "InternalError", 0), onA, batchtest.Times(2))
		s.account.OnNext(batchtest.Delay(time.Minute), onA, batchtest.Times(2))
		s.account.OnNext(batchtest.Status(http.StatusConflict, "JobDisabled", 0), onA, batchtest.Times(2))
		renewals := s.bus.OnNext(servicebustest.RenewLock, servicebustest.Fail("com.microsoft:message-lock-lost", "the lock is gone"),
			servicebustest.OnEntity(queueName), servicebustest.Keep())

		time.Sleep(time.Second) // both replicas are asking
		s.task(t, "a")
		s.send(t, "a", `{"jobId":"j","taskId":"a"}`)
		s.until(t, 2*time.Minute, "two scheduled copies", func(c servicebustest.Counts) bool { return c.Scheduled == 2 && c.Completed == 2 })
		renewals.Remove()
		first()
		second()
		s.replica(t, "third")
		s.until(t, time.Hour, "an empty queue", empty)

		checkOneIdentity(t, s.account.Calls())
		if n := s.account.MaxInFlight(); n != 2 {
			t.Errorf("at most %d calls at the same time; want 2, one of each replica", n)
		}
		_, burned := s.deliveries("a")
		equal(t, "locks lost", burned, 2)
		equal(t, "terminations", s.account.Terminations("j", "a"), 1)
		equal(t, "dead letters", s.deadLetters(), nil)
	}, one)
}

// checkOneIdentity also asserts that the calls are those of the story, lest an easier one be told.
func checkOneIdentity(t *testing.T, calls []batchtest.Call) {
	t.Helper()
	ids, replicas, codes := map[string]int{}, map[string]bool{}, map[string]int{}
	for _, c := range calls {
		ids[c.Header.Get("client-request-id")]++
		replicas[c.Header.Get("User-Agent")] = true
		codes[c.Code]++
		if date := c.Header.Get("ocp-date"); date != c.Time.UTC().Format(http.TimeFormat) {
			t.Errorf("a call at %v is dated %s", c.Time.UTC(), date)
		}
	}
	// No code: two calls that were cut off with their locks, and the 204.
	equal(t, "answers", codes, map[string]int{"InternalError": 2, "JobDisabled": 2, "TaskCompleted": 1, "": 3})
	if len(ids) != 1 || ids[""] > 0 || len(replicas) != 3 {
		t.Errorf("identities %v, by %d replicas; want one, by 3", ids, len(replicas))
	}
}
