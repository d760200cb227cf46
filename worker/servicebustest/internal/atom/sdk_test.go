package atom_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/atom"
)

const longest = "P10675199DT2H48M5.4775807S"

func TestEveryPropertyOfAQueueComesBack(t *testing.T) {
	t.Parallel()
	client, _ := newPair(t)
	want := admin.QueueProperties{
		LockDuration: to.Ptr("PT45S"), MaxSizeInMegabytes: to.Ptr(int32(4096)), RequiresDuplicateDetection: to.Ptr(true),
		RequiresSession: to.Ptr(true), DefaultMessageTimeToLive: to.Ptr("PT6H"),
		DeadLetteringOnMessageExpiration: to.Ptr(true), DuplicateDetectionHistoryTimeWindow: to.Ptr("PT4H"),
		MaxDeliveryCount: to.Ptr(int32(100)), EnableBatchedOperations: to.Ptr(false),
		Status: to.Ptr(admin.EntityStatusReceiveDisabled), AutoDeleteOnIdle: to.Ptr("P1DT10M"),
		EnablePartitioning: to.Ptr(true), ForwardTo: to.Ptr("sb://space.servicebus.windows.net/a"),
		ForwardDeadLetteredMessagesTo: to.Ptr("https://space.servicebus.windows.net/b"),
		UserMetadata:                  to.Ptr(`some "meta" <data> & 'more'`), MaxMessageSizeInKilobytes: to.Ptr(int64(256)),
		AuthorizationRules: []admin.AuthorizationRule{{
			AccessRights: []admin.AccessRight{admin.AccessRightSend, admin.AccessRightListen},
			KeyName:      to.Ptr("key"), PrimaryKey: to.Ptr("primary"), SecondaryKey: to.Ptr("secondary"),
		}, {
			AccessRights: []admin.AccessRight{admin.AccessRightManage}, KeyName: to.Ptr("dated"),
			PrimaryKey: to.Ptr("p"), SecondaryKey: to.Ptr("s"), CreatedTime: &birth, ModifiedTime: &birth,
		}},
	}
	created, err := client.CreateQueue(t.Context(), "a/Queue", &admin.CreateQueueOptions{Properties: &want})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, created.QueueProperties); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	got, err := client.GetQueue(t.Context(), "a/Queue", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.QueueProperties); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	want = admin.QueueProperties{MaxDeliveryCount: to.Ptr(int32(7))}
	updated, err := client.UpdateQueue(t.Context(), "a/Queue", want, nil)
	if err != nil {
		t.Fatal(err)
	}
	// What an update leaves out has its default again.
	want = admin.QueueProperties{
		LockDuration: to.Ptr("PT1M"), MaxSizeInMegabytes: to.Ptr(int32(1024)), RequiresDuplicateDetection: to.Ptr(false),
		RequiresSession: to.Ptr(false), DefaultMessageTimeToLive: to.Ptr(longest),
		DeadLetteringOnMessageExpiration: to.Ptr(false), DuplicateDetectionHistoryTimeWindow: to.Ptr("PT10M"),
		MaxDeliveryCount: to.Ptr(int32(7)), EnableBatchedOperations: to.Ptr(true),
		Status: to.Ptr(admin.EntityStatusActive), AutoDeleteOnIdle: to.Ptr(longest),
		EnablePartitioning: to.Ptr(false), MaxMessageSizeInKilobytes: to.Ptr(int64(0)),
	}
	if diff := cmp.Diff(want, updated.QueueProperties); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}
}

