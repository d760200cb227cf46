package servicebustest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest"
)

// topology is a topic with two subscriptions, one of which forwards to a queue.
func topology(t *testing.T, test func(t *testing.T, r rig)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servicebustest.New(t,
			servicebustest.WithQueue("target", servicebustest.QueueConfig{MaxDeliveryCount: 1}),
			servicebustest.WithTopic("events", servicebustest.TopicConfig{RequiresDuplicateDetection: true}),
			servicebustest.WithSubscription("events", "all", servicebustest.SubscriptionConfig{}),
			servicebustest.WithSubscription("events", "on", servicebustest.SubscriptionConfig{ForwardTo: "target"}),
		)
		test(t, rig{Server: s, client: newClient(t, s)})
	})
}

func (r rig) senderTo(t testing.TB, entity string) *azservicebus.Sender {
	t.Helper()
	sender, err := r.client.NewSender(entity, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLink(t, sender.Close) })
	return sender
}

func (r rig) subscriber(t testing.TB, topic, name string, options *azservicebus.ReceiverOptions) *azservicebus.Receiver {
	t.Helper()
	receiver, err := r.client.NewReceiverForSubscription(topic, name, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLink(t, receiver.Close) })
	return receiver
}

func sendIDs(t testing.TB, sender *azservicebus.Sender, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := sender.SendMessage(t.Context(), &azservicebus.Message{MessageID: &id, Body: []byte(id)}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClientSendsToATopicAndReceivesFromItsSubscriptions(t *testing.T) {
	topology(t, func(t *testing.T, r rig) {
		sendIDs(t, r.senderTo(t, "events"), "1", "2", "1")
		all := r.subscriber(t, "events", "all", nil)
		got := receive(t, all, 2)
		if *got[1].EnqueuedSequenceNumber != 2 || *got[1].SequenceNumber != 2 || string(got[1].Body) != "2" {
			t.Errorf("received %+v", got[1])
		}
		if err := all.CompleteMessage(t.Context(), got[0], nil); err != nil {
			t.Fatal(err)
		}
		if err := all.DeadLetterMessage(t.Context(), got[1], nil); err != nil {
			t.Fatal(err)
		}
		dead := r.subscriber(t, "events", "all", &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
		if got := receive(t, dead, 1); got[0].MessageID != "2" {
			t.Errorf("dead-lettered %+v", got[0])
		}
		wantCounts(t, r.Topic("events"), servicebustest.Counts{Accepted: 2, Forwarded: 2})
		wantCounts(t, r.Subscription("events", "all"), servicebustest.Counts{Accepted: 2, Completed: 1, DeadLettered: 1})
		wantCounts(t, r.Subscription("events", "on"), servicebustest.Counts{Accepted: 2, Forwarded: 2})
		wantCounts(t, r.Queue("target"), servicebustest.Counts{Accepted: 2, Active: 2})

		want := []servicebustest.EventKind{servicebustest.EventEnqueued, servicebustest.EventPublished, servicebustest.EventDuplicate}
		var kinds []servicebustest.EventKind
		for _, e := range r.Topic("events").History("1") {
			kinds = append(kinds, e.Kind)
		}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("history in the topic differs (-want +got):\n%s", diff)
		}
	})
}

func TestClientSchedulesInATopic(t *testing.T) {
	topology(t, func(t *testing.T, r rig) {
		sender := r.senderTo(t, "events")
		due := time.Now().Add(time.Minute)
		id := func(i int) *azservicebus.Message { return &azservicebus.Message{MessageID: to.Ptr(fmt.Sprint(i))} }
		numbers, err := sender.ScheduleMessages(t.Context(), []*azservicebus.Message{id(1), id(2)}, due, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := sender.CancelScheduledMessages(t.Context(), numbers[:1], nil); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, r.Topic("events"), servicebustest.Counts{Accepted: 2, Scheduled: 1, Cancelled: 1})
		time.Sleep(time.Until(due))
		if got := receive(t, r.subscriber(t, "events", "all", nil), 1); got[0].MessageID != "2" {
			t.Errorf("received %+v", got[0])
		}
	})
}

func TestWrongEndsOfTheTopologyAreRefused(t *testing.T) {
	topology(t, func(t *testing.T, r rig) {
		session := rawSession(t, r.Server)
		for address, want := range map[string]amqp.ErrCond{
			"events":                    amqp.ErrCondNotAllowed,
			"events/Subscriptions/on":   amqp.ErrCondNotAllowed,
			"events/Subscriptions/none": amqp.ErrCondNotFound,
		} {
			_, err := session.NewReceiver(t.Context(), address, nil)
			wantRefusal(t, err, want)
		}
		_, err := session.NewSender(t.Context(), "events/subscriptions/all", nil)
		wantRefusal(t, err, amqp.ErrCondNotAllowed)
	})
}

func TestClientReceivesWhatCouldNotBeForwarded(t *testing.T) {
	topology(t, func(t *testing.T, r rig) {
		if _, err := newAdminClient(t, r.Server).DeleteQueue(t.Context(), "target", nil); err != nil {
			t.Fatal(err)
		}
		sendIDs(t, r.senderTo(t, "events"), "1")
		kept := r.subscriber(t, "events", "on", &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueTransfer})
		got := receive(t, kept, 1)
		if got[0].MessageID != "1" || *got[0].DeadLetterReason != "TransferFailed" {
			t.Errorf("received %+v", got[0])
		}
	})
}

func TestClientSurvivesAnUpdateOfItsEntity(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		administration := newAdminClient(t, r.Server)
		sender, receiver := r.sender(t), r.receiver(t)
		var got []string
		for i := range 3 {
			sendIDs(t, sender, fmt.Sprint(i)) // after an update over a new link
			if _, err := administration.UpdateQueue(t.Context(), queueName, admin.QueueProperties{}, nil); err != nil {
				t.Fatal(err)
			}
			for _, m := range receive(t, receiver, 1) {
				got = append(got, m.MessageID)
			}
		}
		if !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Fatalf("received %q", got)
		}
		sendIDs(t, sender, "3") // a link that is detached when it is closed would say so
	})
}

