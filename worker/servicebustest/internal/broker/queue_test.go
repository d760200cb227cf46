package broker

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs a test in virtual time against one queue and closes the namespace before the bubble ends.
func bubble(t *testing.T, cfg Config, test func(t *testing.T, q *Queue)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := NewNamespace(true)
		defer n.Close()
		q, err := n.CreateQueue("orders", cfg)
		if err != nil {
			t.Fatal(err)
		}
		test(t, q)
	})
}

func send(t *testing.T, q *Queue, messages ...Message) []int64 {
	t.Helper()
	sequences, err := q.Enqueue(messages...)
	if err != nil {
		t.Fatal(err)
	}
	return sequences
}

func sendN(t *testing.T, q *Queue, n int) []int64 {
	t.Helper()
	messages := make([]Message, n)
	for i := range messages {
		messages[i].ID = fmt.Sprintf("m%d", i+1)
	}
	return send(t, q, messages...)
}

func acquireOne(t *testing.T, q *Queue) Stored {
	t.Helper()
	got := q.Acquire(nil, 1, PeekLock)
	if len(got) != 1 {
		t.Fatalf("acquired %d messages, want 1", len(got))
	}
	return got[0]
}

func settle(t *testing.T, q *Queue, m Stored, kind OutcomeKind) {
	t.Helper()
	if err := q.Settle(Outcome{Kind: kind}, m.LockToken); err != nil {
		t.Fatal(err)
	}
}

func wantEmpty(t *testing.T, q *Queue) {
	t.Helper()
	if got := q.Acquire(nil, 1, PeekLock); len(got) != 0 {
		t.Fatalf("acquired message %d from a queue that must offer nothing", got[0].SequenceNumber)
	}
}

func wantCounts(t *testing.T, q *Queue, want Counts) {
	t.Helper()
	if got := q.Counts(); got != want {
		t.Fatalf("counts are\n%+v, want\n%+v", got, want)
	}
}

func sequencesOf(stored []Stored) []int64 {
	sequences := make([]int64, len(stored))
	for i, m := range stored {
		sequences[i] = m.SequenceNumber
	}
	return sequences
}

func TestSequenceNumbersStartAtOneAndOrderDelivery(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		if got := sendN(t, q, 3); !slices.Equal(got, []int64{1, 2, 3}) {
			t.Fatalf("sequence numbers %v", got)
		}
		if got := sequencesOf(q.Acquire(nil, 5, PeekLock)); !slices.Equal(got, []int64{1, 2, 3}) {
			t.Fatalf("delivered %v", got)
		}
		wantCounts(t, q, Counts{Accepted: 3, Locked: 3})
	})
}

func TestCompleteEndsAMessage(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		sendN(t, q, 1)
		m := acquireOne(t, q)
		settle(t, q, m, Complete)
		wantCounts(t, q, Counts{Accepted: 1, Completed: 1})
		if err := q.Settle(Outcome{Kind: Complete}, m.LockToken); !errors.Is(err, ErrLockLost) {
			t.Fatalf("second complete returned %v, want lock lost", err)
		}
		time.Sleep(time.Hour)
		wantEmpty(t, q)
	})
}

func TestReturnedMessageTakesItsOldPlace(t *testing.T) {
	for kind, count := range map[OutcomeKind]uint32{Abandon: 1, Release: 0} {
		t.Run(kind.String(), func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, q *Queue) {
				sendN(t, q, 3)
				first := acquireOne(t, q)
				second := acquireOne(t, q)
				settle(t, q, second, kind)
				settle(t, q, first, kind)
				got := q.Acquire(nil, 3, PeekLock)
				if !slices.Equal(sequencesOf(got), []int64{1, 2, 3}) {
					t.Fatalf("delivered %v", sequencesOf(got))
				}
				if got[0].DeliveryCount != count {
					t.Fatalf("delivery count is %d, want %d", got[0].DeliveryCount, count)
				}
				if got[0].LockToken == first.LockToken {
					t.Fatal("the lock token was used twice")
				}
			})
		})
	}
}

func TestReceiveAndDeleteEndsAMessageOnDelivery(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		sendN(t, q, 2)
		got := q.Acquire(nil, 1, ReceiveAndDelete)
		if len(got) != 1 || !got[0].LockedUntil.IsZero() {
			t.Fatalf("acquired %+v", got)
		}
		if err := q.Settle(Outcome{Kind: Complete}, got[0].LockToken); !errors.Is(err, ErrLockLost) {
			t.Fatalf("settling what was deleted returned %v", err)
		}
		wantCounts(t, q, Counts{Accepted: 2, Active: 1, Completed: 1})
	})
}

