package handler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchterminator/batchapi"
)

var halfPast = time.Date(2026, 1, 31, 17, 0, 0, 0, time.UTC)

// validMessages says what each valid-*.json decodes to. Absent members stand for job nightly, task t-1 and contoso.
var validMessages = map[string]Request{
	"minimal": {},
	"every-member": {JobID: "Nightly_2026-01", TaskID: "frame_0001-a", TimeOut: 30 * time.Second,
		IfMatch: "0x8DCF3C953387E09", IfUnmodifiedSince: halfPast, ClientRequestID: "0f3c1d52-6a7e-4b58-9a44-2d1c8e5b7f10",
		Reason: "superseded by run 42", RequestedBy: "scheduler@contoso"},
	"whitespace-around":                {},
	"escaped-member-name":              {TaskID: "t-1"},
	"jobId-of-schedule":                {JobID: "weekly:job-1"},
	"jobId-of-schedule-longest":        {JobID: strings.Repeat("s", 64) + ":job-9999999999"},
	"ids-longest":                      {JobID: strings.Repeat("j", 64), TaskID: strings.Repeat("t", 64)},
	"timeOut-least":                    {TimeOut: time.Second},
	"timeOut-most":                     {TimeOut: 30 * time.Second},
	"timeOut-whole-fraction":           {TimeOut: 5 * time.Second},
	"timeOut-exponent":                 {TimeOut: 10 * time.Second},
	"ifMatch":                          {IfMatch: "0x8DCF3C953387E09"},
	"ifMatch-quoted":                   {IfMatch: `"0x8DCF3C953387E09"`},
	"ifMatch-any":                      {IfMatch: "*"},
	"ifNoneMatch":                      {IfNoneMatch: "0x8DCF3C953387E09"},
	"ifModifiedSince-rfc3339":          {IfModifiedSince: halfPast.Add(250 * time.Millisecond)},
	"ifModifiedSince-rfc7231":          {IfModifiedSince: halfPast},
	"ifUnmodifiedSince-rfc3339":        {IfUnmodifiedSince: halfPast},
	"ifUnmodifiedSince-rfc7231":        {IfUnmodifiedSince: halfPast},
	"ifNoneMatch+ifModifiedSince":      {IfNoneMatch: "0x1", IfModifiedSince: halfPast},
	"ifMatch+ifUnmodifiedSince":        {IfMatch: "0x1", IfUnmodifiedSince: halfPast},
	"createdBefore":                    {CreatedBefore: halfPast.Add(1)},
	"createdBefore-year-9999":          {CreatedBefore: time.Date(9999, 12, 31, 23, 59, 59, 999999900, time.UTC)},
	"clientRequestId-upper-case":       {ClientRequestID: "0F3C1D52-6A7E-4B58-9A44-2D1C8E5B7F10"},
	"endpoint-trailing-slash":          {Endpoint: contoso},
	"endpoint-upper-case":              {Endpoint: contoso},
	"endpoint-other-of-the-allow-list": {Endpoint: fabrikam},
	"reason-longest":                   {Reason: strings.Repeat("ü", 256)},
	"requestedBy-empty":                {},
	"cloudevent":                       {},
	"cloudevent-json-suffix":           {},
	"cloudevent-base64":                {},
}

// The files of testdata/messages are named <verdict>-<member>-<why>.json. Those of CloudEvents in structured mode have
// "cloudevent" in their name.
func messageFiles(t *testing.T, verdict string) map[string]Message {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "testdata", "messages", verdict+"-*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s messages: %v", verdict, err)
	}
	files := make(map[string]Message, len(paths))
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m := Message{RequestIdentity: "m-1", Body: body, ContentType: "application/json"}
		if strings.Contains(path, "cloudevent") {
			m.ContentType = "application/cloudevents+json; charset=utf-8"
		}
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		files[strings.TrimPrefix(name, verdict+"-")] = m
	}
	return files
}

