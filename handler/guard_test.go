package handler

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// guarded asks for a task created before half past.
var guarded = message(`"createdBefore": "2026-01-31T17:00:00Z"`)

var older = running("0x1", halfPast.Add(-1))

func TestCreatedBeforeTerminatesOnlyTheIncarnationThatWasRead(t *testing.T) {
	t.Parallel()
	unmet := batchError(412, "ConditionNotMet")
	done := running("0x1", halfPast.Add(-time.Hour))
	done.State = "completed"
	tests := map[string]struct {
		script []answer
		want   Outcome
		calls  []string
	}{
		"older":                    {[]answer{{call: get, task: older}, {call: terminate}}, Terminated, []string{get, terminate}},
		"created at that moment":   {[]answer{{call: get, task: running("0x1", halfPast)}}, SkippedNewerIncarnation, []string{get}},
		"newer":                    {[]answer{{call: get, task: running("0x1", halfPast.Add(time.Hour))}}, SkippedNewerIncarnation, []string{get}},
		"completed":                {[]answer{{call: get, task: done}}, AlreadyCompleted, []string{get}},
		"gone":                     {[]answer{{call: get, err: batchError(404, "TaskNotFound")}}, AlreadyGone, []string{get}},
		"gone by a code not known": {[]answer{{call: get, err: batchError(404, "ResourceNotFound")}}, AlreadyGone, []string{get}},
		"gone in between":          {[]answer{{call: get, task: older}, {call: terminate, err: batchError(404, "TaskNotFound")}}, AlreadyGone, []string{get, terminate}},
		"completed in between":     {[]answer{{call: get, task: older}, {call: terminate, err: batchError(409, "TaskCompleted")}}, AlreadyCompleted, []string{get, terminate}},
		"changed in between": {[]answer{{call: get, task: older}, {call: terminate, err: unmet}, {call: get, task: running("0x2", halfPast.Add(-1))}, {call: terminate}},
			Terminated, []string{get, terminate, get, terminate}},
		"replaced in between": {[]answer{{call: get, task: older}, {call: terminate, err: unmet}, {call: get, task: running("0x2", halfPast)}},
			SkippedNewerIncarnation, []string{get, terminate, get}},
		"completed by the change": {[]answer{{call: get, task: older}, {call: terminate, err: unmet}, {call: get, task: done}},
			AlreadyCompleted, []string{get, terminate, get}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{script: tt.script}
			r, _ := bubble(t, a, guarded)
			if r.Outcome != tt.want || !slices.Equal(a.calls(), tt.calls) || r.Attempts != 1 {
				t.Errorf("%v, calls %v, %d attempts; want %v, %v", r.Outcome, a.calls(), r.Attempts, tt.want, tt.calls)
			}
			checkIncarnations(t, a)
		})
	}
}

// checkIncarnations holds each terminate to the ETag of the read before it.
func checkIncarnations(t *testing.T, a *account) {
	t.Helper()
	etags := []string{"0x1", "0x2"}
	for _, s := range a.seen {
		if s.call != terminate {
			continue
		}
		if s.options.IfMatch != etags[0] {
			t.Errorf("terminated with If-Match %q, want %q", s.options.IfMatch, etags[0])
		}
		etags = etags[1:]
	}
}

// A condition that the sender did not set must not dead-letter the sender's message.
func TestATaskThatKeepsChangingIsWaitedOut(t *testing.T) {
	t.Parallel()
	unmet := batchError(412, "ConditionNotMet")
	a := &account{script: []answer{
		{call: get, task: older}, {call: terminate, err: unmet}, {call: get, task: older}, {call: terminate, err: unmet},
		{call: get, task: older}, {call: terminate},
	}}
	limits := DefaultRetry
	limits.Attempts = 1
	if r, _ := bubble(t, a, guarded, retry(limits)); r.Outcome != StateConflict || a.tries() != 2 || !errors.Is(r.Err, unmet) {
		t.Errorf("%v after %d calls, error %v", r.Outcome, a.tries(), r.Err)
	}
	if r, _ := bubble(t, a, guarded, retry(limits)); r.Outcome != Terminated {
		t.Errorf("the next delivery: %v", r.Outcome)
	}
}

// Without a creation time the guard knows nothing; without an ETag the terminate would be unconditional.
func TestATaskWithoutIncarnationIsNotTerminated(t *testing.T) {
	t.Parallel()
	for _, task := range []answer{{call: get, task: running("", halfPast.Add(-1))}, {call: get, task: running("0x1", time.Time{})}} {
		a := &account{script: []answer{task}}
		r, _ := bubble(t, a, guarded)
		if r.Outcome != Unavailable || a.tries() != 0 || r.Err == nil || r.Detail == "" {
			t.Errorf("%v after %v, error %v, detail %q", r.Outcome, a.calls(), r.Err, r.Detail)
		}
	}
}

func TestAFailedGuardReadIsClassifiedLikeATerminate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		want Outcome
		gets int
	}{
		"passing":      {batchError(500, "InternalError"), Unavailable, 4},
		"unreachable":  {reset("read"), Network, 4},
		"refused":      {batchError(403, "AuthorizationFailure"), AuthFailed, 2},
		"disabled":     {batchError(403, "AccountIsDisabled"), AccountDisabled, 1},
		"a stranger":   {batchError(404, ""), WrongEndpoint, 1},
		"not the task": {batchError(200, ""), WrongEndpoint, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &account{script: []answer{{call: get, err: tt.err}}}
			r, _ := bubble(t, a, guarded)
			if r.Outcome != tt.want || r.Attempts != tt.gets || a.tries() != 0 || !errors.Is(r.Err, tt.err) {
				t.Errorf("%v after %v, error %v; want %v after %d reads", r.Outcome, a.calls(), r.Err, tt.want, tt.gets)
			}
		})
	}
}

// What an earlier try was told says nothing about the one that decided.
func TestAnEarlierFailureDoesNotDescribeTheOutcome(t *testing.T) {
	t.Parallel()
	a := &account{script: []answer{{call: get, err: after(time.Second, batchError(503, "ServerBusy"))}, {call: get, task: running("0x1", halfPast)}}}
	r, _ := bubble(t, a, guarded)
	if r.Outcome != SkippedNewerIncarnation || r.Status != 0 || r.Code != "" || r.RetryAfter != 0 || r.Err != nil {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(r.Detail, "2026-01-31T17:00:00Z") {
		t.Errorf("detail %q does not say when the task was created", r.Detail)
	}
}

// A person who looks at the dead letter of a strict worker finds what Batch said and where.
func TestAGuardReadThatFindsNothingIsDescribed(t *testing.T) {
	t.Parallel()
	a := &account{script: []answer{{call: get, err: batchError(404, "JobNotFound")}}}
	r, _ := bubble(t, a, guarded, func(c *Config) { c.NotFoundDeadLetters = true })
	text := r.DeadLetterDescription()
	if r.Outcome != NotFound || r.Code != "JobNotFound" || !strings.Contains(text, "JobNotFound") || !strings.Contains(text, "srv-404") {
		t.Errorf("%v, code %q, description %q", r.Outcome, r.Code, text)
	}
}
