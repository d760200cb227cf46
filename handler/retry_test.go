package handler

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/batchapi"
)

// bubble runs one delivery in virtual time and returns how long it took.
func bubble(t *testing.T, a *account, m Message, adjust ...func(*Config)) (r Result, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a.t = t
		h := newHandler(t, a, adjust...)
		start := time.Now()
		r = h.Handle(t.Context(), m)
		took = time.Since(start)
	})
	return r, took
}

func retry(r Retry) func(*Config) { return func(c *Config) { c.Retry = r } }

func TestASuccessIsOneCall(t *testing.T) {
	t.Parallel()
	a := &account{script: []answer{{call: terminate, takes: time.Second}}}
	r, took := bubble(t, a, message(""))
	if r.Outcome != Terminated || r.Attempts != 1 || a.tries() != 1 || took != time.Second {
		t.Errorf("%v after %d attempts, %d calls, %v", r.Outcome, r.Attempts, a.tries(), took)
	}
	if r.Status != 204 || r.RequestID != "srv-204" || r.Err != nil || r.Detail != "" || r.RetryAfter != 0 {
		t.Errorf("result %+v", r)
	}
}

func TestAPassingFailureIsRetriedUntilTheAttemptsAreSpent(t *testing.T) {
	t.Parallel()
	for _, attempts := range []int{1, 2, 4, 7} {
		failure := batchError(500, "InternalError")
		a := &account{script: []answer{{call: terminate, err: failure}}}
		limits := DefaultRetry
		limits.Attempts, limits.Budget = attempts, time.Hour
		limits.MaxWait = limits.Max
		r, _ := bubble(t, a, message(""), retry(limits))
		if r.Outcome != Unavailable || r.Attempts != attempts || a.tries() != attempts {
			t.Errorf("%v after %d attempts and %d calls, want %d", r.Outcome, r.Attempts, a.tries(), attempts)
		}
		if !errors.Is(r.Err, failure) || r.Status != 500 || r.Code != "InternalError" || r.RequestID != "srv-500" {
			t.Errorf("result %+v, want the last answer", r)
		}
	}
}

// Full jitter: each wait lies between 0 and a bound that doubles from Initial to Max, and uses the whole of it.
func TestWaitsAreUniformBelowADoublingBound(t *testing.T) {
	t.Parallel()
	limits := Retry{Attempts: 6, Initial: time.Second, Max: 5 * time.Second, Budget: time.Hour, MaxWait: time.Minute}
	bounds := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}
	const runs = 400
	sums, longest := make([]time.Duration, len(bounds)), make([]time.Duration, len(bounds))
	for range runs {
		a := &account{script: []answer{{call: terminate, err: reset("read")}}}
		bubble(t, a, message(""), retry(limits))
		for i := range bounds {
			wait := a.seen[i+1].at.Sub(a.seen[i].at)
			if wait < 0 || wait > bounds[i] {
				t.Fatalf("wait %d is %v, bound %v", i, wait, bounds[i])
			}
			sums[i] += wait
			longest[i] = max(longest[i], wait)
		}
	}
	for i, bound := range bounds {
		// Of 400 uniform draws the mean leaves the middle fifth with odds below 1 in 10,000,000,000,
		// and all stay below nine tenths with odds of 1 in 10^18.
		if mean := sums[i] / runs; mean < bound*4/10 || mean > bound*6/10 || longest[i] < bound*9/10 {
			t.Errorf("wait %d: mean %v, longest %v of a bound of %v", i, mean, longest[i], bound)
		}
	}
}

// Scorecard: H6.
func TestRetryAfterIsTheLeastWait(t *testing.T) {
	t.Parallel()
	a := &account{script: []answer{
		{call: terminate, err: after(7*time.Second, batchError(429, "TooManyRequests"))},
		{call: terminate, err: after(3*time.Second, batchError(503, "ServerBusy"))},
		{call: terminate},
	}}
	r, took := bubble(t, a, message(""))
	if r.Outcome != Terminated || r.Attempts != 3 || took < 10*time.Second || took > 10*time.Second+2*time.Second {
		t.Errorf("%v after %d attempts and %v, want both waits", r.Outcome, r.Attempts, took)
	}
	if r.RetryAfter != 0 {
		t.Errorf("retry after %v left over from an earlier answer", r.RetryAfter)
	}
}

func TestTheTriesEnd(t *testing.T) {
	t.Parallel()
	busy := batchError(503, "ServerBusy")
	limits := Retry{Attempts: 10, Initial: time.Second, Max: time.Second, Budget: 20 * time.Second, MaxWait: 15 * time.Second}
	tests := []struct {
		name     string
		answer   answer
		attempts int
		atMost   time.Duration
	}{
		{"when the next wait is longer than the longest", answer{err: after(15*time.Second+1, busy)}, 1, 0},
		{"not before the longest wait is exceeded", answer{err: after(15*time.Second, busy)}, 2, 15 * time.Second},
		{"when no try may start within the budget", answer{err: after(8*time.Second, busy)}, 3, 16 * time.Second},
		{"when a slow call has used the budget", answer{takes: 21 * time.Second, err: batchError(500, "InternalError")}, 1, 21 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.answer.call = terminate
			a := &account{script: []answer{tt.answer}}
			r, took := bubble(t, a, message(""), retry(limits))
			if r.Attempts != tt.attempts || a.tries() != tt.attempts || took > tt.atMost {
				t.Errorf("%d attempts, %d calls in %v; want %d in at most %v", r.Attempts, a.tries(), took, tt.attempts, tt.atMost)
			}
			if !errors.Is(r.Err, tt.answer.err) || r.Outcome.Decision() != Redeliver {
				t.Errorf("%v with error %v, want %v", r.Outcome, r.Err, tt.answer.err)
			}
			if want := retryAfterOf(tt.answer.err); r.RetryAfter != want {
				t.Errorf("retry after %v, want %v", r.RetryAfter, want)
			}
		})
	}
}

