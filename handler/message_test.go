package handler

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

const guid = "0f3c1d52-6a7e-4b58-9a44-2d1c8e5b7f10"

func TestDeadLetterReasonIsBatchsCodeOnlyForARefusedRequest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		result Result
		want   string
	}{
		{Result{Outcome: Refused, Code: "InvalidInput"}, "InvalidInput"},
		{Result{Outcome: Refused}, "refused"},
		{Result{Outcome: RetriesExhausted, Code: "ServerBusy"}, "retries_exhausted"},
		{Result{Outcome: NotFound, Code: "TaskNotFound"}, "not_found"},
		{Result{Outcome: InvalidMessage}, "invalid_message"},
		{Result{Outcome: Refused, Code: strings.Repeat("x", 64)}, strings.Repeat("x", 64)},
		{Result{Outcome: Refused, Code: strings.Repeat("x", 65)}, strings.Repeat("x", 61) + "..."},
		{Result{Outcome: Refused, Code: "Ünïcode\r\nInjected: 1"}, "?n?code??Injected: 1"},
	}
	for _, tt := range tests {
		if got := tt.result.DeadLetterReason(); got != tt.want {
			t.Errorf("%v %q: %q, want %q", tt.result.Outcome, tt.result.Code, got, tt.want)
		}
	}
}

func TestDeadLetterDescriptionIsTheDetailAndTheIDs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		result Result
		want   string
	}{
		{Result{Detail: "taskId: required"}, "taskId: required; attempts=0"},
		{Result{Detail: "Batch said no", Attempts: 4, ClientRequestID: guid, RequestID: "srv-1"},
			"Batch said no; attempts=4 client-request-id=" + guid + " request-id=srv-1"},
		{Result{Detail: "no answer", Attempts: 1, ClientRequestID: guid}, "no answer; attempts=1 client-request-id=" + guid},
	}
	for _, tt := range tests {
		if got := tt.result.DeadLetterDescription(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// Scorecard: R27.
func TestALongDetailIsCutAndTheIDsStay(t *testing.T) {
	t.Parallel()
	r := Result{Detail: strings.Repeat("x", 100_000), Attempts: 4, ClientRequestID: guid, RequestID: strings.Repeat("r", 100_000)}
	got := r.DeadLetterDescription()
	tail := "; attempts=4 client-request-id=" + guid + " request-id=" + strings.Repeat("r", 125) + "..."
	if len(got) != 1024 || !strings.HasSuffix(got, "x..."+tail) {
		t.Errorf("%d characters: %s", len(got), got)
	}
	r.Detail = strings.Repeat("x", 1024-len(tail))
	if got := r.DeadLetterDescription(); got != r.Detail+tail {
		t.Errorf("a detail that just fits was cut: %s", got)
	}
}

// Hostile text reaches a result from both sides: from the message and from whoever answers.
//
// Scorecard: R27, M8.
func TestDeadLetterTextsAreShortLinesOfASCII(t *testing.T) {
	t.Parallel()
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.IntRange(0, 3000), func(n int) string { return strings.Repeat("ü\n", n) }))
	rapid.Check(t, func(t *rapid.T) {
		r := Result{Outcome: rapid.SampledFrom(Outcomes()).Draw(t, "outcome"), Code: text.Draw(t, "code"), Detail: text.Draw(t, "detail"),
			RequestID: text.Draw(t, "request-id"), ClientRequestID: guid}
		reason, description := r.DeadLetterReason(), r.DeadLetterDescription()
		if reason == "" || len(reason) > 64 || len(description) > 1024 {
			t.Fatalf("%d characters of reason, %d of description", len(reason), len(description))
		}
		for _, c := range reason + description {
			if c < ' ' || c > '~' || c == utf8.RuneError {
				t.Fatalf("%q in %q or %q", c, reason, description)
			}
		}
		if !strings.Contains(description, "client-request-id="+guid) {
			t.Fatalf("no client-request-id in %q", description)
		}
	})
}

func TestClippedTextShowsThatItWasClipped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{-1: "", 0: "", 2: "ab", 3: "abc", 4: "a...", 5: "abcde", 9: "abcde"} {
		if got := clip("abcde", n); got != want {
			t.Errorf("to %d: %q, want %q", n, got, want)
		}
	}
}