func TestRestoreUndoesADeliveryThatWasNotWritten(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		sendN(t, q, 2)
		q.Restore(q.Acquire(nil, 1, ReceiveAndDelete)[0])
		wantCounts(t, q, Counts{Accepted: 2, Active: 2})
		m := acquireOne(t, q)
		if m.ID != "m1" || m.DeliveryCount != 0 {
			t.Fatalf("first is %+v", m)
		}
		want := []EventKind{Enqueued, Delivered, Completed, Released, Delivered}
		if got := kinds(q.History("m1")); !slices.Equal(got, want) {
			t.Fatalf("history is %v, want %v", got, want)
		}
	})
}

func TestBatchIsAcceptedWholeOrNotAtAll(t *testing.T) {
	bubble(t, Config{MaxMessageSize: 100}, func(t *testing.T, q *Queue) {
		if _, err := q.Enqueue(Message{Size: 100}, Message{Size: 101}); !errors.Is(err, ErrTooLarge) {
			t.Fatalf("enqueue returned %v, want too large", err)
		}
		wantCounts(t, q, Counts{})
		send(t, q, Message{Size: 100})
	})
}

func TestNothingIsAcceptedIntoADeadLetterQueueOrAfterClose(t *testing.T) {
	t.Parallel()
	n := NewNamespace(false)
	q, err := n.CreateQueue("q", Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.DeadLetter().Enqueue(Message{}); !errors.Is(err, ErrNotAllowed) {
		t.Fatalf("enqueue to the dead-letter queue returned %v", err)
	}
	n.Close()
	if _, err := q.Enqueue(Message{}); !errors.Is(err, ErrClosed) {
		t.Fatalf("enqueue after close returned %v", err)
	}
}

func TestPeekShowsEveryStateInOrderWithoutLocking(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		sendN(t, q, 4)
		send(t, q, Message{ID: "later", ScheduledFor: time.Now().Add(time.Hour)})
		settle(t, q, acquireOne(t, q), Complete)
		settle(t, q, acquireOne(t, q), Defer)
		locked := acquireOne(t, q)
		got := q.Peek(1, 10)
		if !slices.Equal(sequencesOf(got), []int64{2, 3, 4, 5}) {
			t.Fatalf("peeked %v", sequencesOf(got))
		}
		if got[0].State != Deferred || got[1].LockToken != locked.LockToken || got[2].State != Active || got[3].State != Scheduled {
			t.Fatalf("peeked states %+v", got)
		}
		if got := q.Peek(3, 1); !slices.Equal(sequencesOf(got), []int64{3}) {
			t.Fatalf("peek from 3, one message, gave %v", sequencesOf(got))
		}
		wantCounts(t, q, Counts{Accepted: 5, Active: 1, Locked: 1, Deferred: 1, Scheduled: 1, Completed: 1})
	})
}

func TestWatchersAreWokenWhenAMessageBecomesAvailable(t *testing.T) {
	bubble(t, Config{LockDuration: time.Minute}, func(t *testing.T, q *Queue) {
		woken := 0
		// Acquire from inside the wake-up: it must be called without locks.
		stop := q.Watch(func() { woken += 1 + len(q.Acquire(nil, 0, PeekLock)) })
		sendN(t, q, 1)
		m := acquireOne(t, q)
		settle(t, q, m, Release)
		acquireOne(t, q)
		time.Sleep(time.Minute)
		synctest.Wait()
		if woken != 3 {
			t.Fatalf("woken %d times, want 3: sent, released, lock expired", woken)
		}
		stop()
		sendN(t, q, 1)
		if woken != 3 {
			t.Fatal("woken after stop")
		}
	})
}

func TestChangedClosesAtTheNextChangeOnly(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		changed := q.Changed()
		q.Peek(1, 1)
		select {
		case <-changed:
			t.Fatal("a peek counted as a change")
		default:
		}
		sendN(t, q, 1)
		<-changed
	})
}

// BenchmarkAcquireSettleBehindABacklog shows that the cost of a message does not depend on how many wait.
func BenchmarkAcquireSettleBehindABacklog(b *testing.B) {
	for _, backlog := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint(backlog), func(b *testing.B) {
			n := NewNamespace(false)
			defer n.Close()
			q, err := n.CreateQueue("q", Config{MaxDeliveryCount: math.MaxInt})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := q.Enqueue(make([]Message, backlog)...); err != nil {
				b.Fatal(err)
			}
			var stored []Stored
			b.ReportAllocs()
			for b.Loop() {
				stored = q.Acquire(stored[:0], 1, PeekLock)
				if err := q.Settle(Outcome{Kind: Release}, stored[0].LockToken); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
