package handler

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi"
)

// running is a task that can be terminated.
func running(etag string, created time.Time) batchapi.Task {
	return batchapi.Task{ID: "t-1", State: batchapi.TaskRunning, CreationTime: created, ETag: etag}
}

func completedTask() batchapi.Task {
	task := running("0x9", halfPast.Add(-time.Hour))
	task.State = batchapi.TaskCompleted
	return task
}

// A refused token may only be an old one: it is renewed once, and the account's gate hears what came of that.
func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	refused := answer{call: terminate, err: batchError(401, "AuthenticationFailed")}
	tests := []struct {
		name   string
		script []answer
		want   []observation
		calls  []string
	}{
		{"and the new one is accepted", []answer{refused, {call: terminate}}, []observation{{Terminated, 0}},
			[]string{terminate, invalidate, terminate}},
		{"and refused again", []answer{refused}, []observation{{AuthFailed, 0}}, []string{terminate, invalidate, terminate}},
		{"also after a passing failure", []answer{{call: terminate, err: reset("read")}, refused, {call: terminate, err: reset("read")}, refused},
			[]observation{{Network, 0}, {Network, 0}, {AuthFailed, 0}}, []string{terminate, terminate, invalidate, terminate, terminate}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := &gate{admit: []admission{{ok: true}}}
			a := &account{script: tt.script}
			r, _ := bubble(t, a, message(""), gated(g))
			if !slices.Equal(a.calls(), tt.calls) || r.Attempts != a.tries() {
				t.Errorf("calls %v, %d attempts; want %v", a.calls(), r.Attempts, tt.calls)
			}
			if last := tt.want[len(tt.want)-1]; r.Outcome != last.outcome || !slices.Equal(g.observed, tt.want) {
				t.Errorf("%v, gate observed %v; want %v", r.Outcome, g.observed, tt.want)
			}
		})
	}
}

func TestABrokenCredentialIsNotRetried(t *testing.T) {
	t.Parallel()
	a := &account{script: []answer{{call: terminate, err: credential(errors.New("no credential"))}}}
	r, _ := bubble(t, a, message(""))
	if r.Outcome != AuthFailed || !slices.Equal(a.calls(), []string{terminate}) {
		t.Errorf("%v, calls %v", r.Outcome, a.calls())
	}
}

func TestACheckReadsTheTaskOnce(t *testing.T) {
	t.Parallel()
	conflict := batchError(409, "OperationInvalidForCurrentState")
	tests := map[string]struct {
		read answer
		want Outcome
	}{
		"completed":               {answer{task: completedTask()}, AlreadyCompleted},
		"running":                 {answer{task: running("0x1", halfPast)}, StateConflict},
		"gone":                    {answer{err: batchError(404, "TaskNotFound")}, AlreadyGone},
		"gone with its job":       {answer{err: batchError(404, "JobNotFound")}, AlreadyGone},
		"not found by a stranger": {answer{err: batchError(404, "")}, StateConflict},
		"forbidden":               {answer{err: batchError(403, "AuthorizationFailure")}, StateConflict},
		"failing":                 {answer{err: batchError(500, "InternalError")}, StateConflict},
		"unreachable":             {answer{err: reset("read")}, StateConflict},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.read.call = get
			a := &account{script: []answer{{call: terminate, err: conflict}, tt.read}}
			r, _ := bubble(t, a, message(""))
			if r.Outcome != tt.want || !slices.Equal(a.calls(), []string{terminate, get}) {
				t.Errorf("%v, calls %v; want %v", r.Outcome, a.calls(), tt.want)
			}
			if !errors.Is(r.Err, conflict) || r.Code != conflict.Code || r.RequestID != "srv-409" {
				t.Errorf("error %v, code %s, request-id %s; want those of the conflict", r.Err, r.Code, r.RequestID)
			}
		})
	}
}

// The answer of an earlier attempt may have been lost after it terminated the task, which gave it another ETag: a kill of
// the worker or a connection that broke must not make a dead letter of the request.
func TestAnUnmetConditionMayBeTheRequestsOwnDoing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		read answer
		want Outcome
	}{
		"completed":   {answer{task: completedTask()}, AlreadyCompleted},
		"running":     {answer{task: running("0x2", halfPast)}, ConditionNotMet},
		"gone":        {answer{err: batchError(404, "TaskNotFound")}, AlreadyGone},
		"unreachable": {answer{err: reset("read")}, StateConflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.read.call = get
			a := &account{script: []answer{{call: terminate, err: batchError(412, "ConditionNotMet")}, tt.read}}
			r, _ := bubble(t, a, message(`"ifMatch": "0x1"`))
			if r.Outcome != tt.want || !slices.Equal(a.calls(), []string{terminate, get}) {
				t.Errorf("%v, calls %v; want %v", r.Outcome, a.calls(), tt.want)
			}
		})
	}
}

func TestAnAttemptEndsAfterTheServersLimitAndAMargin(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]time.Duration{"": 35 * time.Second, `"timeOut": 1`: 6 * time.Second, `"timeOut": 30`: 35 * time.Second} {
		a := &account{script: []answer{{call: terminate, takes: time.Hour}}}
		limits := DefaultRetry
		limits.Attempts = 1
		r, took := bubble(t, a, message(members), retry(limits))
		if r.Outcome != TimedOut || took != want || a.seen[0].limit != want {
			t.Errorf("%s: %v after %v, limit %v; want %v", members, r.Outcome, took, a.seen[0].limit, want)
		}
	}
}

func TestOperatorsSettingsDecideTwoRows(t *testing.T) {
	t.Parallel()
	strict := func(c *Config) { c.NotFoundDeadLetters = true }
	lenient := func(c *Config) { c.ConditionNotMetCompletes = true }
	none := func(*Config) {}
	unmet := []answer{{call: terminate, err: batchError(412, "ConditionNotMet")}, {call: get, task: older}}
	tests := []struct {
		name   string
		set    func(*Config)
		script []answer
		want   Outcome
	}{
		{"not found", none, []answer{{call: terminate, err: batchError(404, "TaskNotFound")}}, AlreadyGone},
		{"not found, strict", strict, []answer{{call: terminate, err: batchError(404, "TaskNotFound")}}, NotFound},
		{"gone, strict", strict, []answer{{call: terminate, err: batchError(410, "")}}, NotFound},
		{"found gone by a check, strict", strict, []answer{{call: terminate, err: batchError(409, "JobNotActive")}, {call: get, err: batchError(404, "JobNotFound")}}, NotFound},
		{"job ending, strict", strict, []answer{{call: terminate, err: batchError(409, "JobBeingDeleted")}}, JobEnding},
		{"completed, strict", strict, []answer{{call: terminate, err: batchError(409, "TaskCompleted")}}, AlreadyCompleted},
		{"condition", none, unmet, ConditionNotMet},
		{"condition, strict not found", strict, unmet, ConditionNotMet},
		{"condition, lenient", lenient, unmet, SkippedCondition},
		{"not found, lenient condition", lenient, []answer{{call: terminate, err: batchError(404, "TaskNotFound")}}, AlreadyGone},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := &account{script: tt.script}
			r, took := bubble(t, a, message(""), tt.set)
			if r.Outcome != tt.want || took != 0 || a.tries() != 1 {
				t.Errorf("%v after %v and %d calls, want %v at once", r.Outcome, took, a.tries(), tt.want)
			}
			if r.Outcome.Decision() == DeadLetter && !strings.Contains(r.DeadLetterDescription(), r.RequestID) {
				t.Errorf("description %q lacks %s", r.DeadLetterDescription(), r.RequestID)
			}
		})
	}
}
