package broker

import "time"

// startTTL starts the clock of m: the sender's time to live, capped by the queue's.
func (q *Queue) startTTL(m *entry) {
	ttl := q.entity.cfg.DefaultTTL
	if m.TTL > 0 {
		ttl = min(m.TTL, ttl)
	}
	if ttl == Forever {
		m.ExpiresAt = time.Time{}
		return
	}
	m.ExpiresAt = m.EnqueuedAt.Add(ttl)
}

func (q *Queue) expired(m *entry, now time.Time) bool {
	return !m.ExpiresAt.IsZero() && !m.ExpiresAt.After(now)
}

// expire drops m or dead-letters it, as the queue is configured.
func (q *Queue) expire(m *entry, now time.Time) {
	q.note(m, Event{Kind: TTLExpired, At: now})
	if q.entity.cfg.DeadLetterOnExpiration {
		q.deadLetter(m, ReasonTTLExpired, descriptionTTLExpired, now)
		return
	}
	q.forget(m)
	q.entity.ended.expired++
}
