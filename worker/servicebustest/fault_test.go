package servicebustest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"batchterminator/worker/servicebustest"
)

// within bounds one SDK call.
func within(d time.Duration, call func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return call(ctx)
}

func TestDelayHoldsUpOneOperationAndNotTheConnection(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 2)
		receiver := r.receiver(t)
		messages := receive(t, receiver, 2)
		r.OnNext(servicebustest.Settle, servicebustest.Delay(5*time.Second), servicebustest.OnMessage("m1"))
		before := time.Now()
		slow := make(chan error)
		go func() { slow <- receiver.CompleteMessage(context.Background(), messages[0], nil) }()
		synctest.Wait()
		complete(t, receiver, messages[1])
		if waited := time.Since(before); waited != 0 {
			t.Errorf("another settlement waited %v", waited)
		}
		if err := <-slow; err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(before); waited != 5*time.Second {
			t.Errorf("the delayed settlement took %v, want 5s", waited)
		}
	})
}

func TestSwallowedEchoLeavesTheMessageCompleted(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		fault := r.OnNext(servicebustest.SettleEcho, servicebustest.Swallow())
		err := within(2*time.Second, func(ctx context.Context) error { return receiver.CompleteMessage(ctx, m, nil) })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("complete returned %v", err)
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Completed: 1})
		if fault.Fired() != 1 {
			t.Fatalf("fired %d times", fault.Fired())
		}
	})
}

func TestSwallowedSettlementHasNoEffect(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{LockDuration: 10 * time.Second}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		r.OnNext(servicebustest.Settle, servicebustest.Swallow())
		err := within(2*time.Second, func(ctx context.Context) error { return receiver.CompleteMessage(ctx, m, nil) })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("complete returned %v", err)
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Locked: 1})
		time.Sleep(10 * time.Second)
		complete(t, receiver, receiveOne(t, receiver))
	})
}

func TestFailedSettlementReachesTheClientAsItsCode(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		r.OnNext(servicebustest.Settle, servicebustest.Fail("com.microsoft:message-lock-lost", "on purpose"))
		wantCode(t, receiver.CompleteMessage(context.Background(), m, nil), azservicebus.CodeLockLost)
		complete(t, receiver, m)
	})
}

func TestRefusedAttachCarriesConditionAndText(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.OnNext(servicebustest.Attach, servicebustest.Fail("com.microsoft:entity-disabled", "Messaging entity is disabled."),
			servicebustest.OnEntity("ORDERS"))
		receiver := r.receiver(t)
		err := within(patience, func(ctx context.Context) error {
			_, err := receiver.ReceiveMessages(ctx, 1, nil)
			return err
		})
		var refusal *amqp.Error
		if !errors.As(err, &refusal) || refusal.Condition != "com.microsoft:entity-disabled" || refusal.Description != "Messaging entity is disabled." {
			t.Fatalf("receive returned %v", err)
		}
		r.fill(t, 1)
		complete(t, receiver, receiveOne(t, receiver))
	})
}

func TestDroppedDeliveryIsLockedAndComesBack(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{LockDuration: 20 * time.Second}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		r.OnNext(servicebustest.Deliver, servicebustest.Swallow(), servicebustest.OnMessage("m1"))
		receiver := r.receiver(t)
		receiveNothing(t, receiver)
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Locked: 1})
		time.Sleep(20 * time.Second)
		// The credit that the lost delivery did not use is still there: the client grants none while it has some.
		m := receiveOne(t, receiver)
		if m.DeliveryCount != 2 {
			t.Fatalf("delivery count %d, want 2", m.DeliveryCount)
		}
		complete(t, receiver, m)
	})
}

func TestDeletedMessageThatWasNeverWrittenIsBackInTheQueue(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 2)
		r.OnNext(servicebustest.Deliver, servicebustest.DropConnection())
		receiver := r.receiverWith(t, &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete})
		for i, m := range receive(t, receiver, 2) {
			if m.DeliveryCount != 1 || *m.SequenceNumber != int64(i+1) {
				t.Errorf("message %d has number %d and delivery count %d", i, *m.SequenceNumber, m.DeliveryCount)
			}
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 2, Completed: 2})
	})
}

func TestRenewalFailsWhereToldTo(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		for _, op := range []servicebustest.Op{servicebustest.RenewLock, servicebustest.Management} {
			r.OnNext(op, servicebustest.Fail("com.microsoft:message-lock-lost", "on purpose"), servicebustest.OnEntity(queueName))
			wantCode(t, receiver.RenewMessageLock(context.Background(), m, nil), azservicebus.CodeLockLost)
		}
		if err := receiver.RenewMessageLock(context.Background(), m, nil); err != nil {
			t.Fatalf("the fault was one-shot: %v", err)
		}
	})
}

func TestRefusedTokenIsCodeUnauthorized(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.OnNext(servicebustest.CBS, servicebustest.Fail("amqp:unauthorized-access", "no"))
		receiver := r.receiver(t)
		err := within(patience, func(ctx context.Context) error {
			_, err := receiver.ReceiveMessages(ctx, 1, nil)
			return err
		})
		wantCode(t, err, azservicebus.CodeUnauthorizedAccess)
	})
}

