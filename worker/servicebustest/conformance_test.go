package servicebustest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/worker/servicebustest"
)

// The tests of this file state what Service Bus does, through the eyes of the official Go SDK.

func TestIdleConnectionStaysUp(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		receiver := r.receiver(t)
		r.fill(t, 1)
		complete(t, receiver, receiveOne(t, receiver))
		time.Sleep(30 * time.Minute)
		if n := r.Connections(); n != 1 {
			t.Fatalf("%d connections after half an hour of silence, want 1", n)
		}
		r.fill(t, 1)
		complete(t, receiver, receiveOne(t, receiver))
	})
}

func TestMissingEntityIsCodeNotFound(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		receiver, err := r.client.NewReceiverForQueue("nobody", nil)
		if err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		_, err = receiver.ReceiveMessages(context.Background(), 1, nil)
		wantCode(t, err, azservicebus.CodeNotFound)
		if waited := time.Since(before); waited > 0 {
			t.Fatalf("the client retried for %v; a missing entity is final", waited)
		}
		closeLink(t, receiver.Close)
	})
}

func TestSendKeepsBodiesOfEverySizeIntact(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		sender, receiver := r.sender(t), r.receiver(t)
		for _, size := range []int{0, 1, 100_000, 250_000} {
			body := bytes.Repeat([]byte{'x'}, size)
			if err := sender.SendMessage(context.Background(), &azservicebus.Message{Body: body}, nil); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			m := receiveOne(t, receiver)
			if !bytes.Equal(m.Body, body) {
				t.Fatalf("sent %d bytes, received %d", size, len(m.Body))
			}
			complete(t, receiver, m)
		}
	})
}

func TestMessageAboveTheLimitIsRefused(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{MaxMessageSize: 10_000}, func(t *testing.T, r rig) {
		sender := r.sender(t)
		err := sender.SendMessage(context.Background(), &azservicebus.Message{Body: make([]byte, 10_001)}, nil)
		if !errors.Is(err, azservicebus.ErrMessageTooLarge) {
			t.Fatalf("send returned %v", err)
		}
		wantCounts(t, r.queue, servicebustest.Counts{})
	})
}

func TestMessageFieldsSurviveTheJourney(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		sender, receiver := r.sender(t), r.receiver(t)
		properties := map[string]any{
			"string": "s", "int32": int32(-1), "int64": int64(1) << 40, "float": 1.5, "bool": true, "nil": nil,
			"time": time.UnixMilli(1_700_000_000_000).UTC(), "bytes": []byte{1, 2},
		}
		sent := &azservicebus.Message{
			MessageID: new("id-1"), ContentType: new("application/json"), Subject: new("subject"), CorrelationID: new("c"),
			To: new("to"), ReplyTo: new("reply"), TimeToLive: new(time.Hour), ApplicationProperties: properties, Body: []byte("b"),
		}
		if err := sender.SendMessage(context.Background(), sent, nil); err != nil {
			t.Fatal(err)
		}
		m := receiveOne(t, receiver)
		if m.MessageID != "id-1" || *m.ContentType != "application/json" || *m.Subject != "subject" || *m.CorrelationID != "c" ||
			*m.To != "to" || *m.ReplyTo != "reply" || *m.TimeToLive != time.Hour {
			t.Errorf("received %+v", m)
		}
		if got := fmt.Sprint(m.ApplicationProperties); got != fmt.Sprint(properties) {
			t.Errorf("properties are %v, want %v", got, properties)
		}
		if *m.SequenceNumber != 1 || m.DeliveryCount != 1 || m.State != azservicebus.MessageStateActive || m.EnqueuedSequenceNumber != nil {
			t.Errorf("broker's fields are %+v", m)
		}
		if !m.EnqueuedTime.Equal(time.Now()) || !m.LockedUntil.Equal(time.Now().Add(time.Minute)) || !m.ExpiresAt.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("enqueued %v, locked until %v, expires %v, now %v", m.EnqueuedTime, m.LockedUntil, m.ExpiresAt, time.Now())
		}
		var annotations []string
		for key := range m.RawAMQPMessage.MessageAnnotations {
			annotations = append(annotations, fmt.Sprint(key))
		}
		slices.Sort(annotations)
		if want := []string{"x-opt-enqueued-time", "x-opt-locked-until", "x-opt-sequence-number"}; !slices.Equal(annotations, want) {
			t.Errorf("message annotations are %v, want %v and nothing more", annotations, want)
		}
		complete(t, receiver, m)
	})
}

func TestReceiveAndDeleteNeedsNoSettlement(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 5)
		receiver := r.receiverWith(t, &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete})
		receive(t, receiver, 5)
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 5, Completed: 5})
	})
}

