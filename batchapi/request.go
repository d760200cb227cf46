package batchapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// Names on the wire. timeOut has a capital O since 2025-06-01.
const (
	queryAPIVersion = "api-version"
	queryTimeOut    = "timeOut"
	querySelect     = "$select"

	headerAuthorization         = "Authorization"
	headerClientRequestID       = "Client-Request-Id"
	headerReturnClientRequestID = "Return-Client-Request-Id"
	headerOCPDate               = "Ocp-Date"
	headerRequestID             = "Request-Id"
	headerDataServiceID         = "Dataserviceid"
)

const (
	maxIDBytes     = 64
	maxETagBytes   = 256
	maxServiceTime = 30 * time.Second
)

// IsTaskID reports whether a task may have this id: 1 to 64 letters, digits,
// hyphens and underscores (Add Task, "id"). No dot, slash, percent sign or space,
// so that an id is one path segment whatever cleans the path.
func IsTaskID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxIDBytes
}

// IsJobID reports whether a job may have this id. To those of tasks it adds the
// ids the service itself gives to the jobs of a job schedule, {scheduleId}:job-{n}.
func IsJobID(s string) bool {
	schedule, number, scheduled := strings.Cut(s, ":job-")
	if scheduled && (number == "" || len(number) > 10 || number[0] == '0' || strings.Trim(number, "0123456789") != "") {
		return false
	}
	return IsTaskID(schedule)
}

// call is one request before it is built.
type call struct {
	operation, span string
	method          string
	jobID, taskID   string
	action          string // what follows the task in the path
	selects         string // $select, on reads
	options         *TerminateTaskOptions
}

// path is the exact escaped path the request must leave with. Nothing in a valid
// id needs escaping; the colon is legal in a segment (RFC 3986 §3.3).
func (k *call) path() string {
	return "/jobs/" + k.jobID + "/tasks/" + k.taskID + k.action
}

// do validates the call, sends it once, and returns the answer if it is a
// success.
func (c *Client) do(ctx context.Context, k call) (_ *answer, err error) {
	if err := k.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", k.operation, err)
	}
	a := &attempt{path: k.path(), query: c.query(&k), caller: ctx}
	ctx = context.WithValue(ctx, attemptKey{}, a)
	// In the context, where it wins over the options of the client and over
	// whatever retry options the caller's context carries.
	ctx = policy.WithRetryOptions(ctx, retryOff)
	ctx, endSpan := azruntime.StartSpan(ctx, k.span, c.azure.Tracer(), nil)
	defer func() { endSpan(err) }()

	req, err := c.newRequest(ctx, &k, a.path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.operation, err)
	}
	sent := req.Raw().Header.Get(headerClientRequestID)
	_, err = c.azure.Pipeline().Do(req)
	if a.answer == nil {
		if a.err != nil {
			// The pipeline replaces errors by the context's once that has ended;
			// what happened first is the better news.
			err = a.err
		}
		return nil, fmt.Errorf("%s: %w", k.operation, err)
	}
	// An answer that arrived as the context ended is still the outcome.
	if !a.answer.settleRequestID(sent) {
		c.way.closeIdle() // a connection that is out of step stays so
		return nil, fmt.Errorf("%s: %w", k.operation, errAnotherRequest)
	}
	if a.answer.status < 200 || a.answer.status > 299 {
		return nil, a.answer.asError(k.operation, a.answer.bodyErr)
	}
	return a.answer, nil
}

// query is what follows the path.
func (c *Client) query(k *call) string {
	query := c.version
	if k.selects != "" {
		query += "&" + querySelect + "=" + url.QueryEscape(k.selects)
	}
	if k.options.TimeOut != 0 {
		query += "&" + queryTimeOut + "=" + strconv.Itoa(int(k.options.TimeOut/time.Second))
	}
	return query
}

// newRequest builds the request but for what only the guard may add: the query,
// the token and the date.
func (c *Client) newRequest(ctx context.Context, k *call, path string) (*policy.Request, error) {
	raw := &http.Request{
		Method: k.method,
		// From its parts, never joined: joining cleans the path, and cleaning is
		// how an id climbs out of it.
		URL:   &url.URL{Scheme: c.endpoint.scheme, Host: c.endpoint.host, Path: path},
		Host:  c.endpoint.host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header),
	}
	c.setHeaders(raw.Header, k.options)
	req, err := azruntime.NewRequestFromRequest(raw.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	// The guard has read the answer by the time that azcore would.
	azruntime.SkipBodyDownload(req)
	return req, nil
}

