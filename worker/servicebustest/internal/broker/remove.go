package broker

import (
	"fmt"
	"time"
)

// DeleteActive deletes the oldest messages, up to limit, that can be acquired and were enqueued no later than
// before, and returns how many there were. What is locked, deferred or scheduled stays (Service Bus: batch delete).
func (q *Queue) DeleteActive(limit int, before time.Time) (int, error) {
	return q.deleteActive(limit, func(m *entry) bool { return !m.EnqueuedAt.After(before) })
}

// DeleteActiveInSession is DeleteActive for the messages of one session, whoever holds it.
func (q *Queue) DeleteActiveInSession(id string, limit int, before time.Time) (int, error) {
	return q.deleteActive(limit, func(m *entry) bool {
		return m.InSession && m.SessionID == id && !m.EnqueuedAt.After(before)
	})
}

func (q *Queue) deleteActive(limit int, doomed func(*entry) bool) (int, error) {
	now := q.entity.enter()
	defer q.entity.leave()
	if err := q.receivable(); err != nil {
		return 0, fmt.Errorf("delete messages: %w", err)
	}
	var found []*entry
	q.active.ascend(0, func(m *entry) bool {
		if doomed(m) {
			found = append(found, m)
		}
		return len(found) < limit
	})
	for _, m := range found {
		q.forget(m)
		q.entity.ended.completed++
		q.note(m, Event{Kind: Deleted, At: now})
	}
	return len(found), nil
}
