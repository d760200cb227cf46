package admin_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/admin"
	"batchterminator/worker/servicebustest/internal/atom"
	"batchterminator/worker/servicebustest/internal/broker"
)

func newNamespace(t *testing.T, premium bool) (*admin.Namespace, *broker.Namespace) {
	t.Helper()
	b := broker.NewNamespace(false)
	t.Cleanup(b.Close)
	return admin.New(b, "space", premium), b
}

// create adds an entity that the test needs and expects no trouble with.
func create[D any](t *testing.T, s atom.Store[D], name string, d D) atom.Entity[D] {
	t.Helper()
	e, err := s.Create(name, d)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Descriptions as the API makes them of an empty element.
var (
	plainQueue = atom.Queue{
		LockDuration: time.Minute, MaxSizeInMegabytes: 1024, DefaultMessageTimeToLive: atom.Forever,
		DuplicateDetectionHistoryTimeWindow: 10 * time.Minute, MaxDeliveryCount: 10, EnableBatchedOperations: true,
		Status: atom.Active, AutoDeleteOnIdle: atom.Forever,
	}
	plainTopic = atom.Topic{
		DefaultMessageTimeToLive: atom.Forever, MaxSizeInMegabytes: 1024,
		DuplicateDetectionHistoryTimeWindow: 10 * time.Minute, EnableBatchedOperations: true, Status: atom.Active,
		SupportOrdering: true, AutoDeleteOnIdle: atom.Forever,
	}
	plainSubscription = atom.Subscription{
		LockDuration: time.Minute, DefaultMessageTimeToLive: atom.Forever,
		DeadLetteringOnFilterEvaluationExceptions: true, MaxDeliveryCount: 10, EnableBatchedOperations: true,
		Status: atom.Active, AutoDeleteOnIdle: atom.Forever,
	}
)

// wantNoZero makes sure that a test of all fields has all fields.
func wantNoZero(t *testing.T, d any, but ...string) {
	t.Helper()
	for i, v := range reflect.ValueOf(d).Fields() {
		if v.IsZero() != strings.Contains(strings.Join(but, " "), i.Name) {
			t.Errorf("the test does not set %T.%s", d, i.Name)
		}
	}
}

func TestEverySettingOfAQueueReachesTheBrokerAndBack(t *testing.T) {
	t.Parallel()
	n, _ := newNamespace(t, true)
	create(t, n.Queues(), "target", plainQueue)
	want := atom.Queue{
		LockDuration: 2 * time.Minute, MaxSizeInMegabytes: 2048, RequiresDuplicateDetection: true, RequiresSession: true,
		DefaultMessageTimeToLive: time.Hour, DeadLetteringOnMessageExpiration: true,
		DuplicateDetectionHistoryTimeWindow: time.Hour, MaxDeliveryCount: 5, EnableBatchedOperations: true,
		AuthorizationRules: []atom.AuthorizationRule{{KeyName: "k", Rights: []string{"Send"}}}, Status: atom.SendDisabled,
		AutoDeleteOnIdle: 6 * time.Minute, EnablePartitioning: true, EnableExpress: true,
		ForwardDeadLetteredMessagesTo: "sb://space/target", UserMetadata: "meta", MaxMessageSizeInKilobytes: 2000,
	}
	wantNoZero(t, want, "ForwardTo") // sessions do not forward
	if diff := cmp.Diff(want, create(t, n.Queues(), "q", want).Description); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	want.RequiresSession, want.ForwardTo = false, "target"
	if diff := cmp.Diff(want, create(t, n.Queues(), "forwards", want).Description); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	changed := plainQueue
	changed.RequiresDuplicateDetection, changed.EnablePartitioning = true, true
	changed.MaxMessageSizeInKilobytes, changed.EnableBatchedOperations = 1024, false
	updated, err := n.Queues().Update("forwards", changed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(changed, updated.Description); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}
}

func TestEverySettingOfATopicReachesTheBrokerAndBack(t *testing.T) {
	t.Parallel()
	n, _ := newNamespace(t, true)
	want := atom.Topic{
		DefaultMessageTimeToLive: time.Hour, MaxSizeInMegabytes: 2048, RequiresDuplicateDetection: true,
		DuplicateDetectionHistoryTimeWindow: time.Hour, EnableBatchedOperations: true,
		AuthorizationRules: []atom.AuthorizationRule{{KeyName: "k"}}, Status: atom.Disabled, UserMetadata: "meta",
		SupportOrdering: true, AutoDeleteOnIdle: time.Hour, EnablePartitioning: true, EnableExpress: true,
		MaxMessageSizeInKilobytes: 102400,
	}
	wantNoZero(t, want)
	if diff := cmp.Diff(want, create(t, n.Topics(), "t", want).Description); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	want.SupportOrdering, want.EnableBatchedOperations, want.EnableExpress = false, false, false
	updated, err := n.Topics().Update("t", want)
	if diff := cmp.Diff(want, updated.Description); diff != "" || err != nil {
		t.Errorf("updated, %v (-want +got):\n%s", err, diff)
	}
}

func TestEverySettingOfASubscriptionReachesTheBrokerAndBack(t *testing.T) {
	t.Parallel()
	n, _ := newNamespace(t, false)
	create(t, n.Topics(), "a/t", plainTopic)
	create(t, n.Queues(), "target", plainQueue)
	subscriptions, err := n.Subscriptions("A/T")
	if err != nil {
		t.Fatal(err)
	}
	want := atom.Subscription{
		LockDuration: 2 * time.Minute, RequiresSession: true, DefaultMessageTimeToLive: time.Hour,
		DeadLetteringOnMessageExpiration: true, DeadLetteringOnFilterEvaluationExceptions: true, MaxDeliveryCount: 5,
		EnableBatchedOperations: true, Status: atom.ReceiveDisabled, UserMetadata: "meta",
		ForwardDeadLetteredMessagesTo: "target", AutoDeleteOnIdle: time.Hour,
	}
	wantNoZero(t, want, "ForwardTo", "DefaultRule")
	e := create(t, subscriptions, "Sub", want)
	if diff := cmp.Diff(want, e.Description); diff != "" || e.Name != "Sub" {
		t.Errorf("created %s (-want +got):\n%s", e.Name, diff)
	}
	want.RequiresSession, want.ForwardTo, want.DeadLetteringOnFilterEvaluationExceptions = false, "target", false
	if diff := cmp.Diff(want, create(t, subscriptions, "forwards", want).Description); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	list, err := subscriptions.List()
	if err != nil || len(list) != 2 || list[0].Name != "forwards" || list[1].Name != "Sub" {
		t.Errorf("listed %v, %v", list, err)
	}
}

func TestWhatATestMadeHasTheServicesDefaults(t *testing.T) {
	t.Parallel()
	n, b := newNamespace(t, false)
	if _, err := b.CreateQueue("q", broker.Config{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CreateTopic("t", broker.Config{}); err != nil {
		t.Fatal(err)
	}
	queue, topic := plainQueue, plainTopic
	queue.MaxMessageSizeInKilobytes, topic.MaxMessageSizeInKilobytes = 256, 256
	if got, err := n.Queues().Get("Q"); !cmp.Equal(got.Description, queue) || err != nil {
		t.Errorf("queue, %v (-want +got):\n%s", err, cmp.Diff(queue, got.Description))
	}
	if got, err := n.Topics().Get("t"); !cmp.Equal(got.Description, topic) || err != nil {
		t.Errorf("topic, %v (-want +got):\n%s", err, cmp.Diff(topic, got.Description))
	}
}

func TestNamespaceTellsItsTier(t *testing.T) {
	t.Parallel()
	standard, _ := newNamespace(t, false)
	premium, _ := newNamespace(t, true)
	if i := standard.Info(); i.SKU != "Standard" || i.Units != 0 || i.Name != "space" || i.CreatedAt.IsZero() || i.ModifiedAt.IsZero() {
		t.Errorf("standard: %+v", i)
	}
	if i := premium.Info(); i.SKU != "Premium" || i.Units != 1 {
		t.Errorf("premium: %+v", i)
	}
}

func TestTierDecidesTheSizeOfMessages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		premium bool
		ask     int
		want    int // 0: refused
	}{
		{false, 0, 256}, {false, 256, 256}, {false, 255, 0}, {false, 257, 0},
		{true, 0, 1024}, {true, 1024, 1024}, {true, 102400, 102400}, {true, 1023, 0}, {true, 102401, 0},
	} {
		n, _ := newNamespace(t, test.premium)
		q := plainQueue
		q.MaxMessageSizeInKilobytes = test.ask
		e, err := n.Queues().Create("q", q)
		if got := e.Description.MaxMessageSizeInKilobytes; got != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("premium %v, %d: %d, %v; want %d", test.premium, test.ask, got, err, test.want)
		}
		if err != nil {
			create(t, n.Queues(), "q", plainQueue)
		}
		if _, err := n.Queues().Update("q", q); (err == nil) != (test.want > 0) {
			t.Errorf("premium %v, update to %d: %v", test.premium, test.ask, err)
		}
	}
}

