package broker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestNextSessionIsTheFreeOneWithTheOldestActiveMessage(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		send(t, q, Message{SessionID: "later", InSession: true, ScheduledFor: time.Now().Add(time.Hour)})
		sendTo(t, q, "held", "c", "b", "c", "a")
		accept(t, q, "held", alice)
		c := accept(t, q, "c", alice)
		if err := c.Settle(Outcome{Kind: Defer}, c.Acquire(nil, 1, PeekLock)[0].LockToken); err != nil {
			t.Fatal(err)
		}
		c.Release() // its first message is deferred now: the second is behind that of b
		for _, want := range []string{"b", "c", "a"} {
			n := acceptNext(t, q, time.Minute, bob)
			n.want(t, nil)
			if got := n.lock.ID(); got != want {
				t.Fatalf("accepted %q, want %q", got, want)
			}
		}
		none := acceptNext(t, q, time.Second, bob)
		none.want(t)
		time.Sleep(time.Second)
		none.want(t, ErrNoSessionCame)
		wantErr(t, none.lock.Err(), ErrNoSessionCame)
	})
}

func TestWaitForTheNextSessionEndsWhenOneBecomesFree(t *testing.T) {
	for name, free := range map[string]func(t *testing.T, q *Queue, held *SessionLock){
		"message": func(t *testing.T, q *Queue, _ *SessionLock) { sendTo(t, q, "new") },
		"schedule": func(t *testing.T, q *Queue, _ *SessionLock) {
			send(t, q, Message{SessionID: "new", InSession: true, ScheduledFor: time.Now().Add(5 * time.Second)})
			time.Sleep(5 * time.Second)
		},
		"release": func(_ *testing.T, _ *Queue, held *SessionLock) { held.Release() },
		"expiry":  func(*testing.T, *Queue, *SessionLock) { time.Sleep(10 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			withSessions(t, Config{LockDuration: 10 * time.Second}, func(t *testing.T, q *Queue) {
				sendTo(t, q, "old")
				held := accept(t, q, "old", alice)
				held.Acquire(nil, 1, PeekLock)
				n := acceptNext(t, q, 11*time.Second, bob)
				n.want(t)
				free(t, q, held)
				n.want(t, nil)
				want := map[bool]string{true: "new", false: "old"}[name == "message" || name == "schedule"]
				if n.lock.ID() != want || !n.lock.LockedUntil().Equal(time.Now().Add(10*time.Second)) {
					t.Errorf("accepted %q until %v", n.lock.ID(), n.lock.LockedUntil())
				}
				wantErr(t, n.lock.Err(), nil)
			})
		})
	}
}

func TestSessionsGoToWhoeverWaitedLongest(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		impatient := acceptNext(t, q, time.Second, alice)
		first := acceptNext(t, q, time.Minute, alice)
		gone := acceptNext(t, q, time.Minute, bob)
		second := acceptNext(t, q, time.Minute, bob)
		gone.lock.Release()
		time.Sleep(time.Second)
		sendTo(t, q, "a", "b", "a")
		impatient.want(t, ErrNoSessionCame)
		first.want(t, nil)
		gone.want(t)
		second.want(t, nil)
		if first.lock.ID() != "a" || second.lock.ID() != "b" {
			t.Errorf("the first got %q, the second %q", first.lock.ID(), second.lock.ID())
		}
		wantErr(t, gone.lock.Err(), ErrSessionLockLost)
	})
}

// A session that is freed and a wait that ends at the same instant, or a moment apart when nobody looked in between,
// are decided by the times they were due.
func TestLateTimerDecidesAsAPromptOneWould(t *testing.T) {
	withSessions(t, Config{LockDuration: 10 * time.Second}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "s")
		accept(t, q, "s", alice)
		late := acceptNext(t, q, 9*time.Second, bob)
		right := acceptNext(t, q, 11*time.Second, bob)
		q.entity.mu.Lock()
		q.entity.disarm()
		q.entity.armedFor = time.Now() // as if a tick were to come, and did not
		q.entity.mu.Unlock()
		time.Sleep(20 * time.Second)
		q.Counts()
		late.want(t, ErrNoSessionCame)
		// It got the session at 10 s, and at 20 s had lost it again before it was told.
		right.want(t, ErrSessionLockLost)
	})
}

func TestHolderIsToldOfMessagesAndOfTheEnd(t *testing.T) {
	withSessions(t, Config{LockDuration: 10 * time.Second}, func(t *testing.T, q *Queue) {
		l := accept(t, q, "s", alice)
		var told atomic.Int32
		stop := l.Watch(func() { told.Add(1) })
		want := func(n int32) {
			t.Helper()
			synctest.Wait()
			if got := told.Load(); got != n {
				t.Fatalf("told %d times, want %d", got, n)
			}
		}
		sendTo(t, q, "other")
		want(0)
		sendTo(t, q, "s", "s")
		want(1)
		m := l.Acquire(nil, 1, PeekLock)[0]
		want(1)
		if err := l.Settle(Outcome{Kind: Abandon}, m.LockToken); err != nil {
			t.Fatal(err)
		}
		want(2)
		time.Sleep(10*time.Second - 1)
		want(2)
		time.Sleep(time.Second)
		want(3)
		l = accept(t, q, "s", alice)
		stop()
		l.Watch(func() { told.Add(1) })()
		sendTo(t, q, "s")
		want(3)
	})
}

func TestEndOfTheEntityEndsItsSessions(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(q *Queue) error
		want error
	}{
		"close":  {func(q *Queue) error { q.entity.namespace.Close(); return nil }, ErrClosed},
		"delete": {func(q *Queue) error { return q.entity.namespace.Delete(KindQueue, q.Path()) }, ErrEntityNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			withSessions(t, Config{}, func(t *testing.T, q *Queue) {
				sendTo(t, q, "s")
				l := accept(t, q, "s", alice)
				l.Acquire(nil, 1, PeekLock)
				var told atomic.Int32
				l.Watch(func() { told.Add(1) })
				n := acceptNext(t, q, time.Hour, bob)
				if err := test.end(q); err != nil {
					t.Fatal(err)
				}
				n.want(t, test.want)
				wantErr(t, l.Err(), test.want)
				if got := told.Load(); got != 1 {
					t.Errorf("the holder was told %d times", got)
				}
				_, err := q.AcceptSession("s", bob)
				wantErr(t, err, test.want)
				wantCounts(t, q, Counts{Accepted: 1, Active: 1})
			})
		})
	}
}

func TestExpiredMessagesMakeNoSessionTheNext(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		send(t, q, Message{SessionID: "empty", InSession: true, TTL: time.Second},
			Message{SessionID: "shorter", InSession: true, TTL: time.Second})
		sendTo(t, q, "first", "shorter")
		time.Sleep(time.Second)
		for _, want := range []string{"first", "shorter"} {
			n := acceptNext(t, q, time.Minute, Owner{Link: want})
			n.want(t, nil)
			if got := n.lock.ID(); got != want {
				t.Fatalf("accepted %q, want %q", got, want)
			}
		}
		acceptNext(t, q, time.Minute, alice).want(t)
	})
}

func TestOwnerIsKnownByTheSessionItTookLast(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		before, now := accept(t, q, "before", alice), accept(t, q, "now", alice)
		before.Release()
		if got := q.HeldBy(alice); got != now {
			t.Errorf("alice holds %v", got)
		}
		now.Release()
		if got := q.HeldBy(alice); got != nil {
			t.Errorf("alice still holds %q", got.ID())
		}
	})
}
