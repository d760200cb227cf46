package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

func TestWhyTellsWhereARequestIsAndWhatComesNext(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	waiting, later := request("waiting"), request("later")
	later.ScheduledFor = time.Now().Add(time.Hour)
	later.Properties = map[string]any{
		"bt-request-id": "original", "bt-attempts": int64(4), "bt-redeliveries": int64(2), "bt-first-enqueued": "2026-01-31T17:00:00Z",
		"bt-ledger": "2026-01-31T17:00:05Z throttled/4; unrecorded; 2026-01-31T17:02:10Z draining/0 unsettled",
	}
	if _, err := d.queue.Send(waiting, later); err != nil {
		t.Fatal(err)
	}
	d.bury(t, request("dead"))
	const bothComplete = "looked at 2 messages of terminate-requests: all there are\nlooked at 1 messages of terminate-requests, dead letters: all there are\n"

	out, _ := d.run(t, exitOK, "why", "m-waiting")
	contains(t, out, "request                 j/waiting\n", "is in                   terminate-requests, active, number 1\n", "next                    it waits for a worker", bothComplete)

	for _, subject := range []string{"J/Later", "original", "m-later"} {
		out, _ = d.run(t, exitOK, "why", subject)
		contains(t, out, "request               j/later\n", "request id            original\n", "before this message   4 attempts, 2 redeliveries\n", "  2026-01-31T17:00:00Z", "first enqueued\n",
			"throttled: Batch asked to slow down, after 4 attempts\n", "unrecorded: a process died", "draining: the worker is stopping; its settlement was not confirmed\n",
			"next                  it enters the queue, and is worked on then\n", ", in 59m", bothComplete)
	}

	out, _ = d.run(t, exitOK, "why", "j/dead", "-o", "json")
	var a answer
	if err := json.Unmarshal([]byte(out), &a); err != nil || len(a.Found) != 1 || a.Found[0].In != "terminate-requests, dead letters" || a.Found[0].ClientRequestID == "" || len(a.Looked) != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	out, _ = d.run(t, exitOK, "why", a.Found[0].ClientRequestID)
	contains(t, out, "request                 j/dead\n", "is in                   terminate-requests, dead letters, number 3\n", " (derived: none is recorded)\n", "dead                  TTLExpiredException: Service Bus: its time to live ended in the queue\n", "next                    nothing, until a person sends it back")

	if !strings.HasPrefix(out, bothComplete+"\nrequest ") {
		t.Errorf("how far it looked does not come first:\n%s", out)
	}

	out, stderr := d.run(t, exitFailed, "why", "m-finished")
	contains(t, out, bothComplete)
	contains(t, stderr, "no message of m-finished found; it has finished, was never sent, or goes by another id")
}

func TestWhySaysWhenItGaveUpLooking(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if _, err := d.queue.Send(request("a"), request("b"), request("c")); err != nil {
		t.Fatal(err)
	}
	out, _ := d.run(t, exitFailed, "why", "m-c", "--max-peek=2")
	contains(t, out, "looked at 2 messages of terminate-requests: there are more, --max-peek looks further\n")
	d.run(t, exitOK, "why", "m-c", "--max-peek=0")
}

func TestWhyAsksBatchForTheTask(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.account.AddTask("j", "running", batchtest.TaskRunning)
	if _, err := d.queue.Send(request("running"), request("gone"), servicebustest.Message{ID: "bad", Body: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]string{
		"j/running": "is running at Batch",
		"j/gone":    "has nothing left to terminate: the task or its job no longer exists",
		"bad":       "is not known: invalid_message: body",
	} {
		out, _ := d.run(t, exitOK, "why", subject, "--check-task")
		contains(t, out, want)
	}
	out, _ := d.run(t, exitOK, "why", "bad")
	contains(t, out, "will be dead-lettered as invalid_message")
}
