package handler

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"batchterminator/batchapi"
)

// Account is one Batch account as policy needs it; *batchapi.Client is one. Implementations must be safe for
// concurrent use.
type Account interface {
	TerminateTask(ctx context.Context, jobID, taskID string, options *batchapi.TerminateTaskOptions) (batchapi.TerminateTaskResponse, error)
	GetTask(ctx context.Context, jobID, taskID string, options *batchapi.GetTaskOptions) (batchapi.Task, error)
	// InvalidateToken makes the next call acquire a new token.
	InvalidateToken()
}

var _ Account = (*batchapi.Client)(nil)

// Gate says whether an account may be called now, and learns from every answer. It belongs to the account, not to one
// message: what one call learns cools all of them. Implementations must be safe for concurrent use.
type Gate interface {
	// Admit is asked before each attempt, and may block to keep a rate until ctx is done. When ok is false the attempt is
	// not made: refusal is the outcome that stands for the gate's cause, wait how long the gate stays closed at least.
	Admit(ctx context.Context, endpoint string) (refusal Outcome, wait time.Duration, ok bool)
	// Observe is told what each admitted attempt came to; retryAfter is what Batch asked for, 0 if nothing.
	Observe(endpoint string, o Outcome, retryAfter time.Duration)
}

// open is the gate of a handler that was given none.
type open struct{}

func (open) Admit(context.Context, string) (Outcome, time.Duration, bool) { return 0, 0, true }
func (open) Observe(string, Outcome, time.Duration)                       {}

// serverTimeOut is the service's default processing limit, answerMargin what an answer may take on top of it.
const (
	serverTimeOut = 30 * time.Second
	answerMargin  = 5 * time.Second
)

// call is one request on its way through the attempts of one delivery.
type call struct {
	account Account
	request Request
	// result collects what the last answer said.
	result Result
	gate   Gate
	// refused: the gate did not admit the last try, so there was none.
	refused bool
	// refreshed: the token was renewed once after a refusal; a second refusal is final.
	refreshed bool
}

// attempt makes one try under its own deadline. The returned verdict is final unless it says otherwise; the error, if
// any, is the real one.
func (c *call) attempt(delivery context.Context) (verdict, error) {
	refusal, wait, ok := c.gate.Admit(delivery, c.request.Endpoint)
	if c.refused = !ok; c.refused {
		c.result.RetryAfter = wait
		if c.result.Detail == "" {
			c.result.Detail = "the gate of the Batch account is closed"
		}
		return again(refusal), nil
	}
	observed := Panic // unless the attempt returns; the gate is told of every one that it admitted
	defer func() { c.gate.Observe(c.request.Endpoint, observed, c.result.RetryAfter) }()
	v, err := c.try(delivery)
	if observed = v.Outcome; observed == WrongEndpoint && v.retry {
		observed = Network // one hiccup of the resolver must not pause the account
	}
	return v, err
}

func (c *call) try(delivery context.Context) (verdict, error) {
	limit := serverTimeOut
	if c.request.TimeOut > 0 {
		limit = c.request.TimeOut
	}
	ctx, cancel := context.WithTimeout(delivery, limit+answerMargin)
	defer cancel()
	v, err := c.once(ctx, delivery)
	if v.Outcome == AuthFailed && v.retry {
		// Only the old token was refused, which says nothing yet about the account.
		v, err = c.once(ctx, delivery)
	}
	return v, err
}

// once forgets what an earlier try was told, but for the request id that support may ask for.
func (c *call) once(ctx, delivery context.Context) (verdict, error) {
	c.result.Attempts++
	c.result.Status, c.result.Code, c.result.Detail, c.result.RetryAfter = 0, "", "", 0
	if !c.request.CreatedBefore.IsZero() {
		return c.terminateGuarded(ctx, delivery)
	}
	return c.terminate(ctx, delivery, c.request.IfMatch)
}

