package servicebustest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/worker/servicebustest"
)

func TestF5RenewalOfOneMessageHangsAndTheOthersDoNot(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 3)
		receiver := r.receiver(t)
		r.OnNext(servicebustest.RenewLock, servicebustest.Swallow(), servicebustest.Keep(), servicebustest.OnMessage("m2"))
		for i, m := range receive(t, receiver, 3) {
			start := time.Now()
			err := within(5*time.Second, func(ctx context.Context) error { return receiver.RenewMessageLock(ctx, m, nil) })
			if hangs := i == 1; hangs != errors.Is(err, context.DeadlineExceeded) || !hangs && (err != nil || time.Since(start) > 0) {
				t.Errorf("renewal of %s returned %v after %v", m.MessageID, err, time.Since(start))
			}
			complete(t, receiver, m)
		}
	})
}

func TestF5RenewalIsDelayed(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{LockDuration: 30 * time.Second}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		start := time.Now()
		r.OnNext(servicebustest.RenewLock, servicebustest.Delay(20*time.Second))
		if err := receiver.RenewMessageLock(context.Background(), m, nil); err != nil {
			t.Fatal(err)
		}
		if want := start.Add(50 * time.Second); time.Since(start) != 20*time.Second || !m.LockedUntil.Equal(want) {
			t.Errorf("after %v locked until %v, want %v", time.Since(start), m.LockedUntil, want)
		}
		r.OnNext(servicebustest.RenewLock, servicebustest.Delay(31*time.Second)) // outlives the lock
		wantCode(t, receiver.RenewMessageLock(context.Background(), m, nil), azservicebus.CodeLockLost)
	})
}

func TestF5RenewalIsRefusedWithTheStatusAskedFor(t *testing.T) {
	for condition, want := range map[string]azservicebus.Code{
		"com.microsoft:message-lock-lost": azservicebus.CodeLockLost,           // 410
		"amqp:unauthorized-access":        azservicebus.CodeUnauthorizedAccess, // 401
		"amqp:not-found":                  azservicebus.CodeNotFound,           // 404
	} {
		t.Run(condition, func(t *testing.T) {
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
				r.fill(t, 1)
				receiver := r.receiver(t)
				m := receiveOne(t, receiver)
				r.OnNext(servicebustest.RenewLock, servicebustest.Fail(condition, "by the test"), servicebustest.OnMessage("m1"))
				wantCode(t, receiver.RenewMessageLock(context.Background(), m, nil), want)
				complete(t, receiver, m)
			})
		})
	}
}

func TestF6WithheldDispositionLeavesTheClientWaiting(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 2)
		receiver := r.receiver(t)
		messages := receive(t, receiver, 2)
		r.OnNext(servicebustest.SettleEcho, servicebustest.Swallow(), servicebustest.OnMessage("m1"))
		r.OnNext(servicebustest.Settle, servicebustest.Swallow(), servicebustest.OnMessage("m2"))
		for _, m := range messages {
			err := within(5*time.Second, func(ctx context.Context) error { return receiver.CompleteMessage(ctx, m, nil) })
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("complete of %s returned %v", m.MessageID, err)
			}
		}
		// The client cannot tell the one from the other: m1 is gone, m2 comes back.
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 2, Completed: 1, Locked: 1})
	})
}

func TestF7LockEndsEarlyWhateverWasRenewed(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{LockDuration: time.Minute}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		r.OnNext(servicebustest.Deliver, servicebustest.ExpireLock(10*time.Second))
		first := receiveOne(t, receiver)
		told := *first.LockedUntil
		time.Sleep(5 * time.Second)
		if err := receiver.RenewMessageLock(context.Background(), first, nil); err != nil {
			t.Fatal(err)
		}
		if moved := first.LockedUntil.Sub(told); moved != 5*time.Second {
			t.Errorf("the renewal moved the expiry by %v, want 5s", moved)
		}
		start := time.Now()
		second := receiveOne(t, receiver)
		if waited := time.Since(start); waited != 5*time.Second || second.DeliveryCount != 2 {
			t.Errorf("delivery %d after %v, want the second after 5s", second.DeliveryCount, waited)
		}
		wantCode(t, receiver.CompleteMessage(context.Background(), first, nil), azservicebus.CodeLockLost)
		time.Sleep(50 * time.Second) // the fault was for one lock
		if err := receiver.RenewMessageLock(context.Background(), second, nil); err != nil {
			t.Fatal(err)
		}
		complete(t, receiver, second)
	})
}

