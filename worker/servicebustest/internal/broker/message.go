package broker

import (
	"crypto/rand"
	"fmt"
	"maps"
	"time"
)

// Message is what a sender hands over. The broker never changes it and never looks into Payload.
type Message struct {
	ID           string
	SessionID    string
	InSession    bool          // SessionID was given: a blank one names a session too
	TTL          time.Duration // 0: the queue's default
	ScheduledFor time.Time     // zero or past: at once
	Size         int           // encoded bytes, held against Config.MaxMessageSize
	PartitionKey string
	Payload      any
	// Overlay holds application properties set since the message was sent (dead-letter reason, properties to modify,
	// rule name). They win over the sender's. The map is shared between snapshots: read only.
	Overlay map[string]any
}

// State is the state Service Bus shows in a peek; a lock is orthogonal to it. The values are those of
// x-opt-message-state.
type State int32

// The states of a stored message.
const (
	Active State = iota
	Deferred
	Scheduled
)

func (s State) String() string {
	switch s {
	case Active:
		return "active"
	case Deferred:
		return "deferred"
	case Scheduled:
		return "scheduled"
	}
	return fmt.Sprintf("State(%d)", int32(s))
}

// Token is a lock token, a version 4 UUID in RFC 4122 byte order. The zero Token means not locked.
type Token [16]byte

func newToken() Token {
	var t Token
	rand.Read(t[:]) // never fails since Go 1.24
	t[6] = t[6]&0x0f | 0x40
	t[8] = t[8]&0x3f | 0x80
	return t
}

func (t Token) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", t[:4], t[4:6], t[6:8], t[8:10], t[10:])
}

// Stored is a snapshot of a message in the broker, taken under the entity's mutex and safe to keep.
type Stored struct {
	Message
	SequenceNumber   int64
	EnqueuedSequence int64 // the number before activation or another entity gave a new one; 0 otherwise
	EnqueuedAt       time.Time
	ExpiresAt        time.Time // zero: never
	DeliveryCount    uint32    // failed deliveries so far: the zero-based count of the wire
	State            State
	LockToken        Token     // zero: not locked
	LockedUntil      time.Time // zero: not locked
	DeadLetterSource string    // the queue a dead-lettered message came from
}

// Names under which Service Bus shows why a message was dead-lettered.
const (
	PropertyDeadLetterReason      = "DeadLetterReason"
	PropertyDeadLetterDescription = "DeadLetterErrorDescription"
)

// entry is a message with its bookkeeping. Every field belongs to the entity's mutex.
type entry struct {
	Stored
	alarm            // of the one thing it waits for
	queue   *Queue   // the store it is in now
	session *session // what it belongs to in a store with sessions, else nil
	record  *record  // nil when history is off
	hops    int      // how often it was forwarded on its way here

	endsEarly time.Time // see EndLock; zero: the lock ends when its holder thinks
}

// lockEnd is when the lock really ends.
func (m *entry) lockEnd() time.Time {
	if !m.endsEarly.IsZero() && m.endsEarly.Before(m.LockedUntil) {
		return m.endsEarly
	}
	return m.LockedUntil
}

func (m *entry) clock() *alarm { return &m.alarm }

func (m *entry) rank() int64 { return m.SequenceNumber }

// happen is the end of a lock, the turn of a schedule or the end of a time to live, whichever m waited for.
func (m *entry) happen(at time.Time) {
	switch {
	case m.locked():
		m.queue.lockExpired(m, at)
	case m.State == Scheduled:
		m.queue.activate(m, at)
	default:
		m.queue.expire(m, at)
	}
}

func (m *entry) locked() bool { return m.LockToken != Token{} }

// overlay merges properties copy-on-write, because snapshots share the map.
func (m *Message) overlay(properties map[string]any) {
	if len(properties) == 0 {
		return
	}
	merged := make(map[string]any, len(m.Overlay)+len(properties))
	maps.Copy(merged, m.Overlay)
	maps.Copy(merged, properties)
	m.Overlay = merged
}
