package broker

import (
	"fmt"
	"time"
)

// ReceiveDeferred takes deferred messages by sequence number, all or none: locked under PeekLock, ended under
// ReceiveAndDelete. It is the only way to a deferred message; in a store with sessions, SessionLock has its own.
func (q *Queue) ReceiveDeferred(sequences []int64, mode Mode) ([]Stored, error) {
	now := q.entity.enter()
	defer q.entity.leave()
	if q.sessions != nil {
		return nil, fmt.Errorf("receive deferred from %s: %w", q.path, ErrSessionRequired)
	}
	if err := q.receivable(); err != nil {
		return nil, fmt.Errorf("receive deferred: %w", err)
	}
	found, err := q.inState(Deferred, sequences)
	if err != nil {
		return nil, fmt.Errorf("receive deferred: %w", err)
	}
	return q.receiveDeferred(found, mode, now), nil
}

func (q *Queue) receiveDeferred(found []*entry, mode Mode, now time.Time) []Stored {
	received := make([]Stored, len(found))
	for i, m := range found {
		if mode == ReceiveAndDelete {
			received[i] = q.consume(m, now)
			continue
		}
		q.deferred--
		q.lock(m, now)
		received[i] = m.Stored
	}
	return received
}

// Peek returns up to limit messages numbered from or higher in ascending order, whatever their state, without a lock.
func (q *Queue) Peek(from int64, limit int) []Stored {
	q.entity.enter()
	defer q.entity.leave()
	return peek(&q.live, from, limit, everyone)
}

func everyone(*entry) bool { return true }

func peek(o *order, from int64, limit int, shown func(*entry) bool) []Stored {
	var peeked []Stored
	o.ascend(from, func(m *entry) bool {
		if len(peeked) == limit {
			return false
		}
		if shown(m) {
			peeked = append(peeked, m.Stored)
		}
		return true
	})
	return peeked
}
