package broker

import (
	"slices"
	"testing"
	"time"
)

func kinds(events []Event) []EventKind {
	kinds := make([]EventKind, len(events))
	for i, e := range events {
		kinds[i] = e.Kind
	}
	return kinds
}

func TestHistoryTellsEveryStepAlsoOfEndedMessages(t *testing.T) {
	bubble(t, Config{LockDuration: time.Minute}, func(t *testing.T, q *Queue) {
		send(t, q, Message{ID: "a", ScheduledFor: time.Now().Add(time.Hour)})
		time.Sleep(time.Hour)
		settle(t, q, acquireOne(t, q), Release)
		settle(t, q, acquireOne(t, q), Abandon)
		late := acquireOne(t, q)
		time.Sleep(time.Minute)
		if err := q.Settle(Outcome{Kind: Complete}, late.LockToken); err == nil {
			t.Fatal("a late complete succeeded")
		}
		m := acquireOne(t, q)
		if _, err := q.Renew(m.LockToken); err != nil {
			t.Fatal(err)
		}
		if err := q.Settle(Outcome{Kind: DeadLetter, Reason: "r", Description: "d"}, m.LockToken); err != nil {
			t.Fatal(err)
		}
		settle(t, q.DeadLetter(), acquireOne(t, q.DeadLetter()), Complete)

		events := q.History("a")
		want := []EventKind{
			ScheduledEvent, Activated, Delivered, Released, Delivered, Abandoned, Delivered, LockExpired, SettleRefused,
			Delivered, Renewed, DeadLettered, Delivered, Completed,
		}
		if !slices.Equal(kinds(events), want) {
			t.Fatalf("history is\n%v, want\n%v", kinds(events), want)
		}
		refused, dead, last := events[8], events[11], events[13]
		if refused.LockToken != late.LockToken || refused.Reason != "complete" || refused.DeliveryCount != 2 {
			t.Errorf("refused settlement noted as %+v", refused)
		}
		if dead.Reason != "r" || dead.Description != "d" || dead.DeadLetter {
			t.Errorf("dead-letter noted as %+v", dead)
		}
		if !last.DeadLetter || last.SequenceNumber != 2 || last.DeliveryCount != 2 {
			t.Errorf("end noted as %+v", last)
		}
	})
}

func TestLedgerListsMessagesInOrderOfAcceptance(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		sendN(t, q, 3)
		q.Acquire(nil, 2, ReceiveAndDelete)
		ledger := q.Ledger()
		if len(ledger) != 3 {
			t.Fatalf("%d messages in the ledger", len(ledger))
		}
		for i, wantEvents := range []int{3, 3, 1} {
			if ledger[i].SequenceNumber != int64(i+1) || len(ledger[i].Events) != wantEvents {
				t.Errorf("entry %d is %+v", i, ledger[i])
			}
		}
	})
}

func TestWithoutHistoryNothingIsRemembered(t *testing.T) {
	t.Parallel()
	n := NewNamespace(false)
	defer n.Close()
	q, err := n.CreateQueue("q", Config{})
	if err != nil {
		t.Fatal(err)
	}
	sendN(t, q, 1)
	settle(t, q, acquireOne(t, q), Complete)
	if q.Ledger() != nil || q.History("m1") != nil {
		t.Fatal("history was kept")
	}
}

func TestMaxLockedIsTheHighestNumberHeldAtOnce(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		sendN(t, q, 5)
		for _, m := range q.Acquire(nil, 3, PeekLock) {
			settle(t, q, m, Complete)
		}
		acquireOne(t, q)
		if got := q.MaxLocked(); got != 3 {
			t.Fatalf("highest number of locks is %d, want 3", got)
		}
	})
}
