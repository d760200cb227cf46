package handler

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

// seed adds every example body.
func seed(f *testing.F, add func(name string, body []byte)) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "testdata", "messages", "*.json"))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no messages: %v", err)
	}
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		add(path, body)
	}
}

// FuzzDecodeRequest holds what is accepted to promise P6, and to one meaning: written again, it reads the same.
//
// Scorecard: M1, M6, M8.
func FuzzDecodeRequest(f *testing.F) {
	seed(f, func(_ string, body []byte) { f.Add(body) })
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		r, err := DecodeRequest(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			if text := err.Error(); text != printable(text) {
				t.Fatalf("error %q is not one line of ASCII", text)
			}
			return
		}
		checkHarmless(t, r)
		again, err := DecodeRequest(encode(t, r))
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		if diff := cmp.Diff(r, again); diff != "" {
			t.Fatalf("written again (-first +second):\n%s", diff)
		}
	})
}

// checkHarmless asserts that no value can leave the place in the call that it is meant for.
func checkHarmless(t *testing.T, r Request) {
	t.Helper()
	for _, id := range []string{r.JobID, r.TaskID} {
		if id == "" || url.PathEscape(id) != id || strings.ContainsAny(id, "./\\%") {
			t.Fatalf("id %q", id)
		}
	}
	path, err := url.JoinPath(contoso, "jobs", r.JobID, "tasks", r.TaskID, "terminate")
	if want := contoso + "/jobs/" + r.JobID + "/tasks/" + r.TaskID + "/terminate"; err != nil || path != want {
		t.Fatalf("path %s, want %s", path, want)
	}
	for _, tag := range []string{r.IfMatch, r.IfNoneMatch} {
		if len(tag) > 256 || tag != printable(tag) || strings.Contains(tag, " ") {
			t.Fatalf("ETag %q", tag)
		}
	}
	for _, date := range []time.Time{r.IfModifiedSince, r.IfUnmodifiedSince, r.CreatedBefore} {
		if _, err := http.ParseTime(date.Format(http.TimeFormat)); err != nil || date.Location() != time.UTC {
			t.Fatalf("date %v: %v", date, err)
		}
	}
	if r.TimeOut < 0 || r.TimeOut > 30*time.Second || r.TimeOut%time.Second != 0 {
		t.Fatalf("timeOut %v", r.TimeOut)
	}
}

// encode writes a request the way a sender would.
func encode(t *testing.T, r Request) []byte {
	t.Helper()
	members := map[string]any{}
	for name, s := range map[string]string{"jobId": r.JobID, "taskId": r.TaskID, "endpoint": r.Endpoint, "ifMatch": r.IfMatch,
		"ifNoneMatch": r.IfNoneMatch, "clientRequestId": r.ClientRequestID, "reason": r.Reason, "requestedBy": r.RequestedBy} {
		if s != "" {
			members[name] = s
		}
	}
	for name, d := range map[string]time.Time{"ifModifiedSince": r.IfModifiedSince, "ifUnmodifiedSince": r.IfUnmodifiedSince, "createdBefore": r.CreatedBefore} {
		if !d.IsZero() {
			members[name] = d.Format(time.RFC3339Nano)
		}
	}
	if r.TimeOut != 0 {
		members["timeOut"] = int(r.TimeOut / time.Second)
	}
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// FuzzEnvelope feeds whole messages: what is unwrapped of them is a harmless request or a refusal that can be read.
//
// Scorecard: M1, M7.
func FuzzEnvelope(f *testing.F) {
	seed(f, func(path string, body []byte) {
		contentType := "application/json"
		if strings.Contains(path, "cloudevent") {
			contentType = cloudEventsMedia
		}
		f.Add(contentType, "cloudEvents:specversion", "1.0", body)
	})
	f.Add("text/plain; charset=\xff", "cloudEvents_specversion", "0.3", []byte(`{"jobId":"nightly","taskId":"t-1"}`))
	f.Fuzz(func(t *testing.T, contentType, property, value string, body []byte) {
		h := newHandler(t, &account{t: t})
		checkDecoded(t, h, Message{Body: body, ContentType: contentType, Properties: map[string]any{property: value}})
	})
}

func checkDecoded(t *testing.T, h *Handler, m Message) {
	t.Helper()
	r, refusal := h.decode(m)
	if refusal == nil {
		checkHarmless(t, r)
		if r.Endpoint != contoso && r.Endpoint != fabrikam {
			t.Fatalf("endpoint %s is not on the allow-list", r.Endpoint)
		}
		return
	}
	if (refusal.Outcome != InvalidMessage && refusal.Outcome != EndpointNotAllowed) || refusal.Detail == "" {
		t.Fatalf("%v: %q", refusal.Outcome, refusal.Detail)
	}
	if text := fmt.Sprint(refusal.DeadLetterReason(), refusal.DeadLetterDescription()); text != printable(text) {
		t.Fatalf("%q is not ASCII", text)
	}
}
