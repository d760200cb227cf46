package batchtest

import (
	"bytes"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// exchange is one request on its way through the account. It belongs to the
// goroutine that serves the request.
type exchange struct {
	account   *Account
	w         http.ResponseWriter
	r         *http.Request
	call      Call
	requestID string
	seen      map[*Rule]bool // rules that have had their turn

	remembered bool // under the account's mutex
}

// response is an answer before it is written.
type response struct {
	status int
	code   string
	header http.Header
	body   []byte
}

// ServeHTTP answers one request, through the faults that apply to it.
func (a *Account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := a.begin(w, r)
	defer a.end(x)
	x.next()
}

func (a *Account) begin(w http.ResponseWriter, r *http.Request) *exchange {
	a.handlers.Add(1)
	x := &exchange{account: a, w: w, r: r, call: describe(r)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests++
	x.requestID = guid(a.requests)
	a.inFlight++
	a.maxInFlight = max(a.maxInFlight, a.inFlight)
	return x
}

// end also runs while a handler unwinds to drop its connection.
func (a *Account) end(x *exchange) {
	a.mu.Lock()
	a.inFlight--
	x.remember()
	a.mu.Unlock()
	a.handlers.Done()
}

// remember puts the call, as it is by then, among those the account remembers;
// the account's mutex is held.
func (x *exchange) remember() {
	if !x.remembered {
		x.remembered = true
		x.account.log.add(x.call)
	}
}

// next lets the next fault that applies have the request, or, when there is
// none left, answers it truthfully.
func (x *exchange) next() {
	if rule := x.account.takeRule(x); rule != nil {
		x.call.Fault = rule.fault.name
		rule.fault.run(x)
		return
	}
	x.send(x.act())
}

// act judges the request and does what it asks for.
func (x *exchange) act() response {
	x.account.mu.Lock()
	defer x.account.mu.Unlock()
	return x.judge()
}

// send writes the answer.
func (x *exchange) send(resp response) {
	x.sendHeader(resp)
	_, _ = x.w.Write(resp.body) // a client that has gone is not this end's failure
}

func (x *exchange) sendHeader(resp response) {
	h := x.w.Header()
	for name, values := range resp.header {
		h[name] = values
	}
	h["Request-Id"] = []string{x.requestID}
	if strings.EqualFold(x.r.Header.Get("return-client-request-id"), "true") && x.r.Header.Get("client-request-id") != "" {
		h["Client-Request-Id"] = []string{x.r.Header.Get("client-request-id")}
	}
	h["Server"] = []string{"Microsoft-HTTPAPI/2.0"}
	if resp.status != http.StatusNoContent && h.Get("Content-Length") == "" {
		h["Content-Length"] = []string{strconv.Itoa(len(resp.body))}
	}
	x.call.Status, x.call.Code = resp.status, resp.code
	x.w.WriteHeader(resp.status)
}

// drop closes the connection without an answer, or without the rest of one.
func (x *exchange) drop() {
	panic(http.ErrAbortHandler)
}

// wait lets time pass. It reports false when the client or the account has gone.
func (x *exchange) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.r.Context().Done():
	case <-x.account.closing:
	}
	return false
}

// plainPath is how a correct client writes the two operations.
var plainPath = regexp.MustCompile(`^/jobs/[A-Za-z0-9_-]{1,64}(:job-[0-9]+)?/tasks/[A-Za-z0-9_-]{1,64}(/terminate)?$`)

// describe routes a request as a server does that decodes the path and cleans
// it, which is what makes an id that climbs visible.
func describe(r *http.Request) Call {
	rawPath, _, _ := strings.Cut(r.RequestURI, "?")
	c := Call{
		Time:      time.Now(),
		Operation: Unknown,
		Method:    r.Method,
		Path:      rawPath,
		Query:     r.URL.Query(),
		Header:    r.Header.Clone(),
		Bearer:    bearer(r) != "",
	}
	c.Header.Del("Authorization")
	part := strings.Split(strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/"), "/")
	if len(part) >= 2 && part[0] == "jobs" {
		c.JobID = part[1]
	}
	if len(part) >= 4 && part[2] == "tasks" {
		c.TaskID = part[3]
	}
	shape := c.Method + " " + strconv.Itoa(len(part))
	switch {
	case c.TaskID != "" && shape == "POST 5" && part[4] == "terminate":
		c.Operation = TerminateTask
	case c.TaskID != "" && shape == "GET 4":
		c.Operation = GetTask
	case c.TaskID != "" && shape == "DELETE 4":
		c.Operation = DeleteTask
	case c.JobID != "" && shape == "POST 3" && part[2] == "terminate":
		c.Operation = TerminateJob
	case c.JobID != "" && shape == "DELETE 2":
		c.Operation = DeleteJob
	}
	c.Stray = !plainPath.MatchString(rawPath) || (c.Operation != TerminateTask && c.Operation != GetTask)
	return c
}

// bearer returns the request's bearer token.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// refusal is a BatchError in the service's layout. values alternates keys and
// values.
func (x *exchange) refusal(status int, code, text string, values ...string) response {
	var b bytes.Buffer
	b.WriteString("{\r\n  \"odata.metadata\":\"" + x.base() + "/$metadata#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element\"")
	b.WriteString(",\"code\":" + quote(code) + ",\"message\":{\r\n    \"lang\":\"en-US\",\"value\":")
	b.WriteString(quote(text + "\nRequestId:" + x.requestID + "\nTime:" + time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z")))
	b.WriteString("\r\n  }")
	for i := 0; i+1 < len(values); i += 2 {
		if i == 0 {
			b.WriteString(",\"values\":[")
		} else {
			b.WriteString(",")
		}
		b.WriteString("\r\n    {\r\n      \"key\":" + quote(values[i]) + ",\"value\":" + quote(values[i+1]) + "\r\n    }")
	}
	if len(values) > 0 {
		b.WriteString("\r\n  ]")
	}
	b.WriteString("\r\n}")
	return response{
		status: status, code: code, body: b.Bytes(),
		header: http.Header{"Content-Type": {"application/json;odata=minimalmetadata"}},
	}
}

// base is the account's address as this request's client knows it.
func (x *exchange) base() string {
	return (&url.URL{Scheme: "https", Host: x.r.Host}).String()
}
