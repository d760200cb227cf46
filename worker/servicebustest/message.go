package servicebustest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/message"
)

// Message is what a test sends without a client.
type Message struct {
	ID            string
	Body          []byte
	ContentType   string
	Subject       string
	CorrelationID string
	To            string
	ReplyTo       string
	Properties    map[string]any // application properties: Go's simple types, []byte, time.Time
	TTL           time.Duration  // 0: the queue's default
	ScheduledFor  time.Time      // zero: at once
	SessionID     *string        // nil: none; a blank id names a session too
}

// encode makes the message one that a client could have sent.
func (m Message) encode() (broker.Message, error) {
	wire := &message.Message{}
	wire.SetData(m.Body)
	p := message.Properties{
		To: m.To, ReplyTo: m.ReplyTo, Subject: m.Subject, ContentType: codec.Symbol(m.ContentType),
	}
	if m.ID != "" {
		p.MessageID = m.ID
	}
	if m.SessionID != nil {
		p.GroupID = codec.Some(*m.SessionID)
	}
	if m.CorrelationID != "" {
		p.CorrelationID = m.CorrelationID
	}
	if err := wire.SetProperties(p); err != nil {
		return broker.Message{}, err
	}
	if m.TTL > 0 {
		wire.Header.TTL = codec.Some(uint32(min(m.TTL.Milliseconds(), 1<<32-1)))
	}
	if !m.ScheduledFor.IsZero() {
		if err := wire.MessageAnnotations.Set(message.ScheduledEnqueueTime, m.ScheduledFor); err != nil {
			return broker.Message{}, err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.Properties)) {
		value := m.Properties[key]
		if n, ok := value.(int); ok {
			value = int64(n) // as the Go SDK sends it
		}
		if err := wire.ApplicationProperties.Set(key, value); err != nil {
			return broker.Message{}, fmt.Errorf("message %q: %w", m.ID, err)
		}
	}
	accepted := dialect.Message(wire, wire.Size())
	accepted.TTL = m.TTL // the wire has milliseconds
	accepted.ScheduledFor = m.ScheduledFor
	return accepted, nil
}

// State is where a live message is.
type State string

// The states of a StoredMessage.
const (
	Active    State = "active"
	Locked    State = "locked" // also a deferred message that was received
	Deferred  State = "deferred"
	Scheduled State = "scheduled"
)

// StoredMessage is a message as the broker has it at one instant.
type StoredMessage struct {
	ID            string
	Body          []byte // of data sections, joined; nil for other kinds of body
	ContentType   string
	Subject       string
	CorrelationID string
	SessionID     *string        // nil: none
	Properties    map[string]any // application properties, with what settlements added

	SequenceNumber   int64
	EnqueuedSequence int64 // before activation of a scheduled message; 0 otherwise
	EnqueuedAt       time.Time
	ScheduledFor     time.Time
	ExpiresAt        time.Time // zero: never
	DeliveryCount    int       // failed deliveries: 0 where the Go SDK shows 1
	State            State
	LockedUntil      time.Time // zero: not locked

	Reason, Description string // dead-lettered messages: why
}

func newStoredMessage(m broker.Stored) StoredMessage {
	wire := dialect.Wire(m.Message)
	p := wire.Properties()
	shown := StoredMessage{
		ID: m.ID, ContentType: string(p.ContentType), Subject: p.Subject, Properties: dialect.Properties(wire.ApplicationProperties.All()),
		SequenceNumber: m.SequenceNumber, EnqueuedSequence: m.EnqueuedSequence, EnqueuedAt: m.EnqueuedAt,
		ScheduledFor: m.ScheduledFor, ExpiresAt: m.ExpiresAt, DeliveryCount: int(m.DeliveryCount),
		State: stateOf(m), LockedUntil: m.LockedUntil,
	}
	if m.InSession {
		shown.SessionID = &m.SessionID
	}
	shown.CorrelationID, _ = p.CorrelationID.(string)
	if parts, err := wire.Data(); err == nil {
		shown.Body = slices.Concat(parts...)
	}
	shown.Reason, _ = shown.Properties[broker.PropertyDeadLetterReason].(string)
	shown.Description, _ = shown.Properties[broker.PropertyDeadLetterDescription].(string)
	return shown
}

func stateOf(m broker.Stored) State {
	switch {
	case m.LockToken != broker.Token{}:
		return Locked
	case m.State == broker.Deferred:
		return Deferred
	case m.State == broker.Scheduled:
		return Scheduled
	}
	return Active
}
