package handler

import (
	"regexp"
	"slices"
	"testing"
)

// decisions is the table of the README, written down apart from the code's.
var decisions = map[Decision][]string{
	Complete: {"terminated", "already_completed", "already_gone", "job_ending", "skipped_condition", "skipped_newer_incarnation", "duplicate_delivery"},
	DeadLetter: {"invalid_message", "endpoint_not_allowed", "refused", "condition_not_met", "not_found", "retries_exhausted", "expired",
		"crash_suspect"},
	Redeliver: {"throttled", "unavailable", "timed_out", "network", "job_disabled", "state_conflict", "draining", "isolated"},
	Pause:     {"auth_failed", "account_disabled", "wrong_endpoint", "worker_misconfigured"},
	Leave:     {"lock_lost", "panic"},
}

func TestOutcomesAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	got := map[Decision][]string{}
	for _, o := range Outcomes() {
		got[o.Decision()] = append(got[o.Decision()], o.String())
	}
	for d, names := range decisions {
		if !slices.Equal(got[d], names) {
			t.Errorf("%v: %v, want %v", d, got[d], names)
		}
	}
	if len(got) != len(decisions) {
		t.Errorf("decisions %v", got)
	}
}

func TestOutcomeNamesAreUniqueLabelValuesWithAMeaning(t *testing.T) {
	t.Parallel()
	snake := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	names := map[string]bool{}
	for i, o := range Outcomes() {
		if int(o) != i || names[o.String()] || !snake.MatchString(o.String()) || o.Meaning() == "" {
			t.Errorf("outcome %d: %q, %q", i, o, o.Meaning())
		}
		names[o.String()] = true
	}
	if got := Outcome(200).String(); got != "outcome(200)" {
		t.Errorf("an outcome that does not exist is called %q", got)
	}
}

func TestDecisionsAreNamed(t *testing.T) {
	t.Parallel()
	for d, want := range map[Decision]string{Complete: "complete", DeadLetter: "dead-letter", Redeliver: "redeliver", Pause: "pause", Leave: "leave"} {
		if d.String() != want {
			t.Errorf("%q, want %q", d, want)
		}
	}
}

// Outcomes that only the worker can know of.
var ofTheWorker = []Outcome{DuplicateDelivery, CrashSuspect, Isolated, Panic}

// Every other outcome is one that policy can reach, so that no series stays at zero by mistake.
func TestEveryOutcomeIsReachable(t *testing.T) {
	t.Parallel()
	reached := map[Outcome]bool{}
	for _, r := range slices.Concat(answerRules, silenceRules, endRules) {
		reached[r.Outcome] = true
	}
	for _, tt := range withoutAnswer {
		reached[tt.want.Outcome] = true
	}
	for _, o := range cancellations {
		reached[o] = true
	}
	// Each of these is reached by a test of its own.
	for _, o := range []Outcome{Terminated, SkippedCondition, SkippedNewerIncarnation, EndpointNotAllowed, NotFound, RetriesExhausted, Expired} {
		reached[o] = true
	}
	for _, o := range Outcomes() {
		if worker := slices.Contains(ofTheWorker, o); reached[o] == worker {
			t.Errorf("%v: reached by policy %v, left to the worker %v", o, reached[o], worker)
		}
	}
}
