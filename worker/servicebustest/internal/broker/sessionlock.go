package broker

import (
	"fmt"
	"slices"
	"time"
)

// DefaultAcceptWait is how long Service Bus waits for the next session when the receiver does not say.
const DefaultAcceptWait = 65 * time.Second

// Owner names who holds a session: a link of a connection, in whatever way the caller numbers those.
type Owner struct {
	Connection uint64
	Link       string
}

// SessionLock is one owner's hold on one session, from the accept to its release, its expiry or the end of the entity.
// It is the only way to the messages of a store that requires sessions.
type SessionLock struct {
	queue  *Queue
	owner  Owner
	number int64

	// Below: read and written by any goroutine, under entity.mu.
	alarm            // of the lock's expiry, or of the wait for a session
	id      string   // set when a session is held, and kept
	session *session // nil: waiting, or over
	until   time.Time
	err     error                     // why it is over
	answer  func(*SessionLock, error) // until it is called
	wake    func()                    // nil: nobody watches
	told    bool                      // in entity.told
}

func (l *SessionLock) clock() *alarm { return &l.alarm }

func (l *SessionLock) rank() int64 { return l.number }

// happen is the end of the lock, or of the wait for one.
func (l *SessionLock) happen(at time.Time) {
	l.tell()
	if l.session == nil {
		l.giveUp(ErrNoSessionCame)
		return
	}
	// Service Bus: the receiver kept what it had for too long, which counts; closing in time does not.
	for _, m := range l.session.held.all() {
		l.queue.lockExpired(m, at)
	}
	l.end(ErrSessionLockLost, at)
}

// AcceptSession locks the session with the id, which need not have a message. It does not wait: if somebody holds the
// session, the error is ErrSessionLocked.
func (q *Queue) AcceptSession(id string, owner Owner) (*SessionLock, error) {
	now := q.entity.enter()
	defer q.entity.leave()
	l, err := q.newSessionLock(owner)
	if err != nil {
		return nil, err
	}
	of := q.sessions.get(id)
	if of.lock != nil {
		return nil, fmt.Errorf("accept session %q of %s: %w", id, q.path, ErrSessionLocked)
	}
	l.hold(of, now)
	return l, nil
}

// AcceptNextSession locks the session with the oldest active message among those that nobody holds, and waits for one
// if there is none. answer is called once, maybe before AcceptNextSession returns, from any goroutine and without
// locks: with an error when the wait is over in vain. Release ends the wait too, with no answer after that but one
// that is already under way.
func (q *Queue) AcceptNextSession(wait time.Duration, owner Owner, answer func(*SessionLock, error)) (*SessionLock, error) {
	now := q.entity.enter()
	defer q.entity.leave()
	l, err := q.newSessionLock(owner)
	if err != nil {
		return nil, err
	}
	l.answer = answer
	q.sessions.waiting = append(q.sessions.waiting, l)
	q.entity.setDue(l, now.Add(wait))
	q.sessions.match(now)
	return l, nil
}

func (q *Queue) newSessionLock(owner Owner) (*SessionLock, error) {
	err := q.entity.over()
	if err == nil && q.sessions == nil {
		err = ErrNoSessions
	}
	if err != nil {
		return nil, fmt.Errorf("accept a session of %s: %w", q.path, err)
	}
	q.entity.accessedAt = time.Now()
	q.sessions.locks++
	return &SessionLock{queue: q, owner: owner, number: q.sessions.locks}, nil
}

// HeldBy returns the lock an owner holds in this store, or nil.
func (q *Queue) HeldBy(owner Owner) *SessionLock {
	q.entity.enter()
	defer q.entity.leave()
	if q.sessions == nil {
		return nil
	}
	return q.sessions.byOwner[owner]
}

// Holder returns the lock on the session with the id, whoever holds it, or nil.
func (q *Queue) Holder(id string) *SessionLock {
	q.entity.enter()
	defer q.entity.leave()
	if q.sessions == nil || q.sessions.byID[id] == nil {
		return nil
	}
	return q.sessions.byID[id].lock
}