func TestValidMessagesReachBatchAsWritten(t *testing.T) {
	t.Parallel()
	files := messageFiles(t, "valid")
	for name := range validMessages {
		if _, ok := files[name]; !ok {
			t.Errorf("valid-%s.json does not exist", name)
		}
	}
	for name, m := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, ok := validMessages[name]
			if !ok {
				t.Fatal("the test does not say what it decodes to")
			}
			want = withDefaults(want)
			a := &account{t: t, script: []answer{{call: terminate}}}
			if !want.CreatedBefore.IsZero() {
				a.script = []answer{{call: get, task: running("0x9", want.CreatedBefore.Add(-1))}, {call: terminate}}
			}
			r := newHandler(t, a).Handle(t.Context(), m)
			if r.Outcome != Terminated {
				t.Fatalf("outcome %v: %s", r.Outcome, r.Detail)
			}
			if diff := cmp.Diff(want, r.Request); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			checkSent(t, want, a.seen[len(a.seen)-1])
		})
	}
}

func withDefaults(r Request) Request {
	for at, value := range map[*string]string{&r.JobID: "nightly", &r.TaskID: "t-1", &r.Endpoint: contoso} {
		if *at == "" {
			*at = value
		}
	}
	return r
}

// checkSent compares a call with the request that it was made for.
func checkSent(t *testing.T, want Request, got seen) {
	t.Helper()
	o := got.options
	sent := Request{JobID: got.jobID, TaskID: got.taskID, Endpoint: want.Endpoint, TimeOut: o.TimeOut,
		IfMatch: o.IfMatch, IfNoneMatch: o.IfNoneMatch, IfModifiedSince: o.IfModifiedSince, IfUnmodifiedSince: o.IfUnmodifiedSince,
		CreatedBefore: want.CreatedBefore, ClientRequestID: want.ClientRequestID, Reason: want.Reason, RequestedBy: want.RequestedBy}
	if !want.CreatedBefore.IsZero() {
		want.IfMatch = "0x9" // the incarnation that was read
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
	if id := want.ClientRequestID; id != "" && o.ClientRequestID != id {
		t.Errorf("client-request-id %q, want the sender's own %q", o.ClientRequestID, id)
	}
	if !batchapi.IsGUID(o.ClientRequestID) || !o.ReturnClientRequestID {
		t.Errorf("client-request-id %q, echo %v; want a GUID and its echo", o.ClientRequestID, o.ReturnClientRequestID)
	}
}

// Each refused message costs no call (the account has no script), and its detail begins with the member at fault.
//
// Scorecard: M1, M2, M5, M6, M7, M8.
func TestRefusedMessagesCostNoCallAndNameTheMember(t *testing.T) {
	t.Parallel()
	for _, outcome := range []Outcome{InvalidMessage, EndpointNotAllowed} {
		for name, m := range messageFiles(t, outcome.String()) {
			t.Run(outcome.String()+"/"+name, func(t *testing.T) {
				t.Parallel()
				r := newHandler(t, &account{t: t}).Handle(t.Context(), m)
				member := memberAtFault(name)
				checkRefused(t, r, outcome, member)
			})
		}
	}
}

// memberAtFault reads the member from a file name: If-Match is the one with a hyphen of its own.
func memberAtFault(name string) string {
	if strings.HasPrefix(name, "If-Match-") {
		return "If-Match"
	}
	member, _, _ := strings.Cut(name, "-")
	return member
}

func checkRefused(t *testing.T, r Result, outcome Outcome, member string) {
	t.Helper()
	if r.Outcome != outcome {
		t.Fatalf("outcome %v (%s), want %v", r.Outcome, r.Detail, outcome)
	}
	if !strings.HasPrefix(r.Detail, member+": ") && !strings.HasPrefix(r.Detail, `"`+member+`": `) {
		t.Errorf("detail %q does not begin with %s", r.Detail, member)
	}
	if r.Err == nil || r.Attempts != 0 || r.Request != (Request{}) {
		t.Errorf("error %v, %d attempts, request %v; want an error and nothing else", r.Err, r.Attempts, r.Request)
	}
	if r.Detail != printable(r.Detail) {
		t.Errorf("detail %q is not one line of ASCII", r.Detail)
	}
}
