package broker

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

var alice, bob = Owner{1, "alice"}, Owner{2, "bob"}

// withSessions runs a test in virtual time against a queue that requires sessions.
func withSessions(t *testing.T, cfg Config, test func(t *testing.T, q *Queue)) {
	t.Helper()
	cfg.RequiresSession = true
	bubble(t, cfg, test)
}

// sendTo puts one message into each of the sessions, in order.
func sendTo(t *testing.T, q *Queue, sessions ...string) []int64 {
	t.Helper()
	messages := make([]Message, len(sessions))
	for i, id := range sessions {
		messages[i] = Message{ID: id, SessionID: id, InSession: true}
	}
	return send(t, q, messages...)
}

func accept(t *testing.T, q *Queue, id string, owner Owner) *SessionLock {
	t.Helper()
	l, err := q.AcceptSession(id, owner)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantSequences(t *testing.T, got []Stored, want ...int64) {
	t.Helper()
	if !slices.Equal(sequencesOf(got), want) {
		t.Fatalf("got messages %v, want %v", sequencesOf(got), want)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

// next is somebody who waits for the next session.
type next struct {
	lock    *SessionLock // what AcceptNextSession returned
	answers []error
}

func acceptNext(t *testing.T, q *Queue, wait time.Duration, owner Owner) *next {
	t.Helper()
	n := &next{}
	var err error
	n.lock, err = q.AcceptNextSession(wait, owner, func(_ *SessionLock, err error) { n.answers = append(n.answers, err) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// want says what has been answered so far.
func (n *next) want(t *testing.T, want ...error) {
	t.Helper()
	synctest.Wait()
	if len(n.answers) != len(want) {
		t.Fatalf("answered %v, want %v", n.answers, want)
	}
	for i := range want {
		if !errors.Is(n.answers[i], want[i]) {
			t.Fatalf("answered %v, want %v", n.answers, want)
		}
	}
}

func TestSessionIsHeldByOneOwner(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		l := accept(t, q, "s", alice)
		_, err := q.AcceptSession("s", bob)
		wantErr(t, err, ErrSessionLocked)
		accept(t, q, "S", bob) // case matters
		l.Release()
		accept(t, q, "s", bob)
	})
}

func TestHolderReceivesItsSessionAloneAndInOrder(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "a", "b", "a", "", "b", "a")
		wantSequences(t, accept(t, q, "a", alice).Acquire(nil, 9, PeekLock), 1, 3, 6)
		wantSequences(t, accept(t, q, "b", bob).Acquire(nil, 1, ReceiveAndDelete), 2)
		wantSequences(t, accept(t, q, "", Owner{}).Acquire(nil, 9, PeekLock), 4)
		wantEmpty(t, q)
		wantCounts(t, q, Counts{Accepted: 6, Active: 1, Locked: 4, Completed: 1})
	})
}

func TestMessageWithoutASessionIsRefused(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		_, err := q.Enqueue(Message{SessionID: "", InSession: true}, Message{})
		wantErr(t, err, ErrNoSessionID)
		wantCounts(t, q, Counts{})
	})
}

func TestPlainQueueHasNoSessions(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "s", "other")
		_, err := q.AcceptSession("s", alice)
		wantErr(t, err, ErrNoSessions)
		_, err = q.AcceptNextSession(time.Second, alice, nil)
		wantErr(t, err, ErrNoSessions)
		if q.Sessions() != nil || q.Holder("s") != nil || q.HeldBy(alice) != nil {
			t.Error("a plain queue tells of sessions")
		}
		wantSequences(t, q.PeekSession("s", 0, 9), 1) // the id is a property like others
		acquireOne(t, q)
	})
}
