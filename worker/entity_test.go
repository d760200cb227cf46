package worker_test

// What administrators do to a queue while a worker lives off it, and what refuses to let it in. None of that is cured by a
// restart, so none of it ends the worker.

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"

	"batchterminator/worker/servicebustest"
)

// countDials has the stack remember when it dialled.
func (s *stack) countDials() func() []time.Time {
	var mu sync.Mutex
	var at []time.Time
	dial := s.dial
	s.dial = func(ctx context.Context) (net.Conn, error) {
		mu.Lock()
		at = append(at, time.Now())
		mu.Unlock()
		return dial(ctx)
	}
	return func() []time.Time {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(at)
	}
}

// wantNoStorm checks the pace of dialling: never more than 2 in any second after the first few, and never half a minute
// and more between two, so that the worker is back soon after the fault.
func wantNoStorm(t *testing.T, dials []time.Time) {
	t.Helper()
	for i := range dials {
		if i >= 8 && dials[i].Sub(dials[i-2]) < time.Second {
			t.Errorf("dials %d to %d within %v", i-2, i, dials[i].Sub(dials[i-2]))
		}
	}
	if first, last := dials[0], dials[len(dials)-1]; float64(len(dials)) > 8+2*last.Sub(first).Seconds() {
		t.Errorf("%d dials in %v", len(dials), last.Sub(first))
	}
}

func (s *stack) wantWaiting(t *testing.T, reason string) {
	t.Helper()
	status := s.status()
	if status.Attached || status.Draining || status.Detached == nil || !strings.Contains(status.Detached.Error(), reason) {
		t.Errorf("status %+v; want it to wait, for %q", status, reason)
	}
}

// administration is the SDK's client for queues, over HTTP in memory.
func (s *stack) administration(t *testing.T) *admin.Client {
	t.Helper()
	client, err := admin.NewClientFromConnectionString(s.bus.ConnectionString(), &admin.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: inMemory{s.bus.AdminHandler()}}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

type inMemory struct{ http.Handler }

func (m inMemory) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	response := w.Result()
	response.Request = r
	return response, nil
}

// Scorecard: A14, F11, R11.
func TestQueueThatIsDisabledIsWaitedForAndResumed(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]servicebustest.Status{"disabled": servicebustest.StatusDisabled, "receive disabled": servicebustest.StatusReceiveDisabled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var dials func() []time.Time
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				s.task(t, "a")
				s.until(t, time.Minute, "the first completion", func(c servicebustest.Counts) bool { return c.Completed == 1 })
				set := func(status servicebustest.Status) {
					if err := s.bus.SetStatus(queueName, status); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				set(status)
				time.Sleep(20 * time.Minute)
				s.wantWaiting(t, "com.microsoft:entity-disabled")
				wantNoStorm(t, dials())
				set(servicebustest.StatusActive)
				s.task(t, "b")
				s.until(t, 31*time.Second, "the completion after it is enabled", func(c servicebustest.Counts) bool { return c.Completed == 2 })
				equal(t, "burned deliveries", s.burned(), 0)
			}, func(s *stack) { dials = s.countDials() })
		})
	}
}

// Scorecard: A14, F11.
func TestQueueThatIsMadeAnewIsResumed(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.task(t, "a")
		s.until(t, time.Minute, "the first completion", func(c servicebustest.Counts) bool { return c.Completed == 1 })
		if err := s.bus.Delete(queueName); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Minute)
		s.wantWaiting(t, "notfound")
		lock := "PT30S"
		if _, err := s.administration(t).CreateQueue(t.Context(), queueName, &admin.CreateQueueOptions{Properties: &admin.QueueProperties{LockDuration: &lock}}); err != nil {
			t.Fatal(err)
		}
		s.queue = s.bus.Queue(queueName)
		s.task(t, "b")
		s.until(t, 31*time.Second, "the completion in the new queue", func(c servicebustest.Counts) bool { return c.Completed == 1 })
		equal(t, "terminations", s.account.Terminations("j", "b"), 1)
	})
}

// Scorecard: A5.
func TestRefusedAttachIsTriedAgainWithoutAStorm(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{
		"amqp:not-found", "amqp:unauthorized-access", "amqp:not-allowed", "amqp:resource-limit-exceeded", "amqp:internal-error", "amqp:link:detach-forced",
		"com.microsoft:entity-disabled", "com.microsoft:server-busy", "com.microsoft:timeout", "com.microsoft:operation-cancelled", "com.microsoft:no-such-thing",
	} {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			var dials func() []time.Time
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				time.Sleep(time.Minute)
				refusal := s.bus.OnNext(servicebustest.Attach, servicebustest.Fail(condition, "by the test"), servicebustest.Keep())
				s.bus.DropConnections()
				time.Sleep(30 * time.Minute)
				equal(t, "attached", s.status().Attached, false)
				equal(t, "draining", s.status().Draining, false)
				wantNoStorm(t, dials())
				if n := len(dials()); n < 30 {
					t.Errorf("%d dials in half an hour; the pause has no cap", n)
				}
				if !strings.Contains(s.log(), condition) {
					t.Errorf("the log does not tell why: %s", s.transcript())
				}
				refusal.Remove()
				s.task(t, "a")
				s.until(t, 31*time.Second, "the completion", empty)
			}, func(s *stack) { dials = s.countDials() })
		})
	}
}
