package handler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"batchterminator/batchapi"
)

// chance is an Account that answers anything, at any speed. One goroutine calls it.
type chance struct {
	rt    *rapid.T
	calls int
}

func (c *chance) answer(ctx context.Context) error {
	c.calls++
	takes := time.Duration(rapid.IntRange(0, 40).Draw(c.rt, "takes")) * time.Second
	timer := time.NewTimer(takes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	refused := func(status int, code string) error {
		return &batchapi.Error{StatusCode: status, Code: code, RetryAfter: time.Duration(rapid.IntRange(0, 20).Draw(c.rt, "retry after")) * time.Second}
	}
	return rapid.SampledFrom([]error{
		nil, errors.New("connection reset"), refused(http.StatusUnauthorized, "AuthenticationFailed"), refused(http.StatusInternalServerError, "InternalError"),
		refused(http.StatusConflict, ""), refused(http.StatusPreconditionFailed, "ConditionNotMet"), refused(http.StatusServiceUnavailable, "ServerBusy"),
		refused(http.StatusNotFound, "ResourceNotFound"), refused(http.StatusTooManyRequests, "TooManyRequests"),
	}).Draw(c.rt, "answer")
}

func (c *chance) TerminateTask(ctx context.Context, _, _ string, _ *batchapi.TerminateTaskOptions) (batchapi.TerminateTaskResponse, error) {
	return batchapi.TerminateTaskResponse{StatusCode: http.StatusNoContent}, c.answer(ctx)
}

func (c *chance) GetTask(ctx context.Context, _, _ string, _ *batchapi.GetTaskOptions) (batchapi.Task, error) {
	return batchapi.Task{State: batchapi.TaskRunning, ETag: "0x1", CreationTime: time.Unix(1, 0)}, c.answer(ctx)
}

func (*chance) InvalidateToken() {}

// drawn settings are small, so that their ends are met.
func drawnRetry(rt *rapid.T) Retry {
	second := func(name string, least, most int) time.Duration {
		return time.Duration(rapid.IntRange(least, most).Draw(rt, name)) * time.Second
	}
	r := Retry{Attempts: rapid.IntRange(1, 6).Draw(rt, "attempts"), Initial: second("initial", 1, 5), Budget: second("budget", 1, 300), MaxWait: second("longest wait", 0, 30)}
	r.Max = r.Initial + second("max", 0, 20)
	return r
}

// R13: whatever Batch answers, one delivery makes no more calls and takes no longer than is printed at the start.
//
// Scorecard: R13.
func TestDeliveryStaysWithinTheWorstCase(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(*testing.T) { // a bubble for each draw: rapid itself looks at the real clock
			r := drawnRetry(rt)
			account := &chance{rt: rt}
			h, err := New(Config{Accounts: map[string]Account{contoso: account}, Default: contoso, Retry: r})
			if err != nil {
				rt.Fatal(err)
			}
			body := `{"jobId":"j","taskId":"t"%s}`
			guard := rapid.SampledFrom([]string{"", `,"createdBefore":"2026-01-01T00:00:00Z"`, `,"timeOut":30`}).Draw(rt, "guard")
			start := time.Now()
			result := h.Handle(context.Background(), Message{RequestIdentity: "m", Body: fmt.Appendf(nil, body, guard)})
			if worst, took := WorstCase(r, DefaultRedelivery), time.Since(start); account.calls > worst.Calls || took > worst.Delivery {
				rt.Fatalf("%s after %d calls in %v; at most %d in %v", result.Outcome, account.calls, took, worst.Calls, worst.Delivery)
			}
		})
	})
}

// The most calls there can be are made, if Batch answers just so: the bound is no larger than it has to be.
func TestWorstCaseOfCallsIsReached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := Retry{Attempts: 2, Initial: time.Second, Max: time.Second, Budget: time.Hour, MaxWait: time.Minute}
		moved, unclear := &batchapi.Error{StatusCode: 412, Code: "ConditionNotMet"}, &batchapi.Error{StatusCode: 409}
		read := answer{call: get, task: batchapi.Task{State: batchapi.TaskRunning, ETag: "0x1", CreationTime: time.Unix(1, 0)}}
		refusal := []answer{read, {call: terminate, err: moved}, read, {call: terminate, err: &batchapi.Error{StatusCode: 401, Code: "AuthenticationFailed"}}}
		changing := []answer{read, {call: terminate, err: moved}, read, {call: terminate, err: moved}}
		last := []answer{read, {call: terminate, err: moved}, read, {call: terminate, err: unclear}, read}
		a := &account{t: t, script: slices.Concat(refusal, changing, last)}
		h, err := New(Config{Accounts: map[string]Account{contoso: a}, Default: contoso, Retry: r})
		if err != nil {
			t.Fatal(err)
		}
		h.Handle(t.Context(), Message{RequestIdentity: "m", Body: []byte(`{"jobId":"j","taskId":"t","createdBefore":"2026-01-01T00:00:00Z"}`)})
		calls := 0
		for _, s := range a.seen {
			if s.call != invalidate {
				calls++
			}
		}
		if want := WorstCase(r, DefaultRedelivery).Calls; calls != want {
			t.Errorf("%d calls, want %d", calls, want)
		}
	})
}

// However the waits are drawn, a request that never succeeds is delivered no more often than is printed at the start.
func TestRequestStaysWithinTheWorstCase(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(*testing.T) {
			second := func(name string, least, most int) time.Duration {
				return time.Duration(rapid.IntRange(least, most).Draw(rt, name)) * time.Second
			}
			p := Redelivery{Initial: second("initial", 1, 60), MaxCount: rapid.IntRange(0, 10).Draw(rt, "most")}
			p.Max = p.Initial + second("max", 0, 600)
			p.MaxAge = p.Initial + second("age", 0, 7200)
			m, deliveries := Message{FirstEnqueued: time.Now()}, 1
			for {
				time.Sleep(second("work", 0, 2))
				wait, _, again := p.Next(m, Result{Outcome: JobDisabled, RetryAfter: second("retry after", 0, 5)}, false)
				if !again {
					break
				}
				time.Sleep(wait)
				m.Redeliveries++
				deliveries++
			}
			if most := WorstCase(DefaultRetry, p).Deliveries; deliveries > most {
				rt.Fatalf("%d deliveries; at most %d", deliveries, most)
			}
		})
	})
}
