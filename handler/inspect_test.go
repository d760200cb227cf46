package handler

import (
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/batchapi"
)

func TestInspectSaysWhetherAnythingIsLeftToTerminate(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		members     string
		script      []answer
		open, ended bool
		outcome     Outcome // unless open
		calls       int
	}{
		"running":          {script: []answer{{call: get, task: batchapi.Task{State: batchapi.TaskRunning}}}, open: true, calls: 1},
		"completed":        {script: []answer{{call: get, task: batchapi.Task{State: batchapi.TaskCompleted}}}, ended: true, outcome: AlreadyCompleted, calls: 1},
		"gone":             {script: []answer{{call: get, err: batchError(404, "TaskNotFound")}}, ended: true, outcome: AlreadyGone, calls: 1},
		"gone, says who":   {script: []answer{{call: get, err: batchError(404, "")}}, outcome: WrongEndpoint, calls: 1},
		"another task":     {members: `"createdBefore": "2026-01-31T12:00:00Z"`, script: []answer{{call: get, task: batchapi.Task{State: batchapi.TaskRunning, CreationTime: created}}}, ended: true, outcome: SkippedNewerIncarnation, calls: 1},
		"the task itself":  {members: `"createdBefore": "2026-01-31T12:00:01Z"`, script: []answer{{call: get, task: batchapi.Task{State: batchapi.TaskRunning, CreationTime: created}}}, open: true, calls: 1},
		"throttled, once":  {script: []answer{{call: get, err: after(time.Second, batchError(429, "TooManyRequests"))}, {call: get, task: batchapi.Task{State: batchapi.TaskRunning}}}, open: true, calls: 2},
		"throttled":        {script: []answer{{call: get, err: batchError(429, "TooManyRequests")}}, outcome: Throttled, calls: 4},
		"throttled long":   {script: []answer{{call: get, err: after(time.Minute, batchError(429, "TooManyRequests"))}}, outcome: Throttled, calls: 1},
		"no request":       {members: `"ifmatch": "1"`, outcome: InvalidMessage},
		"foreign endpoint": {members: `"endpoint": "https://evil.example"`, outcome: EndpointNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &account{t: t, script: c.script}
				i := newHandler(t, a).Inspect(t.Context(), message(c.members))
				if i.Open != c.open || i.Ended != c.ended || !c.open && i.Result.Outcome != c.outcome {
					t.Errorf("got %+v", i)
				}
				if n := len(a.calls()); n != c.calls {
					t.Errorf("%d calls, want %d: %v", n, c.calls, a.calls())
				}
			})
		})
	}
}

// A refused token is renewed once, as for a terminate, and then it is the account that refuses.
func TestInspectRenewsARefusedTokenOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &account{t: t, script: []answer{{call: get, err: batchError(401, "AuthenticationFailed")}}}
		i := newHandler(t, a).Inspect(t.Context(), message(""))
		if i.Open || i.Ended || i.Result.Outcome != AuthFailed {
			t.Errorf("got %+v", i)
		}
		if calls := a.calls(); len(calls) != 3 || calls[1] != invalidate {
			t.Errorf("calls %v, want a read, a new token, a read", calls)
		}
	})
}

// P3: what a person is told is what Batch is.
func TestClientIDIsTheOneThatCallsCarry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ members, endpoint string }{
		{``, contoso},
		{`"endpoint": "` + fabrikam + `"`, ""},
		{`"endpoint": "HTTPS://Fabrikam.NorthEurope.batch.azure.com/"`, contoso},
		{`"clientRequestId": "9f0c8f0e-4d5f-4c57-8a0b-0b5a3a6f3a11"`, ""},
	} {
		a := &account{t: t, script: []answer{{call: terminate}}}
		m := message(c.members)
		want := newHandler(t, a).Handle(t.Context(), m).ClientRequestID
		r, err := ReadRequest(m)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.ClientID(m.RequestIdentity, c.endpoint); got != want {
			t.Errorf("%s with default %q: %s, and calls carry %s", c.members, c.endpoint, got, want)
		}
	}
	r, err := ReadRequest(message(""))
	if err != nil {
		t.Fatal(err)
	}
	if id := r.ClientID("m-1", ""); id != "" {
		t.Errorf("got %s without an endpoint to derive it from", id)
	}
}
