package servicebustest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest"
)

func TestDeferredMessageIsReceivedInItsSession(t *testing.T) {
	inBubble(t, withSessions, func(t *testing.T, r rig) {
		ctx := context.Background()
		r.sendTo(t, "s")
		receiver := r.accept(t, "s")
		got, err := receiver.ReceiveMessages(ctx, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := receiver.DeferMessage(ctx, got[0], nil); err != nil {
			t.Fatal(err)
		}
		again, err := receiver.ReceiveDeferredMessages(ctx, []int64{1}, nil)
		if err != nil || len(again) != 1 || *again[0].SessionID != "s" {
			t.Fatalf("received %v, %v", again, err)
		}
		if err := receiver.CompleteMessage(ctx, again[0], nil); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Completed: 1})
	})
}

func TestSessionsAreListed(t *testing.T) {
	inBubble(t, withSessions, func(t *testing.T, r rig) {
		ctx := context.Background()
		var want []string
		for i := range 120 { // more than a page of the SDK
			id := fmt.Sprintf("session-%03d", i)
			want = append(want, id)
			if _, err := r.queue.Send(servicebustest.Message{SessionID: &id}); err != nil {
				t.Fatal(err)
			}
		}
		receiver := r.accept(t, "state only")
		if err := receiver.SetSessionState(ctx, []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		all := listSessions(t, r.client.NewListSessionsForQueuePager(queueName, nil))
		if diff := cmp.Diff(append(want, "state only"), all); diff != "" {
			t.Errorf("sessions differ (-want +got):\n%s", diff)
		}
		before, after := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		for cut, want := range map[*time.Time][]string{&before: {"state only"}, &after: nil} {
			got := listSessions(t, r.client.NewListSessionsForQueuePager(queueName, &azservicebus.ListSessionsOptions{SessionStateUpdatedAfter: cut}))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("sessions updated after %v differ (-want +got):\n%s", cut, diff)
			}
		}
	})
}

func listSessions(t *testing.T, pager *runtime.Pager[azservicebus.ListSessionsResponse]) []string {
	t.Helper()
	var all []string
	for pager.More() {
		page, err := pager.NextPage(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Sessions...)
	}
	return all
}

func TestBlankSessionIsASession(t *testing.T) {
	inBubble(t, withSessions, func(t *testing.T, r rig) {
		sender := r.sender(t)
		err := sender.SendMessage(context.Background(), &azservicebus.Message{Body: []byte("lost")}, nil)
		wantRefusal(t, err, amqp.ErrCondNotAllowed)
		r.sendTo(t, "")
		blank := ""
		if _, err := sender.ScheduleMessages(context.Background(), []*azservicebus.Message{{SessionID: &blank}}, time.Now(), nil); err != nil {
			t.Fatal(err)
		}
		receiver := r.accept(t, "")
		got, err := receiver.ReceiveMessages(context.Background(), 2, nil)
		if err != nil || len(got) != 2 || *got[0].SessionID != "" || *r.queue.Messages()[1].SessionID != "" {
			t.Fatalf("received %d messages, %v", len(got), err)
		}
	})
}

func TestSessionIsReceivedAndDeleted(t *testing.T) {
	inBubble(t, withSessions, func(t *testing.T, r rig) {
		r.sendTo(t, "s", "s")
		receiver, err := r.client.AcceptSessionForQueue(context.Background(), queueName, "s",
			&azservicebus.SessionReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := receiver.ReceiveMessages(context.Background(), 1, nil); err != nil || len(got) != 1 {
			t.Fatalf("received %d messages, %v", len(got), err)
		}
		closeLink(t, receiver.Close)
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 2, Active: 1, Completed: 1})
	})
}

func TestSubscriptionHasSessions(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		waiting, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		_, err := r.client.AcceptNextSessionForSubscription(waiting, "topic", "sub", nil)
		wantCode(t, err, azservicebus.CodeTimeout)
		sender, err := r.client.NewSender("topic", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeLink(t, sender.Close) })
		id := "session1"
		for _, m := range []*azservicebus.Message{{SessionID: &id}, {}} { // the topic takes both
			if err := sender.SendMessage(ctx, m, nil); err != nil {
				t.Fatal(err)
			}
		}
		receiver, err := r.client.AcceptNextSessionForSubscription(ctx, "topic", "sub", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeLink(t, receiver.Close) })
		got, err := receiver.ReceiveMessages(ctx, 2, nil)
		if err != nil || len(got) != 1 || *got[0].SessionID != id {
			t.Fatalf("received %d messages, %v", len(got), err)
		}
		dead := r.Subscription("topic", "sub").DeadLettered()
		if len(dead) != 1 || dead[0].SessionID != nil {
			t.Errorf("dead-lettered %+v, want the message without a session", dead)
		}
	}, servicebustest.WithTopic("topic", servicebustest.TopicConfig{}),
		servicebustest.WithSubscription("topic", "sub", servicebustest.SubscriptionConfig{RequiresSession: true}))
}
