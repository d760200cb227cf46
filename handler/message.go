package handler

import (
	"errors"
	"time"
)

// The causes with which the worker cancels the context it passes to [Handler.Handle]; context.Cause carries them here.
var (
	// ErrLockLost means that another delivery of the same message may be under way.
	ErrLockLost = errors.New("message lock lost")
	// ErrDraining means that the worker is stopping and the grace period is nearly over.
	ErrDraining = errors.New("worker is draining")
)

// Message is what policy may know of one delivery. It holds no SDK type, so that policy is tested without a broker.
type Message struct {
	// RequestIdentity names the request through all its deliveries, scheduled copies included: the original message's id.
	RequestIdentity string
	// Body is the message body; nil when its kind cannot be delivered as bytes.
	Body []byte
	// ContentType is the media type that the sender declared, "" if none.
	ContentType string
	// Properties are the application properties, as the sender typed them.
	Properties map[string]any
	// FirstEnqueued is when the original message entered the queue, zero when unknown.
	FirstEnqueued time.Time
	// ExpiresAt ends the sender's interest in the request, zero when it never ends.
	ExpiresAt time.Time
	// Redeliveries counts the scheduled copies before this delivery.
	Redeliveries int
	// Deliveries counts those of this message or copy, with this one; 0 when unknown.
	Deliveries int
	// Attempts counts the tries of earlier deliveries.
	Attempts int
}

// Result is what a delivery ended as, with all there is to settle, count and log.
type Result struct {
	Outcome Outcome
	// Request is the decoded request; zero when the body was refused.
	Request Request
	// Attempts counts the tries of this delivery: terminate calls, or reads that made one unnecessary.
	Attempts int
	// RetryAfter is the least wait that Batch asked for, 0 if none.
	RetryAfter time.Duration
	// ClientRequestID is the id that every attempt carried.
	ClientRequestID string
	// RequestID is Batch's own id of the last answer, "" if there was none.
	RequestID string
	// Status is the last HTTP status, 0 when no answer came.
	Status int
	// Code is the last Batch error code, "" if none.
	Code string
	// Detail is one line about the cause: what was wrong, what Batch said.
	Detail string
	// Err is the last real error, never a bare "context deadline exceeded" of the retry loop.
	Err error
}

// Dead-letter limits: the broker allows 4,096 characters for each; these keep the queue's header quota and a portal
// column readable.
const (
	maxReason      = 64
	maxDescription = 1024
	maxDetail      = 512 // of a cause, in logs too
)

// DeadLetterReason returns at most 64 ASCII characters: Batch's own code for a refused request, else the outcome's name.
func (r Result) DeadLetterReason() string {
	if r.Outcome == Refused && r.Code != "" {
		return clip(printable(r.Code), maxReason)
	}
	return r.Outcome.String()
}

// DeadLetterDescription returns at most 1,024 ASCII characters on one line: the detail, then the ids that support asks for.
func (r Result) DeadLetterDescription() string {
	ids := r.ids()
	return clip(printable(r.Detail), maxDescription-len(ids)) + ids
}
