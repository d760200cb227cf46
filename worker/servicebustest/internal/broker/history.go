package broker

import (
	"fmt"
	"time"
)

// EventKind names what happened to a message.
type EventKind uint8

// The events of a message's history.
const (
	Enqueued       EventKind = iota + 1
	ScheduledEvent           // accepted for later
	Activated                // its scheduled time came: it has a new sequence number
	Cancelled                // its schedule was cancelled
	Delivered                // handed to a receiver, locked unless the receiver deletes
	Renewed                  // the lock was extended
	Completed                // ended by a receiver
	Abandoned                // unlocked by a receiver, counted
	DeferredEvent            // set aside by a receiver
	Released                 // handed back untouched, not counted
	DeadLettered             // moved to the dead-letter sub-queue
	LockExpired              // unlocked by time, counted
	TTLExpired               // its time to live ended
	Deleted                  // ended by a receiver that never had it
	Forwarded                // sent on to another entity, which Reason names; or kept by a failure to, as DeadLettered
	Published                // a topic: handed to the subscriptions that want it
	Duplicate                // a message with the same id was dropped
	SettleRefused            // somebody used a lock token that was no longer its lock
)

var eventNames = [...]string{
	Enqueued: "enqueued", ScheduledEvent: "scheduled", Activated: "activated", Cancelled: "cancelled",
	Delivered: "delivered", Renewed: "renewed", Completed: "completed", Abandoned: "abandoned",
	DeferredEvent: "deferred", Released: "released", DeadLettered: "dead-lettered", LockExpired: "lock expired",
	TTLExpired: "time to live expired", Deleted: "deleted", Forwarded: "forwarded", Published: "published", Duplicate: "duplicate",
	SettleRefused: "settle refused",
}

func (k EventKind) String() string {
	if int(k) < len(eventNames) && eventNames[k] != "" {
		return eventNames[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// Event is one line of a message's history.
type Event struct {
	Kind           EventKind
	At             time.Time
	SequenceNumber int64  // at that time
	DeliveryCount  uint32 // after the event, zero-based
	LockToken      Token  // Delivered, Renewed, and whatever ended that lock
	Reason         string // DeadLettered: reason; Forwarded: target; SettleRefused: what was tried
	Description    string // DeadLettered
	DeadLetter     bool   // it happened in the dead-letter sub-queue
}

// MessageHistory is everything that happened to one message, also after its end.
type MessageHistory struct {
	MessageID      string
	SequenceNumber int64 // the first it had
	Events         []Event
}

type record struct {
	id       string
	sequence int64
	events   []Event
}

// ledger remembers every message of an entity, which is what a test judges a worker by; it grows with traffic and can
// be left out. All fields belong to the entity's mutex.
type ledger struct {
	records []*record
	byToken map[Token]*record // every lock ever given, to attribute a refused settlement
}

func newLedger() *ledger { return &ledger{byToken: make(map[Token]*record)} }

func (l *ledger) open(m *entry) {
	if l == nil {
		return
	}
	m.record = &record{id: m.ID, sequence: m.SequenceNumber}
	l.records = append(l.records, m.record)
}

func (l *ledger) add(m *entry, e Event) {
	if l == nil {
		return
	}
	e.SequenceNumber = m.SequenceNumber
	e.DeliveryCount = m.DeliveryCount
	e.DeadLetter = m.queue.dead == nil
	m.record.events = append(m.record.events, e)
	if e.Kind == Delivered && e.LockToken != (Token{}) {
		l.byToken[e.LockToken] = m.record
	}
}

// refuse notes a use of a token that is no longer a lock; a token never given out has no message to note it on.
func (l *ledger) refuse(token Token, at time.Time, tried string) {
	if l == nil {
		return
	}
	if r := l.byToken[token]; r != nil {
		last := r.events[len(r.events)-1]
		r.events = append(r.events, Event{
			Kind: SettleRefused, At: at, SequenceNumber: last.SequenceNumber, DeliveryCount: last.DeliveryCount,
			LockToken: token, Reason: tried, DeadLetter: last.DeadLetter,
		})
	}
}

func (r *record) snapshot() MessageHistory {
	return MessageHistory{MessageID: r.id, SequenceNumber: r.sequence, Events: append([]Event(nil), r.events...)}
}

// Ledger returns the history of every message the entity ever accepted, in the order of acceptance. It is nil when
// the namespace keeps no history.
func (q *Queue) Ledger() []MessageHistory {
	q.entity.enter()
	defer q.entity.leave()
	if q.entity.ledger == nil {
		return nil
	}
	all := make([]MessageHistory, 0, len(q.entity.ledger.records))
	for _, r := range q.entity.ledger.records {
		all = append(all, r.snapshot())
	}
	return all
}

// History returns the events of every message with the id, oldest message first. Ids need not be unique.
func (q *Queue) History(id string) []Event {
	q.entity.enter()
	defer q.entity.leave()
	if q.entity.ledger == nil {
		return nil
	}
	var events []Event
	for _, r := range q.entity.ledger.records {
		if r.id == id {
			events = append(events, r.events...)
		}
	}
	return events
}
