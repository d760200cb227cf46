package servicebustest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/worker/servicebustest"
)

func TestBatchIsStoredAsSingleMessages(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		sender, receiver := r.sender(t), r.receiver(t)
		batch, err := sender.NewMessageBatch(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if err := batch.AddMessage(&azservicebus.Message{Body: fmt.Appendf(nil, "%d", i)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := sender.SendMessageBatch(context.Background(), batch, nil); err != nil {
			t.Fatal(err)
		}
		messages := receive(t, receiver, 100)
		for i, m := range messages {
			if string(m.Body) != fmt.Sprint(i) || *m.SequenceNumber != int64(i+1) {
				t.Fatalf("message %d has body %s and number %d", i, m.Body, *m.SequenceNumber)
			}
		}
		complete(t, receiver, messages...)
	})
}

func TestRenewedLockOutlivesItsFirstExpiry(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		for range 5 {
			time.Sleep(45 * time.Second)
			if err := receiver.RenewMessageLock(context.Background(), m, nil); err != nil {
				t.Fatal(err)
			}
			if !m.LockedUntil.Equal(time.Now().Add(time.Minute)) {
				t.Fatalf("locked until %v, now %v", m.LockedUntil, time.Now())
			}
		}
		complete(t, receiver, m)
	})
}

func TestPeekShowsMessagesInEveryState(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 3)
		if _, err := r.queue.Send(servicebustest.Message{ID: "later", ScheduledFor: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		receiver := r.receiver(t)
		messages := receive(t, receiver, 2)
		if err := receiver.DeferMessage(context.Background(), messages[0], nil); err != nil {
			t.Fatal(err)
		}
		peeked, err := receiver.PeekMessages(context.Background(), 10, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []azservicebus.MessageState{
			azservicebus.MessageStateDeferred, azservicebus.MessageStateActive, azservicebus.MessageStateActive, azservicebus.MessageStateScheduled,
		}
		if len(peeked) != len(want) {
			t.Fatalf("peeked %d messages, want %d", len(peeked), len(want))
		}
		for i, m := range peeked {
			if m.State != want[i] || *m.SequenceNumber != int64(i+1) || m.LockedUntil != nil {
				t.Errorf("message %d: state %v, number %d, locked until %v", i, m.State, *m.SequenceNumber, m.LockedUntil)
			}
		}
		if more, err := receiver.PeekMessages(context.Background(), 10, nil); err != nil || len(more) != 0 {
			t.Fatalf("peek behind the end: %d messages, %v", len(more), err)
		}
	})
}

func TestSettlementByTokenAfterReconnect(t *testing.T) {
	for name, settle := range map[string]func(*azservicebus.Receiver, *azservicebus.ReceivedMessage) error{
		"complete": func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
			return r.CompleteMessage(context.Background(), m, nil)
		},
		"dead-letter": func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
			return r.DeadLetterMessage(context.Background(), m, &azservicebus.DeadLetterOptions{Reason: new("bad"), ErrorDescription: new("d")})
		},
		"abandon": func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
			return r.AbandonMessage(context.Background(), m, &azservicebus.AbandonMessageOptions{PropertiesToModify: map[string]any{"k": "v"}})
		},
		"defer": func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
			return r.DeferMessage(context.Background(), m, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
				r.fill(t, 1)
				m := receiveOne(t, r.receiver(t))
				other := rig{r.Server, newClient(t, r.Server), r.queue}
				receiver := other.receiver(t)
				if err := settle(receiver, &azservicebus.ReceivedMessage{LockToken: m.LockToken}); err != nil {
					t.Fatal(err)
				}
				counts := r.queue.Counts()
				counts.Accepted--
				want := map[string]servicebustest.Counts{
					"complete": {Completed: 1}, "dead-letter": {DeadLettered: 1}, "abandon": {Active: 1}, "defer": {Deferred: 1},
				}[name]
				if counts != want {
					t.Fatalf("counts are %+v, want %+v", counts, want)
				}
				wantCode(t, settle(receiver, &azservicebus.ReceivedMessage{LockToken: m.LockToken}), azservicebus.CodeLockLost)
			})
		})
	}
}

func TestDeferredMessageIsReceivedByNumberAndCompleted(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 2)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		if err := receiver.DeferMessage(context.Background(), m, nil); err != nil {
			t.Fatal(err)
		}
		deferred, err := receiver.ReceiveDeferredMessages(context.Background(), []int64{*m.SequenceNumber}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(deferred) != 1 || deferred[0].State != azservicebus.MessageStateDeferred || string(deferred[0].Body) != "body 1" {
			t.Fatalf("received %+v", deferred)
		}
		complete(t, receiver, deferred...)
		_, err = receiver.ReceiveDeferredMessages(context.Background(), []int64{*m.SequenceNumber}, nil)
		wantCode(t, err, azservicebus.CodeNotFound)
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 2, Active: 1, Completed: 1})
	})
}

func TestScheduledMessageArrivesOnTimeUnlessCancelled(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		sender, receiver := r.sender(t), r.receiver(t)
		due := time.Now().Add(time.Hour)
		messages := []*azservicebus.Message{{Body: []byte("kept")}, {Body: []byte("cancelled")}}
		numbers, err := sender.ScheduleMessages(context.Background(), messages, due, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := sender.CancelScheduledMessages(context.Background(), numbers[1:], nil); err != nil {
			t.Fatal(err)
		}
		wantCode(t, sender.CancelScheduledMessages(context.Background(), numbers[1:], nil), azservicebus.CodeNotFound)
		byAnnotation := &azservicebus.Message{Body: []byte("annotated"), ScheduledEnqueueTime: &due}
		if err := sender.SendMessage(context.Background(), byAnnotation, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(due) - 2*time.Second)
		receiveNothing(t, receiver)
		time.Sleep(time.Until(due))
		got := receive(t, receiver, 2)
		if string(got[0].Body) != "kept" || string(got[1].Body) != "annotated" || !got[0].EnqueuedTime.Equal(due) {
			t.Fatalf("received %s at %v, %s", got[0].Body, got[0].EnqueuedTime, got[1].Body)
		}
		if *got[0].EnqueuedSequenceNumber != numbers[0] || *got[0].SequenceNumber == numbers[0] {
			t.Fatalf("numbered %d, before %d", *got[0].SequenceNumber, *got[0].EnqueuedSequenceNumber)
		}
		complete(t, receiver, got...)
	}, servicebustest.WithIdleLimits(servicebustest.IdleLimits{})) // the hour's wait is not what is tested
}

func TestExpiredMessageReachesTheDeadLetterQueue(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{DeadLetterOnExpiration: true}, func(t *testing.T, r rig) {
		sender := r.sender(t)
		if err := sender.SendMessage(context.Background(), &azservicebus.Message{TimeToLive: new(time.Second)}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		m := receiveOne(t, r.deadLetterReceiver(t))
		if *m.DeadLetterReason != "TTLExpiredException" {
			t.Fatalf("dead-lettered for %q", *m.DeadLetterReason)
		}
	})
}
