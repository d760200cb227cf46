package broker

import "time"

// Restore undoes a ReceiveAndDelete delivery that never reached its receiver: m takes its old place, uncounted.
// Service Bus: the message is deleted when the transfer is written, and this one was not.
func (q *Queue) Restore(m Stored) {
	now := q.entity.enter()
	defer q.entity.leave()
	restored := &entry{Stored: m, queue: q}
	if q.entity.ledger != nil {
		restored.record = q.entity.ledger.byToken[m.LockToken]
	}
	token := m.LockToken
	restored.LockToken, restored.LockedUntil = Token{}, time.Time{}
	q.entity.ended.completed--
	q.take(restored)
	q.note(restored, Event{Kind: Released, At: now, LockToken: token})
	q.offer(restored, now)
}
