package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"

	"batchterminator/cmd/internal/app"
	"batchterminator/worker/servicebustest"
)

// sabotage breaks one promise from inside the worker's process. A demo that cannot fail proves nothing; these make it fail.
type sabotage struct {
	breaks string
	// tamper takes the place of the last step towards Batch.
	tamper roundTripper
	// settings changes those of the worker, but not what it is judged by.
	settings func(*app.Settings)
	// meddle acts just before the first worker starts.
	meddle func(*demo)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// sabotages lists what can be broken; the first one breaks nothing.
func sabotages() []sabotage {
	return []sabotage{
		{},
		{breaks: "P1", tamper: onEvery(10, claimSuccess)},
		{breaks: "P2", tamper: onEvery(10, claimSuccess)},
		{breaks: "P3", tamper: newIdentity},
		{breaks: "P4", tamper: onEvery(10, claimRefusal)},
		{breaks: "P5", meddle: forgetToSettle},
		{breaks: "P6", tamper: onEvery(10, terminateTheJob)},
		{breaks: "P7", settings: func(s *app.Settings) { s.Worker.Concurrency *= 4 }},
	}
}

func findSabotage(promise string) (sabotage, error) {
	for _, s := range sabotages() {
		if s.breaks == promise {
			return s, nil
		}
	}
	return sabotage{}, fmt.Errorf("--sabotage: no way to break %q", promise)
}

// onEvery meets each nth call with f and sends the others on.
func onEvery(n int64, f roundTripper) roundTripper {
	var calls atomic.Int64
	return func(req *http.Request) (*http.Response, error) {
		if calls.Add(1)%n == 0 {
			return f(req)
		}
		return http.DefaultTransport.RoundTrip(req)
	}
}

// claimSuccess answers for Batch, so that the worker finishes a request whose task runs on.
func claimSuccess(req *http.Request) (*http.Response, error) {
	return answer(req, http.StatusNoContent, ""), nil
}

// claimRefusal answers for Batch, so that the worker dead-letters a good request.
func claimRefusal(req *http.Request) (*http.Response, error) {
	return answer(req, http.StatusBadRequest, `{"code":"InvalidInput"}`), nil
}

func answer(req *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)), Request: req}
}

// newIdentity gives every attempt an id of its own, and hides that from the client, which believes no answer to another's.
func newIdentity(req *http.Request) (*http.Response, error) {
	const header = "client-request-id"
	id := req.Header.Get(header)
	req.Header.Set(header, uuid.NewString())
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err == nil {
		resp.Header.Set(header, id)
	}
	return resp, err
}

// terminateTheJob sends the call where a task id of ".." would have sent it.
func terminateTheJob(req *http.Request) (*http.Response, error) {
	job, _, _ := strings.Cut(req.URL.Path, "/tasks/")
	req.URL.Path = job + "/terminate"
	return http.DefaultTransport.RoundTrip(req)
}

// forgetToSettle keeps every settlement of one delivery from the broker, so that its lock ends by itself.
func forgetToSettle(d *demo) {
	d.bus.OnNext(servicebustest.Settle, servicebustest.Swallow(), servicebustest.OnMessage(d.requests[0].id))
	d.bus.OnNext(servicebustest.Management, servicebustest.Swallow(), servicebustest.Times(4),
		servicebustest.When(func(c servicebustest.Call) bool { return strings.HasSuffix(c.Operation, "update-disposition") }))
}