func TestSendFiveReceiveFiveCompleteFive(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		sender, receiver := r.sender(t), r.receiver(t)
		for i := range 5 {
			if err := sender.SendMessage(context.Background(), &azservicebus.Message{Body: []byte{byte(i)}}, nil); err != nil {
				t.Fatal(err)
			}
		}
		messages := receive(t, receiver, 5)
		for i, m := range messages {
			if m.Body[0] != byte(i) {
				t.Fatalf("message %d has body %v", i, m.Body)
			}
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 5, Locked: 5})
		complete(t, receiver, messages...)
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 5, Completed: 5})
	})
}

func TestTenAbandonsDeadLetterTheMessage(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		for i := range uint32(10) {
			m := receiveOne(t, receiver)
			if m.DeliveryCount != i+1 {
				t.Fatalf("delivery count is %d on delivery %d", m.DeliveryCount, i+1)
			}
			options := &azservicebus.AbandonMessageOptions{PropertiesToModify: map[string]any{"attempt": int64(i)}}
			if err := receiver.AbandonMessage(context.Background(), m, options); err != nil {
				t.Fatal(err)
			}
		}
		receiveNothing(t, receiver)
		dead := r.deadLetterReceiver(t)
		m := receiveOne(t, dead)
		if *m.DeadLetterReason != "MaxDeliveryCountExceeded" ||
			*m.DeadLetterErrorDescription != "Message could not be consumed after 10 delivery attempts." ||
			m.ApplicationProperties["attempt"] != int64(9) || *m.DeadLetterSource != queueName {
			t.Fatalf("dead-lettered as %+v", m)
		}
		complete(t, dead, m)
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Completed: 1})
	})
}

func TestDeadLetterCarriesReasonDescriptionAndProperties(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		options := &azservicebus.DeadLetterOptions{
			Reason: new("bad"), ErrorDescription: new("very bad"), PropertiesToModify: map[string]any{"code": "x"},
		}
		if err := receiver.DeadLetterMessage(context.Background(), receiveOne(t, receiver), options); err != nil {
			t.Fatal(err)
		}
		dead := r.queue.DeadLettered()
		if len(dead) != 1 || dead[0].Reason != "bad" || dead[0].Description != "very bad" || dead[0].Properties["code"] != "x" {
			t.Fatalf("the dead-letter queue holds %+v", dead)
		}
		m := receiveOne(t, r.deadLetterReceiver(t))
		if *m.DeadLetterReason != "bad" || *m.DeadLetterErrorDescription != "very bad" || string(m.Body) != "body 1" {
			t.Fatalf("received %+v", m)
		}
	})
}

func TestReleaserHandsBackWithoutCountingDeliveries(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		receiver := r.receiver(t)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := receiver.ReceiveMessages(ctx, 20, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("receive from an empty queue returned %v", err)
		}
		// The credit is still with the server: these are delivered to nobody and released.
		r.fill(t, 5)
		synctest.Wait()
		if got := kinds(r.queue.History("m1")); !slices.Contains(got, servicebustest.EventReleased) {
			t.Fatalf("nothing was released: %v", got)
		}
		messages := receive(t, receiver, 5)
		for i, m := range messages {
			if m.DeliveryCount != 1 || m.MessageID != fmt.Sprintf("m%d", i+1) {
				t.Fatalf("message %d is %s with delivery count %d", i, m.MessageID, m.DeliveryCount)
			}
		}
		complete(t, receiver, messages...)
	})
}

func TestLateSettlementIsLockLost(t *testing.T) {
	for name, settle := range map[string]func(*azservicebus.Receiver, *azservicebus.ReceivedMessage) error{
		"complete": func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
			return r.CompleteMessage(context.Background(), m, nil)
		},
		"abandon": func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
			return r.AbandonMessage(context.Background(), m, nil)
		},
		"defer": func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
			return r.DeferMessage(context.Background(), m, nil)
		},
		"dead-letter": func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
			return r.DeadLetterMessage(context.Background(), m, nil)
		},
		"renew": func(r *azservicebus.Receiver, m *azservicebus.ReceivedMessage) error {
			return r.RenewMessageLock(context.Background(), m, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, servicebustest.QueueConfig{LockDuration: 10 * time.Second}, func(t *testing.T, r rig) {
				r.fill(t, 1)
				receiver := r.receiver(t)
				m := receiveOne(t, receiver)
				time.Sleep(10 * time.Second)
				wantCode(t, settle(receiver, m), azservicebus.CodeLockLost)
				again := receiveOne(t, receiver)
				if again.DeliveryCount != 2 || again.LockToken == m.LockToken {
					t.Fatalf("redelivered with count %d and token %x", again.DeliveryCount, again.LockToken)
				}
			})
		})
	}
}
