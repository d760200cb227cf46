package main

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"batchterminator/handler"
	"batchterminator/worker"
)

// message is a stored message as -o json and export print it. Properties of a type that JSON does not have are objects
// with their AMQP type, so that nothing is lost.
type message struct {
	SequenceNumber  int64          `json:"sequenceNumber"`
	MessageID       string         `json:"messageId"`
	State           string         `json:"state"`
	EnqueuedAt      *time.Time     `json:"enqueuedAt,omitempty"`
	ScheduledFor    *time.Time     `json:"scheduledFor,omitempty"`
	ExpiresAt       *time.Time     `json:"expiresAt,omitempty"`
	DeadSince       *time.Time     `json:"deadSince,omitempty"`
	Deliveries      int            `json:"deliveries"`
	Reason          string         `json:"reason,omitempty"`
	Description     string         `json:"description,omitempty"`
	Source          string         `json:"source,omitempty"`
	RequestID       string         `json:"requestId"`
	ClientRequestID string         `json:"clientRequestId,omitempty"`
	Derived         bool           `json:"clientRequestIdDerived,omitempty"`
	Request         *requestBody   `json:"request,omitempty"`
	RequestError    string         `json:"requestError,omitempty"`
	Ledger          []entry        `json:"ledger"`
	ContentType     string         `json:"contentType,omitempty"`
	Subject         string         `json:"subject,omitempty"`
	CorrelationID   string         `json:"correlationId,omitempty"`
	SessionID       string         `json:"sessionId,omitempty"`
	Properties      map[string]any `json:"properties"`
	Body            *string        `json:"body,omitempty"`
	BodyBase64      *string        `json:"bodyBase64,omitempty"`

	uncalled bool // Batch was never called for it
}

type entry struct {
	At   *time.Time `json:"at,omitempty"`
	What string     `json:"what"`
}

// newMessage describes s; endpoint is the one of requests that name none, "" if it is not known.
func newMessage(s worker.Stored, endpoint string, dead bool) message {
	m := message{
		SequenceNumber: s.SequenceNumber, MessageID: s.MessageID, State: s.State, EnqueuedAt: maybe(s.EnqueuedAt), ScheduledFor: maybe(s.ScheduledFor),
		ExpiresAt: maybe(s.ExpiresAt), Deliveries: s.Deliveries, Reason: s.Reason, Description: s.Description, Source: s.Source,
		RequestID: s.Request.RequestIdentity, ContentType: s.ContentType, Subject: s.Subject, CorrelationID: s.CorrelationID, SessionID: s.SessionID,
		Properties: map[string]any{}, Ledger: []entry{},
	}
	if dead {
		m.DeadSince = maybe(s.DeadSince())
	}
	if r, err := handler.ReadRequest(s.Request); err != nil {
		m.RequestError = err.Error()
	} else {
		m.Request = newRequestBody(r)
		m.ClientRequestID, m.Derived, m.uncalled = clientID(s, r, endpoint)
	}
	for _, e := range s.Ledger {
		m.Ledger = append(m.Ledger, entry{At: maybe(e.At), What: e.What})
	}
	for name, value := range s.Properties {
		m.Properties[name] = typed(value)
	}
	if s.Body != nil {
		if text := string(s.Body); utf8.ValidString(text) {
			m.Body = &text
		} else {
			text := base64.StdEncoding.EncodeToString(s.Body)
			m.BodyBase64 = &text
		}
	}
	return m
}

// recordedIDs is how the worker ends a description: only it knows which account was called.
var recordedIDs = regexp.MustCompile(`; attempts=(\d+)(?: client-request-id=([0-9A-Fa-f-]{36}))?(?: request-id=[ -~]{1,128})?$`)

// clientID returns the client-request-id that Batch has seen, as the worker recorded it. Where it recorded none the id is
// derived from the endpoint that is configured here, which need not be the worker's. There is none if Batch was never called.
func clientID(s worker.Stored, r handler.Request, endpoint string) (id string, derived, uncalled bool) {
	recorded := recordedIDs.FindStringSubmatch(s.Description)
	switch {
	case recorded != nil && recorded[1] == "0" && s.Request.Attempts == 0:
		return "", false, true
	case recorded != nil && recorded[2] != "":
		return recorded[2], false, false
	}
	id = r.ClientID(s.Request.RequestIdentity, endpoint)
	return id, id != "" && r.ClientRequestID == "", false
}

// calledElsewhere tells whether the worker called another account than the endpoint's for a request that names none: the recorded
// id is derived from the account.
func calledElsewhere(s worker.Stored, endpoint string) bool {
	r, err := handler.ReadRequest(s.Request)
	recorded := recordedIDs.FindStringSubmatch(s.Description)
	return err == nil && r.Endpoint == "" && r.ClientRequestID == "" && recorded != nil && recorded[2] != "" &&
		!strings.EqualFold(recorded[2], r.ClientID(s.Request.RequestIdentity, endpoint))
}

// clientRequestID is the client-request-id in a line for people.
func (m message) clientRequestID() string {
	switch {
	case m.uncalled:
		return "none: Batch was not called"
	case m.Derived:
		return m.ClientRequestID + " (derived: none is recorded)"
	}
	return plain(m.ClientRequestID)
}

func newRequestBody(r handler.Request) *requestBody {
	return &requestBody{
		JobID: r.JobID, TaskID: r.TaskID, Endpoint: r.Endpoint, TimeOut: int64(r.TimeOut / time.Second), IfMatch: r.IfMatch, IfNoneMatch: r.IfNoneMatch,
		IfModifiedSince: date(r.IfModifiedSince), IfUnmodifiedSince: date(r.IfUnmodifiedSince), CreatedBefore: date(r.CreatedBefore),
		ClientRequestID: r.ClientRequestID, Reason: r.Reason, RequestedBy: r.RequestedBy,
	}
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func maybe(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// other is a property that JSON has no type for.
type other struct {
	Type  string `json:"type"`
	Value any    `json:"value"`
}

func typed(v any) any {
	switch v := v.(type) {
	case nil, bool, int64, float64:
		return v
	case string:
		if utf8.ValidString(v) {
			return v
		}
		return other{"string", base64.StdEncoding.EncodeToString([]byte(v))}
	case []byte:
		return other{"binary", base64.StdEncoding.EncodeToString(v)}
	case time.Time:
		return other{"timestamp", v.UTC().Format(time.RFC3339Nano)}
	case int8, int16, int32, uint8, uint16, uint32, uint64, float32:
		return other{fmt.Sprintf("%T", v), v}
	}
	return other{fmt.Sprintf("%T", v), fmt.Sprint(v)}
}
