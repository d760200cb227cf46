package broker

import (
	"fmt"
	"slices"
	"time"
)

// lost is the error of an operation that needs the session; nil while it is held.
func (l *SessionLock) lost(tried string) error {
	if l.session == nil {
		return fmt.Errorf("%s in session %q of %s: %w", tried, l.id, l.queue.path, ErrSessionLockLost)
	}
	return nil
}

// Acquire is Queue.Acquire for the messages of the session. After the end of the lock there are none.
func (l *SessionLock) Acquire(dst []Stored, limit int, mode Mode) []Stored {
	now := l.queue.entity.enter()
	defer l.queue.entity.leave()
	if l.session == nil {
		return dst
	}
	return l.queue.acquire(dst, &l.session.active, limit, mode, now)
}

// Settle is Queue.Settle for messages held under this lock. After its end every token is ErrSessionLockLost.
func (l *SessionLock) Settle(outcome Outcome, tokens ...Token) error {
	q, tried := l.queue, outcome.Kind.String()
	now := q.entity.enter()
	defer q.entity.leave()
	found, err := q.find(tokens, now, tried)
	if lost := l.lost(tried); lost != nil {
		return lost
	}
	if err != nil {
		return err
	}
	for _, m := range found {
		if m.session != l.session {
			return fmt.Errorf("%s %s: another session's: %w", tried, m.LockToken, ErrLockLost)
		}
	}
	for _, m := range found {
		q.settle(m, outcome, now)
	}
	return nil
}

// ReceiveDeferred is Queue.ReceiveDeferred for messages of the session.
func (l *SessionLock) ReceiveDeferred(sequences []int64, mode Mode) ([]Stored, error) {
	q := l.queue
	now := q.entity.enter()
	defer q.entity.leave()
	if err := l.lost("receive deferred"); err != nil {
		return nil, err
	}
	if err := q.receivable(); err != nil {
		return nil, fmt.Errorf("receive deferred: %w", err)
	}
	found, err := q.inState(Deferred, sequences)
	if err != nil {
		return nil, fmt.Errorf("receive deferred: %w", err)
	}
	for _, m := range found {
		if m.session != l.session {
			return nil, fmt.Errorf("receive deferred: message %d is of another session: %w", m.SequenceNumber, ErrMessageNotFound)
		}
	}
	return q.receiveDeferred(found, mode, now), nil
}

// Renew extends the lock, and with it that of every message held under it, and returns the new expiry.
func (l *SessionLock) Renew() (time.Time, error) {
	now := l.queue.entity.enter()
	defer l.queue.entity.leave()
	if err := l.lost("renew"); err != nil {
		return time.Time{}, err
	}
	l.extend(now)
	return l.until, nil
}

// State returns the session's state, nil for none. It outlives lock, owner and the last message.
func (l *SessionLock) State() ([]byte, error) {
	l.queue.entity.enter()
	defer l.queue.entity.leave()
	if err := l.lost("get state"); err != nil {
		return nil, err
	}
	return slices.Clone(l.session.state), nil
}

// SetState replaces the session's state. Nothing clears it, be it nil or empty: the Go SDK writes the one as the other.
func (l *SessionLock) SetState(state []byte) error {
	now := l.queue.entity.enter()
	defer l.queue.entity.leave()
	if err := l.lost("set state"); err != nil {
		return err
	}
	// Service Bus: a state may be as large as a message.
	if limit := l.queue.entity.cfg.MaxMessageSize; len(state) > limit {
		return fmt.Errorf("set state of session %q: %d bytes, limit %d: %w", l.id, len(state), limit, ErrTooLarge)
	}
	l.queue.entity.dirty = true
	if len(state) == 0 {
		l.session.state, l.session.stateAt = nil, time.Time{}
		return nil
	}
	l.session.state, l.session.stateAt = slices.Clone(state), now
	return nil
}
