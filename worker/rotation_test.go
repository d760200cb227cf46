package worker_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// rotating is a credential whose secret is changed behind its back: it goes on handing out what it has until it is asked for
// something new.
type rotating struct {
	serial atomic.Int64 // of the secret in force
	cached atomic.Int64
}

func (c *rotating) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if o.Claims != "" || c.cached.Load() == 0 {
		c.cached.Store(c.serial.Load())
	}
	return azcore.AccessToken{Token: fmt.Sprint("secret-", c.cached.Load()), ExpiresOn: time.Now().Add(24 * time.Hour)}, nil
}

func (c *rotating) inForce(token string) bool { return token == fmt.Sprint("secret-", c.serial.Load()) }

// Both credentials change under load, again and again: that of Batch is refused from one call to the next, and the broker ends
// the links of the tokens it had accepted.
//
// Scorecard: S10, F19, A11.
func TestCredentialsThatChangeUnderLoadLeaveNoGap(t *testing.T) {
	t.Parallel()
	credential := &rotating{}
	credential.serial.Store(1)
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.AcceptTokens(credential.inForce)
		const n, every, change = 2000, 100 * time.Millisecond, 20 * time.Second
		for i := range n {
			if i%int(change/every) == 0 {
				credential.serial.Add(1)
				s.bus.ExpireTokens()
			}
			s.task(t, fmt.Sprint("t", i))
			time.Sleep(every)
		}
		s.until(t, time.Minute, "an empty queue", empty)
		equal(t, "completed", s.queue.Counts().Completed, n)
		equal(t, "burned deliveries", s.burned(), 0)
		last := s.account.Calls()[0].Time
		for _, call := range s.account.Calls() {
			if call.Status != http.StatusNoContent {
				continue
			}
			if gap := call.Time.Sub(last); gap > 5*time.Second {
				t.Errorf("nothing was terminated for %v", gap)
			}
			last = call.Time
		}
		if text := s.log(); strings.Contains(text, "secret-") {
			t.Error("a token is in the log")
		}
	}, func(s *stack) { s.credential = credential })
}

// What Batch says about a refusal, and what a sender hangs on a message, may be as long as they like: the dead letter has the
// reason, short, and arrives.
//
// Scorecard: F16, R27.
func TestLongestTextsReachTheDeadLetterQueue(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.AddTask("j", "t", batchtest.TaskRunning)
		code := strings.Repeat("C", 128)
		long := `{"code":"` + code + `","message":{"value":"` + strings.Repeat("all of it \\u00e4\\u202e\\n", 1500) + `"}}`
		s.account.OnNext(batchtest.Body(http.StatusBadRequest, "application/json", []byte(long)))
		m := servicebustest.Message{ID: strings.Repeat("i", 128), Body: []byte(`{"jobId":"j","taskId":"t"}`),
			Properties: map[string]any{"large": strings.Repeat("x", 30<<10)}}
		if _, err := s.queue.Send(m); err != nil {
			t.Fatal(err)
		}
		s.until(t, time.Minute, "a dead letter", func(c servicebustest.Counts) bool { return c.DeadLettered == 1 })
		dead := s.queue.DeadLettered()[0]
		if !strings.HasPrefix(dead.Reason, "CCCC") || len(dead.Reason) > 64 || len(dead.Description) > 1024 || !strings.Contains(dead.Description, "request-id=") {
			t.Errorf("reason of %d, description of %d bytes: %q", len(dead.Reason), len(dead.Description), dead.Description)
		}
		equal(t, "calls", s.account.CallCount(), 1)
		equal(t, "burned deliveries", s.burned(), 0)
	})
}

// Two hundred connections are cut, one after the other, under work: each leaves nothing behind, not at the broker, not here.
// That no goroutine outlives the worker is the bubble's to say.
//
// Scorecard: R8, R9, F12.
func TestConnectionsThatAreCutLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		const cuts = 200
		for i := range cuts {
			s.task(t, fmt.Sprint("t", i))
			time.Sleep(15 * time.Second) // longer than a client has to live for its successor to come at once
			if n := s.bus.Connections(); n > 1 {
				t.Fatalf("%d connections after %d cuts", n, i)
			}
			s.bus.DropConnections()
		}
		s.until(t, time.Minute, "an empty queue", empty)
		equal(t, "terminated", s.outcomes()["terminated"], cuts)
		equal(t, "burned deliveries", s.burned(), 0)
	})
}
