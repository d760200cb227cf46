package batchapi

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Error is an answer other than success, whoever gave it. Decide on Code first
// and StatusCode second: 403 alone holds refusals that are final and failures
// that pass.
type Error struct {
	Operation  string // "terminate task" or "get task"
	StatusCode int

	// Code, Message and Values are the body's, if the body is a BatchError; Code
	// is empty for any other body. Texts have tokens, signatures and strings to
	// sign taken out. Values keeps order and repeated keys.
	Code    string
	Message ErrorMessage
	Values  []ErrorDetail

	// RequestID is what Microsoft's support asks for. ClientRequestID is the
	// service's echo, or what was sent where it gave none.
	RequestID, ClientRequestID string

	// RetryAfter is the wait the service asked for, from the moment of the
	// answer and between zero and a day; HasRetryAfter tells zero from nothing.
	RetryAfter    time.Duration
	HasRetryAfter bool

	// ServerDate is the answer's Date, zero if absent: with the local time it
	// shows a clock that is wrong.
	ServerDate time.Time

	// Err says why the body was not understood or not read, where that is not
	// plain from Code being empty.
	Err error
}

// ErrBodyBroken is in an Error whose body could not be read to its end, for
// whatever reason: the code that decides may be in the part that is missing.
var ErrBodyBroken = errors.New("body broken off")

// ErrorMessage is the text for people.
type ErrorMessage struct {
	Lang  string
	Value string
}

// ErrorDetail is one of the details Batch adds to an error.
type ErrorDetail struct {
	Key   string
	Value string
}

// Error returns one line. Batch puts the request id and time on lines of their
// own behind the message; only the message is kept here.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Operation)
	fmt.Fprintf(&b, ": status %d", e.StatusCode)
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if line := e.Message.FirstLine(); line != "" {
		b.WriteString(": " + line)
	}
	if e.Err != nil {
		b.WriteString(": " + oneLine(redact(e.Err.Error())))
	}
	if e.RequestID != "" {
		b.WriteString(" (request-id " + oneLine(e.RequestID) + ")")
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// FirstLine is the message without what Batch appends to it, with control
// characters escaped.
func (m ErrorMessage) FirstLine() string {
	line, _, _ := strings.Cut(strings.TrimLeft(m.Value, "\r\n"), "\n")
	return oneLine(strings.TrimRight(line, "\r"))
}

// ArgumentError is a call that was refused before anything was sent.
type ArgumentError struct {
	Field  string // as the message schema spells it
	Reason string
}

func (e *ArgumentError) Error() string { return e.Field + ": " + e.Reason }
