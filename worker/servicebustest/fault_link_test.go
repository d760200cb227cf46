package servicebustest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/worker/servicebustest"
)

// The tests named F1 to F20 show what the real SDK sees of each fault in the list of doc.go.

func TestF1MuteLinkTakesCreditAndSendsNothing(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		mute := r.receiver(t)
		r.fill(t, 1)
		held := receiveOne(t, mute)
		r.MuteLinks(queueName, true)
		synctest.Wait() // the connection has heard of it
		r.fill(t, 1)
		receiveNothing(t, mute)
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 2, Active: 1, Locked: 1})

		complete(t, mute, held) // settlements go through: nothing tells the client that its link is dead
		fresh := r.receiver(t)
		complete(t, fresh, receiveOne(t, fresh))
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 2, Completed: 2})
	})
}

func TestF1MuteLinkKeepsWhatItLocked(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{LockDuration: 20 * time.Second}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		fault := r.OnNext(servicebustest.Deliver, servicebustest.MuteLink())
		mute := r.receiver(t)
		receiveNothing(t, mute)
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Locked: 1})
		if fault.Fired() != 1 {
			t.Errorf("fired %d times", fault.Fired())
		}
		fresh := r.receiver(t)
		m := receiveOne(t, fresh) // once the lock has run out
		if m.DeliveryCount != 2 {
			t.Errorf("delivery count %d, want 2", m.DeliveryCount)
		}
		complete(t, fresh, m)
	})
}

func TestF1MuteLinkStartsAfreshWhenItIsUnmuted(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		r.OnNext(servicebustest.Deliver, servicebustest.MuteLink())
		receiver := r.receiver(t)
		receiveNothing(t, receiver)
		r.MuteLinks(queueName, false)
		m := receiveOne(t, receiver)
		if m.DeliveryCount != 1 {
			t.Errorf("delivery count %d, want 1: the client never had it", m.DeliveryCount)
		}
		complete(t, receiver, m)
	})
}

func TestF2ForcedDetachIsRecoveredFromAndLocksOutliveIt(t *testing.T) {
	for _, condition := range []string{"amqp:link:detach-forced", "amqp:internal-error", "com.microsoft:no-such-thing"} {
		t.Run(condition, func(t *testing.T) {
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
				r.fill(t, 2)
				receiver := r.receiver(t)
				held := receiveOne(t, receiver)
				r.DetachLinks(queueName, condition, "by the test")
				synctest.Wait()
				complete(t, receiver, receiveOne(t, receiver))
				complete(t, receiver, &azservicebus.ReceivedMessage{LockToken: held.LockToken})
				wantCounts(t, r.queue, servicebustest.Counts{Accepted: 2, Completed: 2})
			})
		})
	}
}

func TestF3IdleLinksAreDetachedAndComeBack(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		receiver, sender := r.receiver(t), r.sender(t)
		send := func() {
			t.Helper()
			if err := sender.SendMessage(context.Background(), &azservicebus.Message{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		send()
		complete(t, receiver, receiveOne(t, receiver))
		time.Sleep(time.Hour)
		send()
		complete(t, receiver, receiveOne(t, receiver))
	})
}

func TestF3IdleDetachEndsAWaitingReceiveWithoutAWord(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		receiver := r.receiver(t)
		start := time.Now()
		for range 3 {
			if messages, err := receiver.ReceiveMessages(context.Background(), 1, nil); len(messages) != 0 || err != nil {
				t.Fatalf("received %d messages, %v", len(messages), err)
			}
		}
		if waited := time.Since(start); waited < 30*time.Minute || waited > 31*time.Minute { // the SDK pauses in between
			t.Errorf("three receives waited %v, want half an hour", waited)
		}
		r.fill(t, 1)
		complete(t, receiver, receiveOne(t, receiver))
	})
}

func TestF3ConnectionWithoutLinksIsClosedAndComesBack(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		first := r.receiver(t)
		receiveOne(t, first)
		closeLink(t, first.Close)
		time.Sleep(5*time.Minute - time.Second)
		if r.Connections() != 1 {
			t.Fatalf("%d connections before the five minutes are over", r.Connections())
		}
		time.Sleep(time.Second + time.Second) // the client has a second to answer
		if r.Connections() != 0 {
			t.Fatalf("%d connections after five minutes without a link", r.Connections())
		}
		second := r.receiver(t)
		complete(t, second, receiveOne(t, second))
	})
}

func TestWithoutIdleLimitsLinksStay(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		receiver := r.receiver(t)
		start := time.Now()
		err := within(time.Hour, func(ctx context.Context) error {
			_, err := receiver.ReceiveMessages(ctx, 1, nil)
			return err
		})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Hour {
			t.Errorf("receive returned %v after %v", err, time.Since(start))
		}
	}, servicebustest.WithIdleLimits(servicebustest.IdleLimits{}))
}

func TestF9DeliveryDuringCloseIsLeftLocked(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		complete(t, receiver, receive(t, receiver, 1)...)
		receiveNothing(t, receiver) // credit stands now
		r.OnNext(servicebustest.Detach, servicebustest.Delay(5*time.Second), servicebustest.OnEntity(queueName))
		closed := make(chan error)
		go func() { closed <- receiver.Close(context.Background()) }()
		synctest.Wait()
		r.fill(t, 1)
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 2, Completed: 1, Locked: 1})
		time.Sleep(time.Minute)
		fresh := r.receiver(t)
		if m := receiveOne(t, fresh); m.DeliveryCount != 2 {
			t.Errorf("delivery count %d, want 2: nobody had it, and it burned one", m.DeliveryCount)
		}
	})
}

func TestF20DeadManagementLinkBesideALiveReceiver(t *testing.T) {
	for name, strike := range map[string]func(r rig){
		"replies lost": func(r rig) {
			r.OnNext(servicebustest.Reply, servicebustest.Swallow(), servicebustest.Keep(), servicebustest.OnEntity(queueName))
		},
		"requests lost": func(r rig) { r.OnNext(servicebustest.Management, servicebustest.Swallow(), servicebustest.Keep()) },
		"reply link mute": func(r rig) {
			r.OnNext(servicebustest.AttachNode, servicebustest.MuteLink(), servicebustest.Times(2), servicebustest.OnEntity(queueName))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
				strike(r)
				r.fill(t, 2)
				receiver := r.receiver(t)
				m := receiveOne(t, receiver)
				err := within(5*time.Second, func(ctx context.Context) error { return receiver.RenewMessageLock(ctx, m, nil) })
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("renew returned %v", err)
				}
				complete(t, receiver, m, receiveOne(t, receiver))
			})
		})
	}
}

func TestF20DetachedManagementLinkIsRecoveredFrom(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		for range 2 {
			if err := within(patience, func(ctx context.Context) error { return receiver.RenewMessageLock(ctx, m, nil) }); err != nil {
				t.Fatal(err)
			}
			r.DetachLinks(queueName+"/$management", "amqp:link:detach-forced", "by the test")
			synctest.Wait()
		}
		complete(t, receiver, m)
	})
}