func TestRuntimePropertiesAreTold(t *testing.T) {
	t.Parallel()
	client, f := newPair(t)
	r := atom.Runtime{
		AccessedAt: birth.Add(time.Second), SizeInBytes: 1 << 40, Active: 2, DeadLettered: 3, Scheduled: 4, Transfer: 5,
		TransferDeadLetters: 6, Subscriptions: 7, SQLFilters: 8, CorrelationFilters: 9,
	}
	f.queues.runtime, f.topics.runtime = r, r
	if _, err := client.CreateQueue(t.Context(), "q", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateTopic(t.Context(), "t", nil); err != nil {
		t.Fatal(err)
	}
	queue, err := client.GetQueueRuntimeProperties(t.Context(), "q", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(admin.QueueRuntimeProperties{
		SizeInBytes: 1 << 40, CreatedAt: birth, UpdatedAt: birth, AccessedAt: birth.Add(time.Second),
		TotalMessageCount: 20, ActiveMessageCount: 2, DeadLetterMessageCount: 3, ScheduledMessageCount: 4,
		TransferMessageCount: 5, TransferDeadLetterMessageCount: 6,
	}, queue.QueueRuntimeProperties); diff != "" {
		t.Errorf("queue (-want +got):\n%s", diff)
	}
	topic, err := client.GetTopicRuntimeProperties(t.Context(), "t", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(admin.TopicRuntimeProperties{
		SizeInBytes: 1 << 40, CreatedAt: birth, UpdatedAt: birth, AccessedAt: birth.Add(time.Second),
		SubscriptionCount: 7, ScheduledMessageCount: 4, SQLFilterCount: 8, CorrelationFilterCount: 9,
	}, topic.TopicRuntimeProperties); diff != "" {
		t.Errorf("topic (-want +got):\n%s", diff)
	}
}

func TestAccessTimeOfWhatWasNeverUsed(t *testing.T) {
	t.Parallel()
	client, _ := newPair(t)
	if _, err := client.CreateTopic(t.Context(), "t", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateSubscription(t.Context(), "t", "s", nil); err != nil {
		t.Fatal(err)
	}
	topic, err := client.GetTopicRuntimeProperties(t.Context(), "t", nil)
	if err != nil || !topic.AccessedAt.IsZero() {
		t.Errorf("topic accessed at %v, error %v; want never", topic.AccessedAt, err)
	}
	subscription, err := client.GetSubscriptionRuntimeProperties(t.Context(), "t", "s", nil)
	if err != nil || !subscription.AccessedAt.Equal(birth) {
		t.Errorf("subscription accessed at %v, error %v; want its creation", subscription.AccessedAt, err)
	}
}

func TestPagesCoverAllAndNoneTwice(t *testing.T) {
	t.Parallel()
	client, _ := newPair(t)
	const count = 205
	for i := range count {
		if _, err := client.CreateTopic(t.Context(), fmt.Sprintf("t%03d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int32{0, 1, 2, 41, 100} {
		var names []string
		pager := client.NewListTopicsPager(&admin.ListTopicsOptions{MaxPageSize: size})
		for pager.More() {
			page, err := pager.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if most := max(int(size), 100*(1-min(1, int(size)))); len(page.Topics) > most {
				t.Errorf("page of %d, want at most %d", len(page.Topics), most)
			}
			for _, topic := range page.Topics {
				names = append(names, topic.TopicName)
			}
		}
		for i, name := range names {
			if name != fmt.Sprintf("t%03d", i) {
				t.Fatalf("page size %d: entity %d is %s", size, i, name)
			}
		}
		if len(names) != count {
			t.Errorf("page size %d: %d entities, want %d", size, len(names), count)
		}
	}
}

func TestWhatIsNotThereIsNil(t *testing.T) {
	t.Parallel()
	client, _ := newPair(t)
	if _, err := client.CreateTopic(t.Context(), "t", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := client.GetQueue(t.Context(), "none", nil); got != nil || err != nil {
		t.Errorf("queue %v, %v", got, err)
	}
	if got, err := client.GetTopicRuntimeProperties(t.Context(), "none", nil); got != nil || err != nil {
		t.Errorf("topic %v, %v", got, err)
	}
	for _, topic := range []string{"t", "none"} {
		if got, err := client.GetSubscription(t.Context(), topic, "none", nil); got != nil || err != nil {
			t.Errorf("subscription of %s: %v, %v", topic, got, err)
		}
		if got, err := client.GetRule(t.Context(), topic, "none", "r", nil); got != nil || err != nil {
			t.Errorf("rule of %s: %v, %v", topic, got, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	client, f := newPair(t)
	ctx := t.Context()
	if _, err := client.CreateQueue(ctx, "q", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateTopic(ctx, "t", nil); err != nil {
		t.Fatal(err)
	}
	_, err := client.CreateQueue(ctx, "Q", nil)
	wantStatus(t, err, http.StatusConflict, "SubCode=40900")
	_, err = client.UpdateQueue(ctx, "none", admin.QueueProperties{}, nil)
	wantStatus(t, err, http.StatusNotFound, "404 Not Found")
	_, err = client.DeleteQueue(ctx, "none", nil)
	wantStatus(t, err, http.StatusNotFound)
	_, err = client.CreateSubscription(ctx, "none", "s", nil)
	wantStatus(t, err, http.StatusNotFound)
	_, err = client.DeleteSubscription(ctx, "t", "none", nil)
	wantStatus(t, err, http.StatusNotFound)
	_, err = client.NewListSubscriptionsPager("none", nil).NextPage(ctx)
	wantStatus(t, err, http.StatusNotFound)
	_, err = client.CreateQueue(ctx, "bad", &admin.CreateQueueOptions{
		Properties: &admin.QueueProperties{LockDuration: to.Ptr("1m")},
	})
	wantStatus(t, err, http.StatusBadRequest, "LockDuration: not an ISO 8601 duration")
	f.queues.refusal = &atom.ImmutableError{Property: "RequiresSession"}
	_, err = client.UpdateQueue(ctx, "q", admin.QueueProperties{RequiresSession: to.Ptr(true)}, nil)
	wantStatus(t, err, http.StatusBadRequest, "The value for the RequiresSession property of an existing Queue cannot be changed")
	f.topics.refusal = &atom.ImmutableError{Property: "EnablePartitioning"}
	_, err = client.UpdateTopic(ctx, "t", admin.TopicProperties{}, nil)
	wantStatus(t, err, http.StatusBadRequest, "Partitioning cannot be changed for Topic. ")
}

func TestDeletedEntitiesAreGone(t *testing.T) {
	t.Parallel()
	client, _ := newPair(t)
	ctx := t.Context()
	if _, err := client.CreateTopic(ctx, "t", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateSubscription(ctx, "t", "s", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteRule(ctx, "t", "s", "$Default", nil); err != nil {
		t.Error(err)
	}
	if rule, err := client.GetRule(ctx, "t", "s", "$Default", nil); rule != nil || err != nil {
		t.Errorf("rule %v, %v", rule, err)
	}
	if _, err := client.DeleteSubscription(ctx, "t", "s", nil); err != nil {
		t.Error(err)
	}
	if _, err := client.DeleteTopic(ctx, "t", nil); err != nil {
		t.Error(err)
	}
	if topic, err := client.GetTopic(ctx, "t", nil); topic != nil || err != nil {
		t.Errorf("topic %v, %v", topic, err)
	}
}

func TestNamespaceProperties(t *testing.T) {
	t.Parallel()
	client, f := newPair(t)
	got, err := client.GetNamespaceProperties(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := admin.NamespaceProperties{CreatedTime: birth, ModifiedTime: birth, SKU: "Standard", Name: "space"}
	if diff := cmp.Diff(want, got.NamespaceProperties); diff != "" {
		t.Errorf("standard (-want +got):\n%s", diff)
	}
	f.info.SKU, f.info.Units = "Premium", 2
	want.SKU, want.MessagingUnits = "Premium", to.Ptr(int64(2))
	if got, err = client.GetNamespaceProperties(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.NamespaceProperties); diff != "" {
		t.Errorf("premium (-want +got):\n%s", diff)
	}
}
