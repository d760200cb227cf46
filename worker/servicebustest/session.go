package servicebustest

import (
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/transport"
)

// sessionSource is what a session receiver link reads: one session, until the link closes or the lock ends.
type sessionSource struct {
	transport.Source // takes messages, in either mode
	lock             *broker.SessionLock
}

func newSessionSource(q *broker.Queue, lock *broker.SessionLock, mode transport.SettleMode) *sessionSource {
	if mode == transport.ReceiveAndDelete {
		return &sessionSource{&deletingSource{store: lock, queue: q}, lock}
	}
	return &sessionSource{&lockingSource{store: lock}, lock}
}

// ID implements transport.SessionSource.
func (s *sessionSource) ID() string { return s.lock.ID() }

// LockedUntil implements transport.SessionSource.
func (s *sessionSource) LockedUntil() time.Time { return s.lock.LockedUntil() }

// Lost implements transport.SessionSource.
func (s *sessionSource) Lost() error {
	if err := s.lock.Err(); err != nil {
		return dialect.Error(err)
	}
	return nil
}

// Close implements transport.Source. Service Bus: unlike the locks of messages, that of a session ends with the link.
func (s *sessionSource) Close() {
	s.Source.Close()
	s.lock.Release()
}

// Session is a test's view of one session.
type Session struct {
	ID          string
	Active      int       // messages to be received or just received, without deferred and scheduled ones
	State       []byte    // nil: none
	LockedUntil time.Time // zero: nobody holds it
}

// Sessions returns the sessions of a queue that requires them, by id: those that have a message in any state, a state
// of their own or a receiver.
func (q *Queue) Sessions() []Session {
	infos := q.main.Sessions()
	sessions := make([]Session, len(infos))
	for i, s := range infos {
		sessions[i] = Session{ID: s.ID, Active: s.Active, State: s.State, LockedUntil: s.LockedUntil}
	}
	return sessions
}
