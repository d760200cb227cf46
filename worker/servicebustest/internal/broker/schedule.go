package broker

import (
	"fmt"
	"time"
)

// schedule keeps m out of sight until its time. It has a sequence number already, by which it can be cancelled.
func (q *Queue) schedule(m *entry, now time.Time) {
	m.State = Scheduled
	q.scheduled++
	q.entity.setDue(m, m.ScheduledFor)
	q.note(m, Event{Kind: ScheduledEvent, At: now})
}

// activate turns a scheduled message into an active one at the end of the queue: it gets a new sequence number, and
// its enqueued time and time to live count from here.
func (q *Queue) activate(m *entry, at time.Time) {
	q.forget(m)
	m.EnqueuedSequence, m.SequenceNumber = m.SequenceNumber, q.entity.nextSequence()
	m.EnqueuedAt = at
	m.State = Active
	q.take(m)
	q.startTTL(m)
	q.note(m, Event{Kind: Activated, At: at})
	q.offer(m, at)
}

// Cancel removes scheduled messages by the sequence numbers Enqueue returned, all or none.
func (q *Queue) Cancel(sequences ...int64) error {
	now := q.entity.enter()
	defer q.entity.leave()
	found, err := q.inState(Scheduled, sequences)
	if err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	for _, m := range found {
		q.forget(m)
		q.entity.ended.cancelled++
		q.note(m, Event{Kind: Cancelled, At: now})
	}
	return nil
}

// inState returns the unlocked messages with the sequence numbers, if all exist, are in the state and named once.
func (q *Queue) inState(state State, sequences []int64) ([]*entry, error) {
	found := make([]*entry, len(sequences))
	seen := make(map[int64]bool, len(sequences))
	for i, sequence := range sequences {
		m := q.live.get(sequence)
		if m == nil || m.State != state || m.locked() || seen[sequence] {
			return nil, fmt.Errorf("%v message %d: %w", state, sequence, ErrMessageNotFound)
		}
		seen[sequence] = true
		found[i] = m
	}
	return found, nil
}