func TestStatusDetachesTheLinksItConcerns(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		session := rawSession(t, r.Server)
		for _, test := range []struct {
			status         admin.EntityStatus
			sends, receipt amqp.ErrCond
		}{
			{admin.EntityStatusActive, "amqp:link:detach-forced", "amqp:link:detach-forced"},
			{admin.EntityStatusSendDisabled, "com.microsoft:entity-disabled", "amqp:link:detach-forced"},
			{admin.EntityStatusReceiveDisabled, "amqp:link:detach-forced", "com.microsoft:entity-disabled"},
			{admin.EntityStatusDisabled, "com.microsoft:entity-disabled", "com.microsoft:entity-disabled"},
		} {
			administration := newAdminClient(t, r.Server)
			update := func(status admin.EntityStatus) {
				if _, err := administration.UpdateQueue(t.Context(), queueName, admin.QueueProperties{Status: &status}, nil); err != nil {
					t.Fatal(err)
				}
			}
			update(admin.EntityStatusActive)
			sender, err := session.NewSender(t.Context(), queueName, nil)
			if err != nil {
				t.Fatal(err)
			}
			receiver, err := session.NewReceiver(t.Context(), queueName, nil)
			if err != nil {
				t.Fatal(err)
			}
			update(test.status)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, err = receiver.Receive(ctx, nil)
			wantDetach(t, err, test.receipt)
			wantDetach(t, sender.Send(ctx, amqp.NewMessage(nil), nil), test.sends)
			cancel()
			if test.sends == "com.microsoft:entity-disabled" {
				_, err := session.NewSender(t.Context(), queueName, nil)
				wantRefusal(t, err, test.sends)
			}
			if test.receipt == "com.microsoft:entity-disabled" {
				_, err := session.NewReceiver(t.Context(), queueName, nil)
				wantRefusal(t, err, test.receipt)
			}
		}
	})
}

func wantDetach(t *testing.T, err error, want amqp.ErrCond) {
	t.Helper()
	var detached *amqp.LinkError
	if !errors.As(err, &detached) || detached.RemoteErr == nil || detached.RemoteErr.Condition != want {
		t.Fatalf("the link ended with %v, want %s", err, want)
	}
}

func TestDeletedEntityIsNotFoundByItsClients(t *testing.T) {
	topology(t, func(t *testing.T, r rig) {
		session := rawSession(t, r.Server)
		receiver, err := session.NewReceiver(t.Context(), "events/subscriptions/all", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newAdminClient(t, r.Server).DeleteTopic(t.Context(), "events", nil); err != nil {
			t.Fatal(err)
		}
		_, err = receiver.Receive(t.Context(), nil)
		wantDetach(t, err, amqp.ErrCondNotFound)
		sender, err := r.client.NewSender("events", nil)
		if err != nil {
			t.Fatal(err)
		}
		err = sender.SendMessage(t.Context(), &azservicebus.Message{}, nil)
		var coded *azservicebus.Error
		if !errors.As(err, &coded) || coded.Code != azservicebus.CodeNotFound {
			t.Errorf("send to a deleted topic: %v", err)
		}
	})
}

func TestStartRefusesATopologyThatDoesNotHold(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]servicebustest.Option{
		"subscription without its topic": servicebustest.WithSubscription("events", "all", servicebustest.SubscriptionConfig{}),
		"forwarding to nowhere":          servicebustest.WithQueue("q", servicebustest.QueueConfig{ForwardTo: "target"}),
	} {
		if _, err := servicebustest.Start(opt); err == nil {
			t.Errorf("%s: started", name)
		}
	}
}