// Service Bus: a partitioned entity has sixteen times the size it was created with, and an update does not multiply.
func TestPartitionsMultiplyTheSizeOnce(t *testing.T) {
	t.Parallel()
	n, _ := newNamespace(t, false)
	q := plainQueue
	q.EnablePartitioning, q.MaxSizeInMegabytes = true, 4096
	e := create(t, n.Queues(), "q", q)
	if got := e.Description.MaxSizeInMegabytes; got != 16*4096 {
		t.Errorf("created with %d MB, want %d", got, 16*4096)
	}
	e, err := n.Queues().Update("q", e.Description)
	if got := e.Description.MaxSizeInMegabytes; got != 16*4096 || err != nil {
		t.Errorf("updated to %d MB, %v; want %d", got, err, 16*4096)
	}
}

func TestRefusalsTellTheirCause(t *testing.T) {
	t.Parallel()
	n, _ := newNamespace(t, false)
	create(t, n.Queues(), "q", plainQueue)
	create(t, n.Topics(), "t", plainTopic)
	forwarding, sessions := plainQueue, plainQueue
	forwarding.ForwardTo, sessions.RequiresSession = "none", true
	queue := func(f func(string, atom.Queue) (atom.Entity[atom.Queue], error), name string, d atom.Queue) error {
		_, err := f(name, d)
		return err
	}
	queues := n.Queues()
	if err := queue(queues.Create, "Q", plainQueue); !errors.Is(err, atom.ErrExists) {
		t.Errorf("a queue again: %v", err)
	}
	if err := queue(queues.Create, "t", plainQueue); !errors.Is(err, atom.ErrExists) {
		t.Errorf("a queue with the name of a topic: %v", err)
	}
	if err := queue(queues.Update, "none", plainQueue); !errors.Is(err, atom.ErrNotFound) {
		t.Errorf("update of a missing queue: %v", err)
	}
	if err := queue(queues.Update, "t", plainQueue); !errors.Is(err, atom.ErrNotFound) {
		t.Errorf("update of a topic as a queue: %v", err)
	}
	immutable := (*atom.ImmutableError)(nil)
	if err := queue(queues.Update, "q", sessions); !errors.As(err, &immutable) || immutable.Property != "RequiresSession" {
		t.Errorf("change of sessions: %v", err)
	}
	for name, f := range map[string]func(string, atom.Queue) (atom.Entity[atom.Queue], error){"n": queues.Create, "q": queues.Update} {
		if err := queue(f, name, forwarding); err == nil || errors.Is(err, atom.ErrNotFound) || !strings.Contains(err.Error(), "none") {
			t.Errorf("%s forwards to nothing: %v, want the target named and not taken for the queue", name, err)
		}
	}
	if err := queues.Delete("t"); !errors.Is(err, atom.ErrNotFound) {
		t.Errorf("delete of a topic as a queue: %v", err)
	}
	if _, err := n.Subscriptions("q"); !errors.Is(err, atom.ErrNotFound) {
		t.Errorf("subscriptions of a queue: %v", err)
	}
	if _, err := n.Rules("t", "none"); !errors.Is(err, atom.ErrNotFound) {
		t.Errorf("rules of a missing subscription: %v", err)
	}
}
