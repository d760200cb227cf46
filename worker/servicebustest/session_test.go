package servicebustest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"batchterminator/worker/servicebustest"
)

var withSessions = servicebustest.QueueConfig{RequiresSession: true}

// sendTo sends a message into each of the sessions, with the real client.
func (r rig) sendTo(t testing.TB, sessions ...string) {
	t.Helper()
	sender := r.sender(t)
	for _, id := range sessions {
		m := &azservicebus.Message{Body: []byte("for " + id), SessionID: &id}
		if err := sender.SendMessage(context.Background(), m, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func (r rig) accept(t testing.TB, id string) *azservicebus.SessionReceiver {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	receiver, err := r.client.AcceptSessionForQueue(ctx, queueName, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLink(t, receiver.Close) })
	return receiver
}

func (r rig) acceptNext(wait time.Duration) (*azservicebus.SessionReceiver, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return r.client.AcceptNextSessionForQueue(ctx, queueName, nil)
}

func TestSessionIsReceivedInOrderUnderItsLock(t *testing.T) {
	inBubble(t, withSessions, func(t *testing.T, r rig) {
		r.sendTo(t, "a", "b", "a")
		receiver := r.accept(t, "a")
		got, err := receiver.ReceiveMessages(context.Background(), 2, nil)
		if err != nil || len(got) != 2 {
			t.Fatalf("received %d messages, %v", len(got), err)
		}
		for i, sequence := range []int64{1, 3} {
			if *got[i].SequenceNumber != sequence || *got[i].SessionID != "a" || !got[i].LockedUntil.Equal(receiver.LockedUntil()) {
				t.Errorf("message %d is %d of %q, locked until %v, the session until %v", i, *got[i].SequenceNumber, *got[i].SessionID,
					got[i].LockedUntil, receiver.LockedUntil())
			}
			if err := receiver.CompleteMessage(context.Background(), got[i], nil); err != nil {
				t.Fatal(err)
			}
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 3, Active: 1, Completed: 2})
	})
}

func TestSessionStateOutlivesItsReceiver(t *testing.T) {
	inBubble(t, withSessions, func(t *testing.T, r rig) {
		ctx := context.Background()
		receiver := r.accept(t, "s")
		if state, err := receiver.GetSessionState(ctx, nil); state != nil || err != nil {
			t.Fatalf("new session has state %q, %v", state, err)
		}
		if err := receiver.SetSessionState(ctx, []byte("half way"), nil); err != nil {
			t.Fatal(err)
		}
		closeLink(t, receiver.Close)
		receiver = r.accept(t, "s")
		if state, err := receiver.GetSessionState(ctx, nil); string(state) != "half way" || err != nil {
			t.Fatalf("state is %q, %v", state, err)
		}
		if err := receiver.SetSessionState(ctx, nil, nil); err != nil {
			t.Fatal(err)
		}
		if state, err := receiver.GetSessionState(ctx, nil); state != nil || err != nil {
			t.Fatalf("cleared state is %q, %v", state, err)
		}
	})
}

func TestSessionLockedElsewhereCannotBeAccepted(t *testing.T) {
	inBubble(t, withSessions, func(t *testing.T, r rig) {
		r.accept(t, "session-1")
		_, err := r.client.AcceptSessionForQueue(context.Background(), queueName, "session-1", nil)
		wantRefusal(t, err, "com.microsoft:session-cannot-be-locked")
		var refusal *amqp.Error
		if errors.As(err, &refusal) && refusal.Description != "The requested session 'session-1' cannot be accepted. It may be locked by another receiver." {
			t.Errorf("the text is %q", refusal.Description)
		}
	})
}

func TestAcceptNextWaitsForASession(t *testing.T) {
	inBubble(t, withSessions, func(t *testing.T, r rig) {
		start := time.Now()
		_, err := r.acceptNext(10 * time.Second)
		wantCode(t, err, azservicebus.CodeTimeout)
		if waited := time.Since(start); waited < 9*time.Second || waited > 10*time.Second {
			t.Errorf("the server answered after %v", waited)
		}
		time.AfterFunc(5*time.Second, func() { r.sendTo(t, "late") })
		receiver, err := r.acceptNext(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if receiver.SessionID() != "late" {
			t.Errorf("accepted %q", receiver.SessionID())
		}
		closeLink(t, receiver.Close)
	})
}

func TestPlainReceiverOfSessionsIsRefused(t *testing.T) {
	inBubble(t, withSessions, func(t *testing.T, r rig) {
		_, err := r.receiver(t).ReceiveMessages(context.Background(), 1, nil)
		wantRefusal(t, err, amqp.ErrCondNotAllowed)
		var refusal *amqp.Error
		if want := "It is not possible for an entity that requires sessions to create a non-sessionful message receiver."; errors.As(err, &refusal) &&
			refusal.Description != want {
			t.Errorf("the text is %q", refusal.Description)
		}
		receiveNothing(t, r.deadLetterReceiver(t)) // which is no matter of sessions
	})
}

func TestSessionReceiverWithoutSessionsIsRefused(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		_, err := r.client.AcceptSessionForQueue(context.Background(), queueName, "s", nil)
		wantRefusal(t, err, amqp.ErrCondNotAllowed)
		_, err = r.acceptNext(patience)
		wantRefusal(t, err, amqp.ErrCondNotAllowed)
	})
}

