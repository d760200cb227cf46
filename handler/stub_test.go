package handler

import (
	"context"
	"fmt"
	"testing"
	"time"

	"batchterminator/batchapi"
)

// The allow-list of the tests.
const (
	contoso  = "https://contoso.westeurope.batch.azure.com"
	fabrikam = "https://fabrikam.northeurope.batch.azure.com"
)

// The calls an account can be asked for.
const (
	terminate  = "terminate"
	get        = "get"
	invalidate = "invalidate token"
)

// answer is one step of a scripted account: the call that it expects, how long it takes, what it comes to.
type answer struct {
	call  string
	takes time.Duration
	err   error
	task  batchapi.Task
}

// seen is one call that an account was asked for.
type seen struct {
	call          string
	at            time.Time
	limit         time.Duration // until the deadline of the call's context
	jobID, taskID string
	options       batchapi.TerminateTaskOptions
}

// account is a scripted Account for one delivery: one goroutine calls it, so nothing guards it. Its last answer repeats.
type account struct {
	t      *testing.T
	script []answer
	seen   []seen
}

func (a *account) TerminateTask(ctx context.Context, jobID, taskID string, o *batchapi.TerminateTaskOptions) (batchapi.TerminateTaskResponse, error) {
	step, err := a.next(ctx, seen{call: terminate, jobID: jobID, taskID: taskID, options: *o})
	if err == nil {
		err = step.err
	}
	if err != nil {
		return batchapi.TerminateTaskResponse{}, err
	}
	return batchapi.TerminateTaskResponse{StatusCode: 204, RequestID: "srv-204"}, nil
}

func (a *account) GetTask(ctx context.Context, jobID, taskID string, o *batchapi.GetTaskOptions) (batchapi.Task, error) {
	step, err := a.next(ctx, seen{call: get, jobID: jobID, taskID: taskID,
		options: batchapi.TerminateTaskOptions{ClientRequestID: o.ClientRequestID}})
	if err == nil {
		err = step.err
	}
	return step.task, err
}

func (a *account) InvalidateToken() { a.seen = append(a.seen, seen{call: invalidate, at: time.Now()}) }

func (a *account) next(ctx context.Context, s seen) (answer, error) {
	s.at = time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		s.limit = time.Until(deadline)
	}
	a.seen = append(a.seen, s)
	if len(a.script) == 0 {
		a.t.Errorf("unexpected call: %s of %s/%s", s.call, s.jobID, s.taskID)
		return answer{}, &batchapi.ArgumentError{Field: "test", Reason: "no script"}
	}
	step := a.script[0]
	if len(a.script) > 1 {
		a.script = a.script[1:]
	}
	if step.call != s.call {
		a.t.Errorf("call %d: got %s, the script has %s", len(a.seen), s.call, step.call)
	}
	select {
	case <-time.After(step.takes):
	case <-ctx.Done():
		return step, fmt.Errorf("%s task: %w", s.call, ctx.Err())
	}
	return step, nil
}

// calls lists what the account was asked for, in order.
func (a *account) calls() (names []string) {
	for _, s := range a.seen {
		names = append(names, s.call)
	}
	return names
}

// tries counts the terminate calls.
func (a *account) tries() (n int) {
	for _, s := range a.seen {
		if s.call == terminate {
			n++
		}
	}
	return n
}

// batchError is an answer of Batch.
func batchError(status int, code string) *batchapi.Error {
	return &batchapi.Error{Operation: "terminate task", StatusCode: status, Code: code, RequestID: fmt.Sprintf("srv-%d", status)}
}

// after returns an answer with a Retry-After.
func after(wait time.Duration, e *batchapi.Error) *batchapi.Error {
	waiting := *e
	waiting.RetryAfter, waiting.HasRetryAfter = wait, true
	return &waiting
}

// newHandler returns a handler of the two allow-listed endpoints, both served by a.
func newHandler(t *testing.T, a Account, adjust ...func(*Config)) *Handler {
	t.Helper()
	c := Config{Accounts: map[string]Account{contoso: a, fabrikam: a}, Default: contoso, Retry: DefaultRetry}
	for _, f := range adjust {
		f(&c)
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// message carries a request for task t-1 of job nightly; members, if any, are added to it.
func message(members string) Message {
	if members != "" {
		members = ", " + members
	}
	return Message{RequestIdentity: "m-1", Body: []byte(`{"jobId": "nightly", "taskId": "t-1"` + members + `}`)}
}
