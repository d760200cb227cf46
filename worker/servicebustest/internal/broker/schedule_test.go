package broker

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestScheduledMessageActivatesOnTimeUnderANewNumber(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		when := time.Now().Add(time.Hour)
		send(t, q, Message{ID: "later", ScheduledFor: when, TTL: time.Minute})
		sendN(t, q, 1)
		settle(t, q, acquireOne(t, q), Complete)
		time.Sleep(time.Hour - 1)
		wantEmpty(t, q)
		time.Sleep(time.Nanosecond)
		m := acquireOne(t, q)
		if m.SequenceNumber != 3 || m.EnqueuedSequence != 1 || !m.EnqueuedAt.Equal(when) || !m.ExpiresAt.Equal(when.Add(time.Minute)) {
			t.Fatalf("activated as %+v", m)
		}
	})
}

func TestScheduledInThePastIsActiveAtOnce(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		send(t, q, Message{ScheduledFor: time.Now()})
		if m := acquireOne(t, q); m.SequenceNumber != 1 || m.EnqueuedSequence != 0 {
			t.Fatalf("accepted as %+v", m)
		}
	})
}

func TestCancelRemovesScheduledMessagesAllOrNothing(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		later := time.Now().Add(time.Hour)
		numbers := send(t, q, Message{ScheduledFor: later}, Message{ScheduledFor: later}, Message{})
		for _, wrong := range [][]int64{{numbers[0], 99}, {numbers[0], numbers[2]}, {numbers[0], numbers[0]}} {
			if err := q.Cancel(wrong...); !errors.Is(err, ErrMessageNotFound) {
				t.Fatalf("cancel of %v returned %v", wrong, err)
			}
		}
		if err := q.Cancel(numbers[0]); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, q, Counts{Accepted: 3, Active: 1, Scheduled: 1, Cancelled: 1})
		time.Sleep(time.Hour)
		if err := q.Cancel(numbers[1]); !errors.Is(err, ErrMessageNotFound) {
			t.Fatalf("cancel after activation returned %v", err)
		}
		wantCounts(t, q, Counts{Accepted: 3, Active: 2, Cancelled: 1})
	})
}

func TestDeferredMessageIsReachedOnlyByNumberAndStaysDeferred(t *testing.T) {
	bubble(t, Config{MaxDeliveryCount: 4, DeadLetterOnExpiration: true, LockDuration: time.Minute}, func(t *testing.T, q *Queue) {
		send(t, q, Message{TTL: time.Minute})
		settle(t, q, acquireOne(t, q), Defer)
		time.Sleep(time.Hour)
		wantEmpty(t, q)
		wantCounts(t, q, Counts{Accepted: 1, Deferred: 1})

		give := []func(Stored){
			func(m Stored) { settle(t, q, m, Abandon) },
			func(m Stored) { settle(t, q, m, Release) },
			func(m Stored) { settle(t, q, m, Defer) },
			func(Stored) { time.Sleep(time.Minute) },
		}
		for i, wantCount := range []uint32{0, 1, 1, 1} {
			m := receiveDeferred(t, q, 1)
			if m.DeliveryCount != wantCount || m.State != Deferred || m.LockToken == (Token{}) {
				t.Fatalf("received as %+v, want delivery count %d", m, wantCount)
			}
			if _, err := q.ReceiveDeferred([]int64{1}, PeekLock); !errors.Is(err, ErrMessageNotFound) {
				t.Fatalf("a locked deferred message was received again: %v", err)
			}
			give[i](m)
			wantCounts(t, q, Counts{Accepted: 1, Deferred: 1})
		}
		settle(t, q, receiveDeferred(t, q, 1), Complete)
		wantCounts(t, q, Counts{Accepted: 1, Completed: 1})
	})
}

func receiveDeferred(t *testing.T, q *Queue, sequence int64) Stored {
	t.Helper()
	got, err := q.ReceiveDeferred([]int64{sequence}, PeekLock)
	if err != nil {
		t.Fatal(err)
	}
	return got[0]
}

func TestReceiveDeferredTakesAllOrNothing(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		sendN(t, q, 3)
		settle(t, q, acquireOne(t, q), Defer)
		settle(t, q, acquireOne(t, q), Defer)
		if _, err := q.ReceiveDeferred([]int64{1, 3}, PeekLock); !errors.Is(err, ErrMessageNotFound) {
			t.Fatalf("receive of an active message by number returned %v", err)
		}
		wantCounts(t, q, Counts{Accepted: 3, Active: 1, Deferred: 2})
		got, err := q.ReceiveDeferred([]int64{2, 1}, ReceiveAndDelete)
		if err != nil || !slices.Equal(sequencesOf(got), []int64{2, 1}) {
			t.Fatalf("received %v, %v", sequencesOf(got), err)
		}
		wantCounts(t, q, Counts{Accepted: 3, Active: 1, Completed: 2})
	})
}
