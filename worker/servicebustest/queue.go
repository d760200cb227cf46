package servicebustest

import (
	"context"
	"fmt"
	"math"

	"batchterminator/worker/servicebustest/internal/broker"
)

// Queue is a test's view of one queue, topic or subscription: it looks and sends without a client, a link or a lock.
type Queue struct{ main *broker.Queue }

// The history of messages; see the constants for what can happen to one.
type (
	// Counts says where the messages of a queue are. Accepted is the sum of all others.
	Counts = broker.Counts
	// Event is one line of a message's history.
	Event = broker.Event
	// EventKind names what happened.
	EventKind = broker.EventKind
	// MessageHistory is everything that happened to one message, also after its end.
	MessageHistory = broker.MessageHistory
	// LockToken identifies one delivery under peek-lock.
	LockToken = broker.Token
)

// The kinds of events.
const (
	EventEnqueued      = broker.Enqueued
	EventScheduled     = broker.ScheduledEvent
	EventActivated     = broker.Activated
	EventCancelled     = broker.Cancelled
	EventDelivered     = broker.Delivered
	EventRenewed       = broker.Renewed
	EventCompleted     = broker.Completed
	EventAbandoned     = broker.Abandoned
	EventDeferred      = broker.DeferredEvent
	EventReleased      = broker.Released
	EventDeadLettered  = broker.DeadLettered
	EventLockExpired   = broker.LockExpired
	EventTTLExpired    = broker.TTLExpired
	EventDeleted       = broker.Deleted
	EventForwarded     = broker.Forwarded
	EventPublished     = broker.Published
	EventDuplicate     = broker.Duplicate
	EventSettleRefused = broker.SettleRefused
)

// Name is the queue's name as it was configured.
func (q *Queue) Name() string { return q.main.Path() }

// Send puts messages into the queue, all or none, and returns their sequence numbers.
func (q *Queue) Send(messages ...Message) ([]int64, error) {
	accepted := make([]broker.Message, len(messages))
	for i, m := range messages {
		var err error
		if accepted[i], err = m.encode(); err != nil {
			return nil, fmt.Errorf("servicebustest: send to %s: %w", q.Name(), err)
		}
	}
	sequences, err := q.main.Enqueue(accepted...)
	if err != nil {
		return nil, fmt.Errorf("servicebustest: %w", err)
	}
	return sequences, nil
}

// Counts returns where the messages are at this instant.
func (q *Queue) Counts() Counts { return q.main.Counts() }

// Messages returns the live messages by sequence number, in any state, without those in the dead-letter sub-queue.
func (q *Queue) Messages() []StoredMessage { return storedMessages(q.main) }

// DeadLettered returns what the dead-letter sub-queue holds, by sequence number.
func (q *Queue) DeadLettered() []StoredMessage { return storedMessages(q.main.DeadLetter()) }

func storedMessages(q *broker.Queue) []StoredMessage {
	stored := q.Peek(0, math.MaxInt)
	shown := make([]StoredMessage, len(stored))
	for i, m := range stored {
		shown[i] = newStoredMessage(m)
	}
	return shown
}

// History returns what happened to the messages with the id, in order.
func (q *Queue) History(messageID string) []Event { return q.main.History(messageID) }

// Ledger returns what happened to every message ever, in the order they were accepted.
func (q *Queue) Ledger() []MessageHistory { return q.main.Ledger() }

// MaxLocked is the highest number of messages that were ever locked at the same time.
func (q *Queue) MaxLocked() int { return q.main.MaxLocked() }

// Changed returns a channel that is closed at the next change of any message. Ask for it before looking.
func (q *Queue) Changed() <-chan struct{} { return q.main.Changed() }

// Wait returns when the counts satisfy a condition, or with the last counts when ctx ends first.
func (q *Queue) Wait(ctx context.Context, until func(Counts) bool) error {
	for {
		changed := q.Changed()
		counts := q.Counts()
		if until(counts) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("servicebustest: wait for %s, now %+v: %w", q.Name(), counts, context.Cause(ctx))
		}
	}
}