// terminate makes the call, and the one read that a check verdict asks for.
func (c *call) terminate(ctx, delivery context.Context, ifMatch string) (verdict, error) {
	answer, err := c.account.TerminateTask(ctx, c.request.JobID, c.request.TaskID, &batchapi.TerminateTaskOptions{
		TimeOut:               c.request.TimeOut,
		IfMatch:               ifMatch,
		IfNoneMatch:           c.request.IfNoneMatch,
		IfModifiedSince:       c.request.IfModifiedSince,
		IfUnmodifiedSince:     c.request.IfUnmodifiedSince,
		ClientRequestID:       c.result.ClientRequestID,
		ReturnClientRequestID: true,
	})
	if err == nil {
		c.result.Status, c.result.RequestID, c.result.Code, c.result.Detail = answer.StatusCode, answer.RequestID, "", ""
		if answer.StatusCode != http.StatusNoContent {
			c.result.Detail = fmt.Sprintf("Batch answered %d; only 204 is documented", answer.StatusCode)
		}
		return final(Terminated), nil
	}
	v := c.judge(delivery, err)
	if guarded := !c.request.CreatedBefore.IsZero() && v.Outcome == ConditionNotMet; !v.check || guarded { // the guard reads by itself
		return v, err
	}
	task, readErr := c.read(ctx)
	switch {
	case readErr == nil && task.State == batchapi.TaskCompleted:
		return final(AlreadyCompleted), err
	case gone(readErr):
		return final(AlreadyGone), err
	case readErr != nil && delivery.Err() != nil:
		return classifyCause(context.Cause(delivery)), err
	case readErr != nil && v.Outcome == ConditionNotMet:
		return final(StateConflict), err // a dead letter would be a guess
	}
	return v, err
}

// errNoIncarnation is a task that createdBefore cannot be held against; terminating it could hit a newer one.
var errNoIncarnation = errors.New("get task: the answer has no creation time or no ETag")

// terminateGuarded reads the task, and terminates exactly the incarnation that it read. A task whose ETag moved in
// between is read once more: its state may have changed without it being another task.
func (c *call) terminateGuarded(ctx, delivery context.Context) (v verdict, err error) {
	for range 2 {
		var task batchapi.Task
		task, err = c.read(ctx)
		switch {
		case err != nil:
			v = c.judge(delivery, err)
			if gone(err) {
				v = final(AlreadyGone)
			}
			return v, err
		case task.CreationTime.IsZero() || task.ETag == "":
			c.result.Detail = describe(errNoIncarnation)
			return again(Unavailable), errNoIncarnation
		case !task.CreationTime.Before(c.request.CreatedBefore):
			c.result.Detail = "the task was created " + task.CreationTime.UTC().Format(time.RFC3339) + ", not before createdBefore"
			return final(SkippedNewerIncarnation), nil
		case task.State == batchapi.TaskCompleted:
			return final(AlreadyCompleted), nil
		}
		if v, err = c.terminate(ctx, delivery, task.ETag); v.Outcome != ConditionNotMet {
			return v, err
		}
	}
	// The task keeps changing under us; that is a state to wait out, not a condition of the sender's.
	return again(StateConflict), err
}

func (c *call) read(ctx context.Context) (batchapi.Task, error) {
	return c.account.GetTask(ctx, c.request.JobID, c.request.TaskID, &batchapi.GetTaskOptions{ClientRequestID: c.result.ClientRequestID})
}

// judge remembers what an answer said and classifies it. A refused token is renewed once before it counts.
func (c *call) judge(delivery context.Context, err error) verdict {
	v := classify(delivery, err)
	c.result.Status, c.result.Code, c.result.RetryAfter = 0, "", 0
	c.result.Detail = describe(err)
	answer, ok := errors.AsType[*batchapi.Error](err)
	if !ok {
		return v
	}
	c.result.Status, c.result.Code, c.result.RequestID, c.result.RetryAfter = answer.StatusCode, answer.Code, answer.RequestID, answer.RetryAfter
	if v.Outcome == AuthFailed && !c.refreshed {
		c.refreshed = true
		c.account.InvalidateToken()
		return again(AuthFailed)
	}
	return v
}

// gone tells whether Batch itself, not a proxy, said that the task does not exist.
func gone(err error) bool {
	answer, ok := errors.AsType[*batchapi.Error](err)
	return ok && answer.StatusCode == http.StatusNotFound && answer.Code != ""
}