func retryAfterOf(err error) time.Duration {
	answer, _ := errors.AsType[*batchapi.Error](err)
	return answer.RetryAfter
}

// Promise P3.
func TestEveryCallCarriesTheSameRequestID(t *testing.T) {
	t.Parallel()
	a := &account{script: []answer{
		{call: terminate, err: batchError(401, "AuthenticationFailed")},
		{call: terminate, err: reset("read")},
		{call: terminate, err: batchError(409, "OperationInvalidForCurrentState")},
		{call: get, task: running("0x1", halfPast)},
	}}
	r, _ := bubble(t, a, message(""))
	var ids []string
	for _, s := range a.seen {
		if s.call != invalidate {
			ids = append(ids, s.options.ClientRequestID)
		}
	}
	if len(ids) != 4 {
		t.Fatalf("calls %v", a.calls())
	}
	for _, id := range ids {
		if id != r.ClientRequestID || id != deriveRequestID("contoso.westeurope.batch.azure.com", "nightly", "t-1", "m-1") {
			t.Errorf("ids %v, result %q", ids, r.ClientRequestID)
		}
	}
}

// cancelled runs a delivery that is cancelled by cause after a while.
func cancelled(t *testing.T, a *account, while time.Duration, cause error) (r Result, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a.t = t
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(while, func() { cancel(cause) })
		defer timer.Stop()
		start := time.Now()
		r = newHandler(t, a).Handle(ctx, message(""))
		took = time.Since(start)
	})
	return r, took
}

var cancellations = map[error]Outcome{ErrLockLost: LockLost, ErrDraining: Draining}

func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	for cause, want := range cancellations {
		failure := after(10*time.Second, batchError(503, "ServerBusy"))
		a := &account{script: []answer{{call: terminate, err: failure}}}
		r, took := cancelled(t, a, 4*time.Second, cause)
		if r.Outcome != want || took != 4*time.Second || a.tries() != 1 {
			t.Errorf("%v: %v after %v and %d calls", cause, r.Outcome, took, a.tries())
		}
		if !errors.Is(r.Err, failure) || r.Code != "ServerBusy" {
			t.Errorf("%v: error %v, code %s; the last real answer is lost", cause, r.Err, r.Code)
		}
	}
}

func TestCancelledDuringACall(t *testing.T) {
	t.Parallel()
	for cause, want := range cancellations {
		a := &account{script: []answer{{call: terminate, takes: 30 * time.Second}}}
		r, took := cancelled(t, a, 4*time.Second, cause)
		if r.Outcome != want || took != 4*time.Second || r.Attempts != 1 || r.Err == nil {
			t.Errorf("%v: %v after %v, %d attempts, error %v", cause, r.Outcome, took, r.Attempts, r.Err)
		}
	}
}

// A check verdict was under way: without the read, the state is not known, and the delivery ended for another reason.
func TestCancelledDuringTheCheckRead(t *testing.T) {
	t.Parallel()
	for cause, want := range cancellations {
		failure := batchError(409, "OperationInvalidForCurrentState")
		a := &account{script: []answer{{call: terminate, err: failure}, {call: get, takes: 30 * time.Second}}}
		r, took := cancelled(t, a, 4*time.Second, cause)
		if r.Outcome != want || took != 4*time.Second || !errors.Is(r.Err, failure) {
			t.Errorf("%v: %v after %v, error %v", cause, r.Outcome, took, r.Err)
		}
	}
}

func TestNoCallIsMadeOnADeliveryThatHasEnded(t *testing.T) {
	t.Parallel()
	for cause, want := range cancellations {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		a := &account{t: t}
		g := &gate{admit: []admission{{ok: true}}}
		r := newHandler(t, a, gated(g)).Handle(ctx, message(""))
		if r.Outcome != want || r.Attempts != 0 || len(a.seen)+g.asked != 0 {
			t.Errorf("%v: %v, %d attempts, %v, gate asked %d times", cause, r.Outcome, r.Attempts, a.calls(), g.asked)
		}
	}
}

func TestRetrySettingsOutOfBoundsAreNamed(t *testing.T) {
	t.Parallel()
	if err := DefaultRetry.Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	bad := map[string]func(*Retry){
		"attempts: 0; at least 1":      func(r *Retry) { r.Attempts = 0 },
		"retry waits: 0s to 20s":       func(r *Retry) { r.Initial = 0 },
		"retry waits: 1s to 999ms":     func(r *Retry) { r.Max = 999 * time.Millisecond },
		"retry budget 0s":              func(r *Retry) { r.Budget = 0 },
		"longest wait -1ns: the first": func(r *Retry) { r.MaxWait = -1 },
	}
	for want, spoil := range bad {
		limits := DefaultRetry
		spoil(&limits)
		checkNames(t, limits.Validate(), want)
		_, err := New(Config{Accounts: map[string]Account{contoso: &account{}}, Default: contoso, Retry: limits})
		checkNames(t, err, "handler: ", want)
	}
	checkNames(t, Retry{MaxWait: -1}.Validate(), "attempts", "retry waits", "retry budget")
}
