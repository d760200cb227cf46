package main

import (
	"strings"
	"testing"

	"batchterminator/handler"
	"batchterminator/worker"
)

func TestAChoiceThatFitsNothingIsNoAllClear(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	commands := [][]string{{"list"}, {"resubmit"}, {"resubmit", "--dry-run"}, {"purge", "--yes"}, {"purge", "--dry-run"}, {"export"}}
	say := func(wanted string) {
		t.Helper()
		for _, c := range commands {
			out, stderr := d.run(t, exitOK, append(append([]string{"dlq"}, c...), "--reason=nonsense")...)
			contains(t, out+stderr, wanted)
		}
	}
	say("no dead letters in terminate-requests\n")
	d.bury(t, request("a"), request("b"))
	say("none of 2 dead letters in terminate-requests fits; reasons here: TTLExpiredException\n")
}

func TestReasonsMayBeGivenWithCommas(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.bury(t, request("a"))
	out, _ := d.run(t, exitOK, "dlq", "list", "--reason=refused,TTLExpiredException")
	contains(t, out, "1 dead letter in terminate-requests")
}

// What the worker recorded is what Batch saw, whatever endpoint is configured where a person looks.
func TestTheRecordedClientRequestIDComesFirst(t *testing.T) {
	t.Parallel()
	const seen, own = "67eec828-6832-52dc-a50a-97491db6efd3", "11111111-2222-3333-4444-555555555555"
	ownID := `,"clientRequestId":"` + own + `"`
	for name, c := range map[string]struct {
		description, more string
		attempts          int
		want              string
	}{
		"recorded":                        {"x; attempts=2 client-request-id=" + seen + " request-id=a:b c", "", 0, seen},
		"recorded without an answer":      {"x; attempts=1 client-request-id=" + seen, "", 0, seen},
		"never called":                    {"x; attempts=0 client-request-id=" + seen, "", 0, "none: Batch was not called"},
		"called by an earlier delivery":   {"x; attempts=0 client-request-id=" + seen, "", 3, seen},
		"the sender's own, nothing said":  {"expired", ownID, 0, own},
		"nothing said":                    {"expired", "", 0, "(derived: none is recorded)"},
		"a description that only says so": {"client-request-id=" + seen + " said somebody", "", 0, "(derived: none is recorded)"},
	} {
		s := worker.Stored{Description: c.description, Request: handler.Message{RequestIdentity: "r", Attempts: c.attempts, Body: []byte(`{"jobId":"j","taskId":"t"` + c.more + `}`)}}
		m := newMessage(s, "https://elsewhere.westeurope.batch.azure.com", true)
		if got := m.clientRequestID(); !strings.HasSuffix(got, c.want) || m.Derived != strings.Contains(c.want, "derived") {
			t.Errorf("%s: %q, derived %v; want %q", name, got, m.Derived, c.want)
		}
	}
}
