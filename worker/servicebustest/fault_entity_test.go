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

// receiveWithin is one call of the SDK, for its error.
func receiveWithin(d time.Duration, receiver *azservicebus.Receiver) error {
	return within(d, func(ctx context.Context) error {
		_, err := receiver.ReceiveMessages(ctx, 1, nil)
		return err
	})
}

func TestF11DisabledEntityRefusesAndComesBack(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 2)
		receiver := r.receiver(t)
		held := receiveOne(t, receiver)
		set := func(status servicebustest.Status) {
			t.Helper()
			if err := r.SetStatus(queueName, status); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		set(servicebustest.StatusReceiveDisabled)
		for range 3 {
			if err := receiveWithin(patience, receiver); err == nil || !strings.Contains(err.Error(), "com.microsoft:entity-disabled") {
				t.Errorf("receive returned %v", err)
			}
			time.Sleep(5 * time.Minute)
		}
		set(servicebustest.StatusActive)
		for _, m := range receive(t, receiver, 2) { // the lock of the one that was held ran out meanwhile
			if want := map[string]uint32{"m1": 2, "m2": 1}[m.MessageID]; m.DeliveryCount != want {
				t.Errorf("%s has delivery count %d, want %d", m.MessageID, m.DeliveryCount, want)
			}
			complete(t, receiver, m)
		}
		wantCode(t, receiver.CompleteMessage(context.Background(), &azservicebus.ReceivedMessage{LockToken: held.LockToken}, nil), azservicebus.CodeLockLost)
	})
}

func TestF11SendDisabledEntityIsStillReceivedFrom(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		if err := r.SetStatus("ORDERS", servicebustest.StatusSendDisabled); err != nil {
			t.Fatal(err)
		}
		err := r.sender(t).SendMessage(context.Background(), &azservicebus.Message{}, nil)
		if err == nil || !strings.Contains(err.Error(), "com.microsoft:entity-disabled") {
			t.Errorf("send returned %v", err)
		}
		receiver := r.receiver(t)
		complete(t, receiver, receiveOne(t, receiver))
	})
}

func TestF11DeletedEntityIsNotFound(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		complete(t, receiver, receiveOne(t, receiver))
		if err := r.Delete(queueName); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		// The detach is passed on as it came; the code is that of the put-token before the next attach.
		var told *amqp.Error
		if err := receiveWithin(patience, receiver); !errors.As(err, &told) || told.Condition != amqp.ErrCondNotFound {
			t.Errorf("receive returned %v", err)
		}
		wantCode(t, receiveWithin(patience, receiver), azservicebus.CodeNotFound)
		if err := r.Delete(queueName); err == nil {
			t.Error("deleted twice")
		}
		if err := r.SetStatus(queueName, servicebustest.StatusActive); err == nil {
			t.Error("changed after it was deleted")
		}
	})
}

func TestF19ExpiredTokenDetachesAndANewOneIsTaken(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 2)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		if err := receiver.RenewMessageLock(context.Background(), m, nil); err != nil {
			t.Fatal(err)
		}
		r.ExpireTokens()
		synctest.Wait()
		wantCode(t, receiveWithin(patience, receiver), azservicebus.CodeUnauthorizedAccess)
		complete(t, receiver, receiveOne(t, receiver))
		complete(t, receiver, &azservicebus.ReceivedMessage{LockToken: m.LockToken})
	}, servicebustest.WithClaims())
}

func TestF19TokenThatIsRefusedAtItsRenewal(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		complete(t, receiver, receiveOne(t, receiver))
		refusal := r.OnNext(servicebustest.CBS, servicebustest.Fail("amqp:unauthorized-access", "ExpiredToken: The token is expired."), servicebustest.Keep())
		r.ExpireTokens()
		synctest.Wait()
		for range 3 {
			wantCode(t, receiveWithin(patience, receiver), azservicebus.CodeUnauthorizedAccess)
		}
		if refusal.Fired() == 0 {
			t.Error("no token was put")
		}
		refusal.Remove()
		r.fill(t, 1)
		complete(t, receiver, receiveOne(t, receiver))
	}, servicebustest.WithClaims())
}