func (l *SessionLock) hold(of *session, now time.Time) {
	s := l.queue.sessions
	l.id, l.session, of.lock = of.id, of, l
	s.byOwner[l.owner] = l
	s.place(of)
	l.extend(now)
}

// extend moves the expiry of the session and with it that of every message held under it.
func (l *SessionLock) extend(now time.Time) {
	l.until = now.Add(l.queue.entity.cfg.LockDuration)
	l.queue.entity.setDue(l, l.until)
	l.queue.entity.dirty = true
	for _, m := range l.session.held.all() {
		m.LockedUntil = l.until
		l.queue.note(m, Event{Kind: Renewed, At: now, LockToken: m.LockToken})
	}
}

// giveUp ends the wait for a session.
func (l *SessionLock) giveUp(why error) {
	s := l.queue.sessions
	s.waiting = slices.DeleteFunc(s.waiting, func(other *SessionLock) bool { return other == l })
	l.err = why
	l.queue.entity.setDue(l, time.Time{})
}

// unlockAll gives back what is held. Service Bus: in order, and without counting the delivery.
func (l *SessionLock) unlockAll(now time.Time) {
	for _, m := range l.session.held.all() {
		l.queue.note(m, Event{Kind: Released, At: now, LockToken: m.LockToken})
		l.queue.unlock(m, now)
	}
}

// end frees the session, of which nothing is held any more, for the next.
func (l *SessionLock) end(why error, now time.Time) {
	s, of := l.queue.sessions, l.session
	l.session, of.lock, l.err = nil, nil, why
	if s.byOwner[l.owner] == l {
		delete(s.byOwner, l.owner)
	}
	l.queue.entity.setDue(l, time.Time{})
	l.queue.entity.dirty = true
	s.drop(of)
	s.place(of)
	s.match(now)
}

// tell has the holder called at the end of the operation: with the answer it waits for, or by its wake.
func (l *SessionLock) tell() {
	if !l.told {
		l.told = true
		l.queue.entity.told = append(l.queue.entity.told, l)
	}
}

// takeCalls returns what to call, without locks, to tell holders their news.
func (e *entity) takeCalls() []func() {
	var calls []func()
	for i, l := range e.told {
		e.told[i] = nil
		l.told = false
		switch answer, err := l.answer, l.err; {
		case answer != nil:
			l.answer = nil
			calls = append(calls, func() { answer(l, err) })
		case l.wake != nil:
			calls = append(calls, l.wake)
		}
	}
	e.told = e.told[:0]
	return calls
}

// ID is the session's id, once there is one.
func (l *SessionLock) ID() string {
	l.queue.entity.mu.Lock()
	defer l.queue.entity.mu.Unlock()
	return l.id
}

// LockedUntil is when the lock expires unless it is renewed.
func (l *SessionLock) LockedUntil() time.Time {
	l.queue.entity.mu.Lock()
	defer l.queue.entity.mu.Unlock()
	return l.until
}

// Err says why the lock is over; nil while it is not.
func (l *SessionLock) Err() error {
	l.queue.entity.enter()
	defer l.queue.entity.leave()
	return l.err
}

// Watch has wake called, without locks, whenever Acquire may yield more or Err has something to say, until stop is
// called. A call may still be under way when stop returns. There is one watcher at a time.
func (l *SessionLock) Watch(wake func()) (stop func()) {
	set := func(wake func()) {
		l.queue.entity.mu.Lock()
		defer l.queue.entity.mu.Unlock()
		l.wake = wake
	}
	set(wake)
	return func() { set(nil) }
}

// Release gives the session back, with all that is held under it, and ends a wait for one. It may be called at any
// time and again.
func (l *SessionLock) Release() {
	now := l.queue.entity.enter()
	defer l.queue.entity.leave()
	switch {
	case l.session != nil:
		l.unlockAll(now)
		l.end(ErrSessionLockLost, now)
	case l.err == nil:
		l.answer = nil
		l.giveUp(ErrSessionLockLost)
	}
}
