package broker

import (
	"errors"
	"slices"
	"sync"
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
	lock *SessionLock // what AcceptNextSession returned

	mu      sync.Mutex
	answers []error // any goroutine, under mu
}

func acceptNext(t *testing.T, q *Queue, wait time.Duration, owner Owner) *next {
	t.Helper()
	n := &next{}
	var err error
	n.lock, err = q.AcceptNextSession(wait, owner, func(_ *SessionLock, err error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.answers = append(n.answers, err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// want says what has been answered so far.
func (n *next) want(t *testing.T, want ...error) {
	t.Helper()
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
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

func TestSessionLockExpiresForAllItsMessagesAndCounts(t *testing.T) {
	withSessions(t, Config{LockDuration: 10 * time.Second}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "s", "s", "s")
		l := accept(t, q, "s", alice)
		first := l.Acquire(nil, 1, PeekLock)
		time.Sleep(9 * time.Second)
		later := l.Acquire(nil, 1, PeekLock)[0]
		if !later.LockedUntil.Equal(l.LockedUntil()) || !first[0].LockedUntil.Equal(l.LockedUntil()) {
			t.Errorf("the messages are locked until %v and %v, their session until %v", first[0].LockedUntil, later.LockedUntil, l.LockedUntil())
		}
		wantErr(t, l.Err(), nil)
		time.Sleep(time.Second)
		wantErr(t, l.Err(), ErrSessionLockLost)
		again := accept(t, q, "s", bob).Acquire(nil, 9, PeekLock)
		wantSequences(t, again, 1, 2, 3)
		for i, want := range []uint32{1, 1, 0} {
			if again[i].DeliveryCount != want {
				t.Errorf("message %d has delivery count %d, want %d", i+1, again[i].DeliveryCount, want)
			}
		}
		wantSequences(t, l.Acquire(nil, 1, PeekLock))
	})
}

func TestReleasedSessionGoesOnInOrderAndCountsNothing(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "s", "s", "s")
		l := accept(t, q, "s", alice)
		held := l.Acquire(nil, 3, PeekLock)
		if err := l.Settle(Outcome{Kind: Abandon}, held[1].LockToken); err != nil {
			t.Fatal(err)
		}
		l.Release()
		l.Release()
		got := accept(t, q, "s", bob).Acquire(nil, 9, PeekLock)
		wantSequences(t, got, 1, 2, 3)
		for i, want := range []uint32{0, 1, 0} {
			if got[i].DeliveryCount != want {
				t.Errorf("message %d has delivery count %d, want %d", i+1, got[i].DeliveryCount, want)
			}
		}
	})
}

func TestAbandonedMessageIsTheNextOfItsSession(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "s", "s")
		l := accept(t, q, "s", alice)
		for _, kind := range []OutcomeKind{Abandon, Release} {
			if err := l.Settle(Outcome{Kind: kind}, l.Acquire(nil, 1, PeekLock)[0].LockToken); err != nil {
				t.Fatal(err)
			}
		}
		wantSequences(t, l.Acquire(nil, 1, PeekLock), 1)
	})
}

func TestSpentDeliveriesOfASessionEndInTheDeadLetterQueueWithoutOne(t *testing.T) {
	withSessions(t, Config{LockDuration: time.Second, MaxDeliveryCount: 1}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "s", "s")
		accept(t, q, "s", alice).Acquire(nil, 1, PeekLock)
		time.Sleep(time.Second)
		wantSequences(t, q.DeadLetter().Acquire(nil, 9, PeekLock), 1)
		if q.DeadLetter().RequiresSession() || !q.RequiresSession() {
			t.Error("sessions belong to the queue, not to its dead-letter sub-queue")
		}
		_, err := q.DeadLetter().AcceptSession("s", bob)
		wantErr(t, err, ErrNoSessions)
	})
}

func TestRenewingASessionKeepsItsMessages(t *testing.T) {
	withSessions(t, Config{LockDuration: 10 * time.Second}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "s")
		l := accept(t, q, "s", alice)
		m := l.Acquire(nil, 1, PeekLock)[0]
		time.Sleep(6 * time.Second)
		until, err := l.Renew()
		if err != nil || !until.Equal(time.Now().Add(10*time.Second)) || !until.Equal(l.LockedUntil()) {
			t.Fatalf("renewed until %v, %v", until, err)
		}
		if peeked := q.Peek(0, 1)[0]; !peeked.LockedUntil.Equal(until) {
			t.Errorf("the message is locked until %v, its session until %v", peeked.LockedUntil, until)
		}
		time.Sleep(6 * time.Second)
		_, err = q.Renew(m.LockToken)
		wantErr(t, err, ErrNotAllowed) // there is no lock of the message's own
		if err := l.Settle(Outcome{Kind: Complete}, m.LockToken); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		_, err = l.Renew()
		wantErr(t, err, ErrSessionLockLost)
	})
}

func TestLostSessionIsLostForEveryUse(t *testing.T) {
	withSessions(t, Config{LockDuration: time.Second}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "s", "s")
		l := accept(t, q, "s", alice)
		m := l.Acquire(nil, 1, PeekLock)[0]
		time.Sleep(time.Second)
		after := accept(t, q, "s", alice) // the same owner is no excuse
		wantErr(t, l.Settle(Outcome{Kind: Complete}, m.LockToken), ErrSessionLockLost)
		wantErr(t, l.SetState([]byte("x")), ErrSessionLockLost)
		_, err := l.State()
		wantErr(t, err, ErrSessionLockLost)
		_, err = l.ReceiveDeferred([]int64{1}, PeekLock)
		wantErr(t, err, ErrSessionLockLost)
		l.Release()
		wantErr(t, after.Err(), nil)
		if q.HeldBy(alice) != after || q.Holder("s") != after {
			t.Error("the old lock's release ended the new one")
		}
		if events := kindsOf(q.Ledger()[0].Events); !slices.Equal(events, []EventKind{Enqueued, Delivered, LockExpired, SettleRefused}) {
			t.Errorf("history is %v", events)
		}
	})
}

// kindsOf is the story of messages in one word each.
func kindsOf(events []Event) []EventKind {
	var kinds []EventKind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}