func TestF7LockEndsAtTheOperation(t *testing.T) {
	for name, c := range map[string]struct {
		op servicebustest.Op
		do func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error
	}{
		"renewal": {servicebustest.RenewLock, func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
			return r.RenewMessageLock(context.Background(), m, nil)
		}},
		"settlement": {servicebustest.Settle, func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
			return r.CompleteMessage(context.Background(), m, nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
				r.fill(t, 1)
				receiver := r.receiver(t)
				m := receiveOne(t, receiver)
				r.OnNext(c.op, servicebustest.ExpireLock(0))
				wantCode(t, c.do(receiver, m), azservicebus.CodeLockLost)
				complete(t, receiver, receiveOne(t, receiver))
			})
		})
	}
}

func TestF10DuplicateDeliveryHasOneLock(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		r.OnNext(servicebustest.Deliver, servicebustest.Duplicate())
		receiver := r.receiver(t)
		messages := receive(t, receiver, 2)
		if a, b := messages[0], messages[1]; a.MessageID != b.MessageID || *a.SequenceNumber != *b.SequenceNumber || a.LockToken != b.LockToken {
			t.Fatalf("received %v and %v", a, b)
		}
		complete(t, receiver, messages[0])
		wantCode(t, receiver.CompleteMessage(context.Background(), messages[1], nil), azservicebus.CodeLockLost)
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Completed: 1})
	})
}

func TestF10DuplicateDeliveryWaitsForCredit(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 2)
		r.OnNext(servicebustest.Deliver, servicebustest.Duplicate())
		receiver := r.receiver(t)
		var ids []string
		for range 3 {
			ids = append(ids, receiveOne(t, receiver).MessageID)
		}
		if got := strings.Join(ids, " "); got != "m1 m1 m2" {
			t.Errorf("received %s", got)
		}
	})
}

func TestF10DuplicateSendIsStoredTwice(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.OnNext(servicebustest.Send, servicebustest.Duplicate())
		id := "again"
		if err := r.sender(t).SendMessage(context.Background(), &azservicebus.Message{MessageID: &id}, nil); err != nil {
			t.Fatal(err)
		}
		receiver := r.receiver(t)
		messages := receive(t, receiver, 2)
		if a, b := messages[0], messages[1]; a.MessageID != id || b.MessageID != id || *a.SequenceNumber == *b.SequenceNumber {
			t.Fatalf("received %v and %v", a, b)
		}
		complete(t, receiver, messages...)
	})
}

func TestF16OversizedDeadLetterTextIsRefused(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{LockDuration: 5 * time.Minute}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		fits := strings.Repeat("é", 4096)
		tooLong := fits + "x"
		byToken := &azservicebus.ReceivedMessage{LockToken: m.LockToken}
		for _, options := range []*azservicebus.DeadLetterOptions{{Reason: &tooLong}, {ErrorDescription: &tooLong}} {
			err := receiver.DeadLetterMessage(context.Background(), byToken, options)
			if err == nil || !strings.Contains(err.Error(), "limit 4096") {
				t.Errorf("dead-letter by token returned %v", err)
			}
			// Over the link the SDK retries what was refused, finds that it has settled the message before, and reports
			// success: what counts is where the message is.
			_ = receiver.DeadLetterMessage(context.Background(), m, options)
			wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Locked: 1})
		}
		if err := receiver.DeadLetterMessage(context.Background(), byToken, &azservicebus.DeadLetterOptions{Reason: &fits, ErrorDescription: &fits}); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, DeadLettered: 1})
	})
}
