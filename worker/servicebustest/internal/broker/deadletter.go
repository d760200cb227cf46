package broker

import "time"

// The reasons the broker itself dead-letters for, in Service Bus's words.
const (
	ReasonMaxDeliveryCount = "MaxDeliveryCountExceeded"
	ReasonTTLExpired       = "TTLExpiredException"

	descriptionTTLExpired = "The message expired and was dead lettered."
)

// deadLetter moves m, in any state, to the dead-letter sub-queue. Sequence number and delivery count stay; the time to
// live ends to matter. The overlay is where a receiver finds the reason.
func (q *Queue) deadLetter(m *entry, reason, description string, now time.Time) {
	m.overlay(deadLetterProperties(reason, description))
	q.note(m, Event{Kind: DeadLettered, At: now, LockToken: m.LockToken, Reason: reason, Description: description})
	q.forget(m)
	m.LockToken, m.LockedUntil = Token{}, time.Time{}
	m.ExpiresAt = time.Time{}
	m.DeadLetterSource = q.path
	m.queue = q.dead
	q.dead.take(m)
	q.dead.offer(m, now)
}

func deadLetterProperties(reason, description string) map[string]any {
	properties := make(map[string]any, 2)
	if reason != "" {
		properties[PropertyDeadLetterReason] = reason
	}
	if description != "" {
		properties[PropertyDeadLetterDescription] = description
	}
	return properties
}
