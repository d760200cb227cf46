package broker

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTokensOfAnotherSessionSettleNothing(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "a", "b")
		a, b := accept(t, q, "a", alice), accept(t, q, "b", bob)
		m := a.Acquire(nil, 1, PeekLock)[0]
		wantErr(t, b.Settle(Outcome{Kind: Complete}, m.LockToken), ErrLockLost)
		if err := a.Settle(Outcome{Kind: Complete}, m.LockToken); err != nil {
			t.Fatal(err)
		}
		wantErr(t, a.Settle(Outcome{Kind: Complete}, m.LockToken), ErrLockLost)
	})
}

func TestDeferredMessagesBelongToTheirSession(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "a")
		a, b := accept(t, q, "a", alice), accept(t, q, "b", bob)
		if err := a.Settle(Outcome{Kind: Defer}, a.Acquire(nil, 1, PeekLock)[0].LockToken); err != nil {
			t.Fatal(err)
		}
		_, err := q.ReceiveDeferred([]int64{1}, PeekLock)
		wantErr(t, err, ErrSessionRequired)
		_, err = b.ReceiveDeferred([]int64{1}, PeekLock)
		wantErr(t, err, ErrMessageNotFound)
		got, err := a.ReceiveDeferred([]int64{1}, PeekLock)
		if err != nil || !got[0].LockedUntil.Equal(a.LockedUntil()) {
			t.Fatalf("received %v, %v", got, err)
		}
		a.Release()
		wantCounts(t, q, Counts{Accepted: 1, Deferred: 1})
		if got, err = accept(t, q, "a", bob).ReceiveDeferred([]int64{1}, ReceiveAndDelete); err != nil || got[0].DeliveryCount != 0 {
			t.Fatalf("received %v, %v", got, err)
		}
	})
}

func TestSessionStateSurvivesUntilItIsCleared(t *testing.T) {
	withSessions(t, Config{LockDuration: time.Second, MaxMessageSize: 4}, func(t *testing.T, q *Queue) {
		l := accept(t, q, "s", alice)
		written := []byte("half")
		if err := l.SetState(written); err != nil {
			t.Fatal(err)
		}
		clear(written) // the caller's to reuse
		wantErr(t, l.SetState([]byte("longer")), ErrTooLarge)
		time.Sleep(time.Hour)
		l = accept(t, q, "s", bob)
		if state, err := l.State(); string(state) != "half" || err != nil {
			t.Fatalf("state is %q, %v", state, err)
		}
		if err := l.SetState([]byte{}); err != nil {
			t.Fatal(err)
		}
		if state, err := l.State(); state != nil || err != nil {
			t.Fatalf("state is %q, %v", state, err)
		}
		l.Release()
		if got := q.Sessions(); len(got) != 0 {
			t.Errorf("a session without anything is listed: %+v", got)
		}
	})
}

func TestSessionsTellWhatTheyHave(t *testing.T) {
	withSessions(t, Config{}, func(t *testing.T, q *Queue) {
		sendTo(t, q, "busy", "busy", "put off")
		send(t, q, Message{SessionID: "later", InSession: true, ScheduledFor: time.Now().Add(time.Hour)})
		busy, off := accept(t, q, "busy", alice), accept(t, q, "put off", alice)
		busy.Acquire(nil, 1, PeekLock)
		if err := off.Settle(Outcome{Kind: Defer}, off.Acquire(nil, 1, PeekLock)[0].LockToken); err != nil {
			t.Fatal(err)
		}
		off.Release()
		idle := accept(t, q, "idle", bob)
		if err := idle.SetState([]byte("s")); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		want := []SessionInfo{
			{ID: "busy", Active: 2, LockedUntil: busy.LockedUntil()},
			{ID: "idle", State: []byte("s"), StateUpdatedAt: now, LockedUntil: idle.LockedUntil()},
			{ID: "later"}, {ID: "put off"},
		}
		if diff := cmp.Diff(want, q.Sessions()); diff != "" {
			t.Errorf("sessions differ (-want +got):\n%s", diff)
		}
		wantSequences(t, q.PeekSession("busy", 2, 9), 2)
		wantSequences(t, q.PeekSession("nobody", 0, 9))
	})
}