func TestSessionLockExpiryDetachesItsReceiver(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{RequiresSession: true, LockDuration: 10 * time.Second}, func(t *testing.T, r rig) {
		ctx := context.Background()
		r.sendTo(t, "s")
		receiver := r.accept(t, "s")
		got, err := receiver.ReceiveMessages(ctx, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		if err := receiver.RenewSessionLock(ctx, nil); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(receiver.LockedUntil()); left < 9*time.Second || left > 10*time.Second {
			t.Errorf("renewed for %v", left)
		}
		time.Sleep(11 * time.Second)
		// The lock went with the link. The SDK settles over $management instead, accepts the session again, and has the
		// wrong token still.
		wantCode(t, receiver.CompleteMessage(ctx, got[0], nil), azservicebus.CodeLockLost)
		if !slices.Contains(kinds(r.queue.Ledger()[0].Events), servicebustest.EventLockExpired) {
			t.Errorf("history is %v", kinds(r.queue.Ledger()[0].Events))
		}
		if got, err = receiver.ReceiveMessages(ctx, 1, nil); err != nil || len(got) != 1 || got[0].DeliveryCount != 2 {
			t.Fatalf("received %d messages, %v; want the second delivery", len(got), err)
		}
	})
}

func TestClosedSessionIsTheNextReceiversAtOnce(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, r rig, receiver *azservicebus.SessionReceiver){
		"close": func(t *testing.T, _ rig, receiver *azservicebus.SessionReceiver) { closeLink(t, receiver.Close) },
		"connection lost": func(_ *testing.T, r rig, _ *azservicebus.SessionReceiver) {
			r.DropConnections()
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, withSessions, func(t *testing.T, r rig) {
				ctx, id := context.Background(), "s"
				if _, err := r.queue.Send(servicebustest.Message{SessionID: &id}, servicebustest.Message{SessionID: &id}); err != nil {
					t.Fatal(err)
				}
				receiver, err := r.client.AcceptSessionForQueue(ctx, queueName, id, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := receiver.ReceiveMessages(ctx, 2, nil); err != nil {
					t.Fatal(err)
				}
				end(t, r, receiver)
				other, err := newClient(t, r.Server).AcceptNextSessionForQueue(ctx, queueName, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := other.ReceiveMessages(ctx, 2, nil)
				if err != nil || len(got) == 0 || *got[0].SequenceNumber != 1 || got[0].DeliveryCount != 1 {
					t.Fatalf("received %d messages, %v", len(got), err)
				}
			})
		})
	}
}

func TestAbandonedWaitTakesNoSession(t *testing.T) {
	inBubble(t, withSessions, func(t *testing.T, r rig) {
		// The client gives up before the server does, and says so by the end of the AMQP session alone.
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		if _, err := r.client.AcceptNextSessionForQueue(ctx, queueName, nil); !errors.Is(err, context.Canceled) {
			t.Fatalf("accept next returned %v", err)
		}
		r.sendTo(t, "s")
		receiver, err := r.acceptNext(time.Second)
		if err != nil {
			t.Fatal(err)
		}
		closeLink(t, receiver.Close)
	})
}