func TestRefusedSendStoresNothing(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		sender := r.sender(t)
		r.OnNext(servicebustest.Send, servicebustest.Fail("amqp:resource-limit-exceeded", "full"))
		err := sender.SendMessage(context.Background(), &azservicebus.Message{}, nil)
		var refusal *amqp.Error
		if !errors.As(err, &refusal) || refusal.Condition != "amqp:resource-limit-exceeded" {
			t.Fatalf("send returned %v", err)
		}
		wantCounts(t, r.queue, servicebustest.Counts{})
	})
}

func TestClientRecoversFromADroppedConnection(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 2)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		if n := r.DropConnections(); n != 1 {
			t.Fatalf("dropped %d connections", n)
		}
		complete(t, receiver, receiveOne(t, receiver))
		// The SDK ties a message to its connection and would end the new one over it; by token it settles anywhere.
		complete(t, receiver, &azservicebus.ReceivedMessage{LockToken: m.LockToken})
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 2, Completed: 2})
	})
}

func TestClientRecoversFromDetachAndClose(t *testing.T) {
	for name, strike := range map[string]func(rig){
		"detach": func(r rig) { r.DetachLinks(queueName, "amqp:link:detach-forced", "updated") },
		"close":  func(r rig) { r.CloseConnections("amqp:connection:forced", "maintenance") },
		"injected detach": func(r rig) {
			r.OnNext(servicebustest.Flow, servicebustest.DetachLink("amqp:link:detach-forced", "idle"), servicebustest.OnEntity(queueName))
		},
		"injected end": func(r rig) {
			r.OnNext(servicebustest.Flow, servicebustest.EndSession("amqp:internal-error", "oops"), servicebustest.OnEntity(queueName))
		},
		"injected close": func(r rig) {
			r.OnNext(servicebustest.Flow, servicebustest.CloseConnection("amqp:connection:forced", "bye"), servicebustest.OnEntity(queueName))
		},
		"injected drop": func(r rig) {
			r.OnNext(servicebustest.Flow, servicebustest.DropConnection(), servicebustest.OnEntity(queueName))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
				r.fill(t, 1)
				receiver := r.receiver(t)
				complete(t, receiver, receiveOne(t, receiver))
				strike(r)
				r.fill(t, 1)
				complete(t, receiver, receiveOne(t, receiver))
			})
		})
	}
}

func TestHalfOpenConnectionIsSilentUntilItIsUnmuted(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		synctest.Wait() // the client has granted the credit of its reply link: swallowed, it would never come again
		r.MuteConnections(true)
		synctest.Wait() // the connection has heard of it
		err := within(time.Second, func(ctx context.Context) error { return receiver.CompleteMessage(ctx, m, nil) })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("complete on a half-open connection returned %v", err)
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Locked: 1})
		r.MuteConnections(false)
		synctest.Wait()
		renew := func(ctx context.Context) error { return receiver.RenewMessageLock(ctx, m, nil) }
		if err := within(patience, renew); err != nil {
			t.Fatalf("renew after unmute: %v", err)
		}
	})
}

func TestConnectFaults(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.OnNext(servicebustest.Connect, servicebustest.Fail("amqp:connection:forced", "no entry"))
		if _, err := r.Dial(context.Background()); err == nil || !strings.Contains(err.Error(), "no entry") {
			t.Fatalf("dial returned %v", err)
		}
		r.OnNext(servicebustest.Connect, servicebustest.Delay(time.Minute))
		err := within(time.Second, func(ctx context.Context) error {
			_, err := r.Dial(ctx)
			return err
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("delayed dial returned %v", err)
		}
		r.fill(t, 1)
		r.OnNext(servicebustest.Connect, servicebustest.DropConnection(), servicebustest.Times(2))
		receiver := r.receiver(t)
		complete(t, receiver, receiveOne(t, receiver))
	})
}

func TestFaultsStrikeInOrderAsOftenAsTold(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		sender := r.sender(t)
		twice := r.OnNext(servicebustest.Send, servicebustest.Fail("amqp:not-allowed", "first"), servicebustest.Times(2))
		kept := r.OnNext(servicebustest.Send, servicebustest.Fail("amqp:not-allowed", "second"), servicebustest.Keep())
		never := r.OnNext(servicebustest.Send, servicebustest.Fail("amqp:not-allowed", "third"),
			servicebustest.When(func(servicebustest.Call) bool { return false }))
		send := func() string {
			err := sender.SendMessage(context.Background(), &azservicebus.Message{}, nil)
			var refusal *amqp.Error
			if !errors.As(err, &refusal) {
				return "accepted"
			}
			return refusal.Description
		}
		for i, want := range []string{"first", "first", "second", "second"} {
			if got := send(); got != want {
				t.Errorf("send %d met %q, want %q", i, got, want)
			}
		}
		kept.Remove()
		if got := send(); got != "accepted" {
			t.Errorf("a removed fault struck: %q", got)
		}
		if twice.Fired() != 2 || kept.Fired() != 2 || never.Fired() != 0 {
			t.Errorf("fired %d, %d and %d times", twice.Fired(), kept.Fired(), never.Fired())
		}
	})
}
