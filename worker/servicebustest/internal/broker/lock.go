package broker

import (
	"fmt"
	"time"
)

// Mode is how a receiver takes messages.
type Mode uint8

// The two receive modes of Service Bus.
const (
	PeekLock Mode = iota
	ReceiveAndDelete
)

// Acquire appends up to limit messages to dst, lowest sequence number first, and never waits. Under PeekLock each is
// locked with a fresh token; under ReceiveAndDelete it has ended, unless Restore brings it back. From a store with
// sessions nothing is acquired like this; see SessionLock.
func (q *Queue) Acquire(dst []Stored, limit int, mode Mode) []Stored {
	now := q.entity.enter()
	defer q.entity.leave()
	if q.sessions != nil {
		return dst
	}
	return q.acquire(dst, &q.active, limit, mode, now)
}

// acquire takes from the front of from: all active messages, or those of a session.
func (q *Queue) acquire(dst []Stored, from *order, limit int, mode Mode, now time.Time) []Stored {
	q.entity.accessedAt = now
	if q.entity.gone || !q.entity.cfg.Status.receives() {
		return dst // a link that should not be there, or is being detached
	}
	for ; limit > 0; limit-- {
		m := from.first()
		if m == nil {
			break
		}
		if mode == ReceiveAndDelete {
			dst = append(dst, q.consume(m, now))
			continue
		}
		q.withdraw(m)
		q.lock(m, now)
		dst = append(dst, m.Stored)
	}
	return dst
}

// lock gives m a fresh token: Service Bus never uses one twice. In a session it is the session's lock that runs out.
func (q *Queue) lock(m *entry, now time.Time) {
	m.LockToken = newToken()
	m.endsEarly = time.Time{}
	q.locks[m.LockToken] = m
	q.maxLocked = max(q.maxLocked, len(q.locks))
	if m.session != nil {
		m.session.held.insert(m)
		m.LockedUntil = m.session.lock.until
		q.entity.setDue(m, time.Time{})
	} else {
		m.LockedUntil = now.Add(q.entity.cfg.LockDuration)
		q.entity.setDue(m, m.LockedUntil)
	}
	q.note(m, Event{Kind: Delivered, At: now, LockToken: m.LockToken})
}

// unlock puts m back where it was locked from: a deferred message stays deferred. The time to live, which a lock
// holds off, applies at once.
func (q *Queue) unlock(m *entry, now time.Time) {
	delete(q.locks, m.LockToken)
	if m.session != nil {
		m.session.held.remove(m)
	}
	m.LockToken, m.LockedUntil = Token{}, time.Time{}
	q.entity.setDue(m, time.Time{})
	if m.State == Deferred {
		q.deferred++
		return
	}
	q.offer(m, now)
}

// consume ends m on delivery. The snapshot carries a token although nothing is locked: Restore goes by it.
func (q *Queue) consume(m *entry, now time.Time) Stored {
	token := newToken()
	q.note(m, Event{Kind: Delivered, At: now, LockToken: token})
	q.forget(m)
	q.entity.ended.completed++
	q.note(m, Event{Kind: Completed, At: now, LockToken: token})
	snapshot := m.Stored
	snapshot.LockToken = token
	return snapshot
}

// Renew extends all locks or none and returns the new expiry, which is the same for all. The lock of a message in a
// session is the session's: see SessionLock.Renew.
func (q *Queue) Renew(tokens ...Token) (time.Time, error) {
	now := q.entity.enter()
	defer q.entity.leave()
	locked, err := q.find(tokens, now, "renew")
	if err != nil {
		return time.Time{}, err
	}
	if q.sessions != nil {
		return time.Time{}, fmt.Errorf("renew a message lock of %s, which requires sessions: %w", q.path, ErrNotAllowed)
	}
	until := now.Add(q.entity.cfg.LockDuration)
	for _, m := range locked {
		m.LockedUntil = until
		q.entity.setDue(m, m.lockEnd())
		q.note(m, Event{Kind: Renewed, At: now, LockToken: m.LockToken})
	}
	return until, nil
}

// EndLock has a lock end at a time that its holder is not told, whatever it is renewed to: a broker that loses a lock,
// on a test's word. It is false when the token is no lock.
func (q *Queue) EndLock(token Token, at time.Time) bool {
	now := q.entity.enter()
	defer q.entity.leave()
	m := q.locks[token]
	if m == nil {
		return false
	}
	m.endsEarly = at
	q.entity.setDue(m, m.lockEnd())
	q.entity.advance(now)
	return true
}

// find returns the messages behind tokens, each once, or ErrLockLost when any token is not, or no longer, a lock.
func (q *Queue) find(tokens []Token, now time.Time, tried string) ([]*entry, error) {
	found := make([]*entry, 0, len(tokens))
	seen := make(map[Token]bool, len(tokens))
	var err error
	for _, token := range tokens {
		if seen[token] {
			continue
		}
		seen[token] = true
		m := q.locks[token]
		if m == nil {
			q.entity.ledger.refuse(token, now, tried)
			q.entity.dirty = true
			err = fmt.Errorf("%s %s: %w", tried, token, ErrLockLost)
		}
		found = append(found, m)
	}
	return found, err
}

// lockExpired is the rule for a receiver that vanished: the delivery counts as failed.
func (q *Queue) lockExpired(m *entry, at time.Time) {
	token := m.LockToken
	q.countFailure(m)
	q.note(m, Event{Kind: LockExpired, At: at, LockToken: token})
	q.giveBack(m, at)
}

// MessageID returns the id of the message a token locks or, where history is kept, once locked.
func (q *Queue) MessageID(token Token) string {
	q.entity.mu.Lock()
	defer q.entity.mu.Unlock()
	if m := q.locks[token]; m != nil {
		return m.ID
	}
	if q.entity.ledger != nil {
		if r := q.entity.ledger.byToken[token]; r != nil {
			return r.id
		}
	}
	return ""
}