// setHeaders fills h, whose values share one array: this runs for every call.
func (c *Client) setHeaders(h http.Header, o *TerminateTaskOptions) {
	id := o.ClientRequestID
	if id == "" {
		id = newGUID()
	}
	echo := ""
	if o.ReturnClientRequestID {
		echo = "true"
	}
	headers := [...]struct{ name, value string }{
		{headerClientRequestID, id},
		{headerReturnClientRequestID, echo},
		{"If-Match", o.IfMatch},
		{"If-None-Match", o.IfNoneMatch},
		{"If-Modified-Since", formatTime(o.IfModifiedSince)},
		{"If-Unmodified-Since", formatTime(o.IfUnmodifiedSince)},
		{"Accept", "application/json"},
	}
	values := make([]string, len(headers)+1)
	for i, header := range headers {
		if header.value != "" {
			values[i] = header.value
			h[header.name] = values[i : i+1 : i+1]
		}
	}
	// Even when empty: an absent one would be replaced by net/http's.
	values[len(headers)] = c.userAgent
	h["User-Agent"] = values[len(headers):]
}

// validate refuses what must never be sent, and what the service would refuse
// with a text that is harder to read.
func (k *call) validate() error {
	if !IsJobID(k.jobID) {
		return &ArgumentError{Field: "jobId", Reason: "must be 1 to 64 letters, digits, hyphens and underscores, or such an id followed by :job-{n}"}
	}
	if !IsTaskID(k.taskID) {
		return &ArgumentError{Field: "taskId", Reason: "must be 1 to 64 letters, digits, hyphens and underscores"}
	}
	return k.options.validate()
}

func (o *TerminateTaskOptions) validate() error {
	if o.TimeOut != 0 && (o.TimeOut < time.Second || o.TimeOut > maxServiceTime || o.TimeOut%time.Second != 0) {
		return &ArgumentError{Field: "timeOut", Reason: "must be whole seconds, 1 to 30"}
	}
	if o.ClientRequestID != "" && !IsGUID(o.ClientRequestID) {
		return &ArgumentError{Field: "clientRequestId", Reason: "must be a GUID without decoration"}
	}
	if !isETag(o.IfMatch) {
		return &ArgumentError{Field: "ifMatch", Reason: etagRule}
	}
	if !isETag(o.IfNoneMatch) {
		return &ArgumentError{Field: "ifNoneMatch", Reason: etagRule}
	}
	return o.validateConditions()
}

// validateConditions keeps to the two pairs the service takes. A date outside
// four-digit years has no RFC 7231 form.
func (o *TerminateTaskOptions) validateConditions() error {
	for _, date := range []struct {
		field string
		value time.Time
	}{{"ifModifiedSince", o.IfModifiedSince}, {"ifUnmodifiedSince", o.IfUnmodifiedSince}} {
		if y := date.value.UTC().Year(); !date.value.IsZero() && (y < 1 || y > 9999) {
			return &ArgumentError{Field: date.field, Reason: "year must have four digits"}
		}
	}
	ifMatch, ifNoneMatch := o.IfMatch != "", o.IfNoneMatch != ""
	modified, unmodified := !o.IfModifiedSince.IsZero(), !o.IfUnmodifiedSince.IsZero()
	if (ifMatch || unmodified) && (ifNoneMatch || modified) {
		return &ArgumentError{Field: "conditions", Reason: "only ifMatch with ifUnmodifiedSince, or ifNoneMatch with ifModifiedSince, may be combined"}
	}
	return nil
}

// IsGUID reports whether s is 8-4-4-4-12 hexadecimal digits, without the braces
// and prefixes that parsers forgive.
func IsGUID(s string) bool {
	if len(s) != len("00000000-0000-0000-0000-000000000000") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		hexadecimal := '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (c == '-') || !hyphen && !hexadecimal {
			return false
		}
	}
	return true
}

const etagRule = "must be visible ASCII, at most 256 bytes"

func isETag(s string) bool {
	if len(s) > maxETagBytes {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// formatTime writes the RFC 7231 form. Go's RFC 1123 layouts would name a zone
// the service does not take.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(http.TimeFormat)
}

// second is a time as it goes out, which many calls share.
type second struct {
	unix int64
	text string
}

var lastSecond atomic.Pointer[second]

// formatNow is formatTime of the present.
func formatNow() string {
	now := time.Now()
	s := lastSecond.Load()
	if s == nil || s.unix != now.Unix() {
		s = &second{now.Unix(), formatTime(now)}
		lastSecond.Store(s)
	}
	return s.text
}

// newGUID returns a random GUID (RFC 9562 version 4).
func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
