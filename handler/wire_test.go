package handler

import (
	"bufio"
	"bytes"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"batchterminator/batchapi"
)

// wire answers as a Batch account would and keeps the bytes of each request, as net/http writes them. One goroutine calls it.
type wire struct{ requests []string }

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	var raw bytes.Buffer
	if err := req.Write(&raw); err != nil {
		return nil, err
	}
	w.requests = append(w.requests, raw.String())
	answer := "HTTP/1.1 204 No Content\r\n\r\n"
	if req.Method == http.MethodGet {
		body := `{"id":"` + path.Base(req.URL.Path) + `","eTag":"0x1","state":"running","creationTime":"0001-06-01T00:00:00Z"}`
		answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: 0x1\r\nConnection: close\r\n\r\n" + body
	}
	return http.ReadResponse(bufio.NewReader(strings.NewReader(answer)), req)
}

// rawRequests handles a message with the real client and returns what it would put on the wire, and the outcome.
func rawRequests(t *testing.T, m Message) ([]string, Result) {
	t.Helper()
	w := &wire{}
	client, err := batchapi.NewClient("http://127.0.0.1:5681", nil, &batchapi.ClientOptions{AllowLoopbackHTTP: true,
		ClientOptions: azcore.ClientOptions{Transport: &http.Client{Transport: w}}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(Config{Accounts: map[string]Account{client.Endpoint(): client}, Default: client.Endpoint(),
		Retry: Retry{Attempts: 1, Initial: 1, Max: 1, Budget: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	result := h.Handle(t.Context(), m)
	return w.requests, result
}

// FuzzRawRequest holds promise P6 to the bytes: whatever body is accepted, what Batch receives is a terminate of that
// task (or the read before it), with no header or parameter beside the known ones.
func FuzzRawRequest(f *testing.F) {
	seed(f, func(_ string, body []byte) { f.Add(body) })
	f.Fuzz(func(t *testing.T, body []byte) {
		request, refusal := DecodeRequest(body)
		request.Endpoint = ""
		w, result := rawRequests(t, Message{RequestIdentity: "m-1", Body: body})
		if refusal != nil || result.Outcome == EndpointNotAllowed {
			if len(w) > 0 {
				t.Fatalf("a refused body made a call: %q", w)
			}
			return
		}
		if result.Outcome != Terminated {
			t.Fatalf("%v: %s", result.Outcome, result.Detail)
		}
		task := "/jobs/" + request.JobID + "/tasks/" + request.TaskID
		want := []string{"POST " + task + "/terminate"}
		if !request.CreatedBefore.IsZero() {
			want = slices.Insert(want, 0, "GET "+task)
		}
		if len(w) != len(want) {
			t.Fatalf("%d requests, want %d: %q", len(w), len(want), w)
		}
		for i, raw := range w {
			checkRaw(t, raw, want[i])
		}
	})
}

// The names that may appear on the wire. Host and Content-Length are net/http's own, Connection that of a request
// written outside of its pool.
var (
	wireParameters = []string{"api-version", "timeOut", "$select", "%24select"}
	wireHeaders    = []string{"Host", "User-Agent", "Content-Length", "Accept", "Authorization", "Ocp-Date", "Client-Request-Id", "Return-Client-Request-Id",
		"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Connection"}
)

func checkRaw(t *testing.T, raw, methodAndPath string) {
	t.Helper()
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	line, headers, _ := strings.Cut(head, "\r\n")
	target, plain := strings.CutSuffix(line, " HTTP/1.1")
	called, query, _ := strings.Cut(target, "?")
	if !plain || called != methodAndPath || body != "" {
		t.Fatalf("request line %q, body %q; want %s and no body", line, body, methodAndPath)
	}
	for parameter := range strings.SplitSeq(query, "&") {
		if name, _, _ := strings.Cut(parameter, "="); !slices.Contains(wireParameters, name) {
			t.Fatalf("parameter %q in %q", name, line)
		}
	}
	seen := map[string]bool{}
	for header := range strings.SplitSeq(headers, "\r\n") {
		name, value, _ := strings.Cut(header, ": ")
		if !slices.Contains(wireHeaders, name) || seen[name] || value != printable(value) {
			t.Fatalf("header %q of %q", header, raw)
		}
		seen[name] = true
	}
}

// The check itself must see what it is for.
func TestTheWireOfARequestIsSeen(t *testing.T) {
	t.Parallel()
	requests, result := rawRequests(t, message(`"timeOut": 5, "ifMatch": "0x1"`))
	if result.Outcome != Terminated || len(requests) != 1 {
		t.Fatalf("%v: %s; %d requests", result.Outcome, result.Detail, len(requests))
	}
	for _, want := range []string{"POST /jobs/nightly/tasks/t-1/terminate?", "timeOut=5", "\r\nContent-Length: 0\r\n", "\r\nIf-Match: 0x1\r\n"} {
		if !strings.Contains(requests[0], want) {
			t.Errorf("no %q in %q", want, requests[0])
		}
	}
}
