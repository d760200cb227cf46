package servicebustest_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"

	"batchterminator/worker/servicebustest"
)

// inMemoryHTTP hands the requests of a client to the server, without a network that would stop a bubble's clock.
type inMemoryHTTP struct{ handler http.Handler }

func (m inMemoryHTTP) Do(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody // as a server would see it
	}
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, r)
	response := w.Result()
	response.Request = r
	return response, nil
}

func newAdminClient(t testing.TB, s *servicebustest.Server) *admin.Client {
	t.Helper()
	return newAdminClientWith(t, s, s.ConnectionString())
}

func newAdminClientWith(t testing.TB, s *servicebustest.Server, connectionString string) *admin.Client {
	t.Helper()
	client, err := admin.NewClientFromConnectionString(connectionString, &admin.ClientOptions{
		ClientOptions: azcore.ClientOptions{
			Transport: inMemoryHTTP{s.AdminHandler()}, Retry: policy.RetryOptions{MaxRetries: -1},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestAdministrationCountsWhatClientsDo(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		administration := newAdminClient(t, r.Server)
		before, err := administration.GetQueueRuntimeProperties(t.Context(), queueName, nil)
		if err != nil || !before.AccessedAt.IsZero() || before.TotalMessageCount != 0 {
			t.Fatalf("before: %+v, %v; want nothing, never accessed", before, err)
		}
		time.Sleep(time.Hour) // of the bubble
		sender := r.sender(t)
		for range 3 {
			if err := sender.SendMessage(t.Context(), &azservicebus.Message{Body: []byte("hello")}, nil); err != nil {
				t.Fatal(err)
			}
		}
		later := time.Now().Add(2 * time.Hour)
		if _, err := sender.ScheduleMessages(t.Context(), []*azservicebus.Message{{Body: []byte("hello")}}, later, nil); err != nil {
			t.Fatal(err)
		}
		receiver := r.receiver(t)
		messages, err := receiver.ReceiveMessages(t.Context(), 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := receiver.DeadLetterMessage(t.Context(), messages[0], nil); err != nil {
			t.Fatal(err)
		}
		got, err := administration.GetQueueRuntimeProperties(t.Context(), queueName, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.TotalMessageCount != 4 || got.ActiveMessageCount != 2 || got.DeadLetterMessageCount != 1 ||
			got.ScheduledMessageCount != 1 || got.SizeInBytes == 0 || !got.AccessedAt.After(got.CreatedAt) {
			t.Errorf("%+v, want 2 active, 1 dead-lettered, 1 scheduled, some bytes, accessed after its creation", got)
		}
	})
}

func TestQueueThatAClientCreatesWorks(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		administration := newAdminClient(t, r.Server)
		if _, err := administration.CreateQueue(t.Context(), "made", &admin.CreateQueueOptions{
			Properties: &admin.QueueProperties{LockDuration: to.Ptr("PT2M"), ForwardTo: to.Ptr("sb://localhost/" + queueName)},
		}); err != nil {
			t.Fatal(err)
		}
		sender, err := r.client.NewSender("made", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := sender.SendMessage(t.Context(), &azservicebus.Message{Body: []byte("on")}, nil); err != nil {
			t.Fatal(err)
		}
		closeLink(t, sender.Close) // deleting the queue would detach it
		messages, err := r.receiver(t).ReceiveMessages(t.Context(), 1, nil)
		if err != nil || string(messages[0].Body) != "on" {
			t.Errorf("forwarded %v, %v", messages, err)
		}
		if _, err := administration.DeleteQueue(t.Context(), "made", nil); err != nil {
			t.Error(err)
		}
		if got, err := administration.GetQueue(t.Context(), "made", nil); got != nil || err != nil {
			t.Errorf("deleted queue: %v, %v", got, err)
		}
	})
}

func TestRulesThatAClientCreatesDecide(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		administration := newAdminClient(t, r.Server)
		if _, err := administration.CreateTopic(t.Context(), "events", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := administration.CreateSubscription(t.Context(), "events", "large", &admin.CreateSubscriptionOptions{
			Properties: &admin.SubscriptionProperties{DefaultRule: &admin.RuleProperties{
				Filter: &admin.SQLFilter{Expression: "size > @least", Parameters: map[string]any{"@least": 5}},
				Action: &admin.SQLAction{Expression: "SET seen = TRUE"},
			}},
		}); err != nil {
			t.Fatal(err)
		}
		sender, err := r.client.NewSender("events", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeLink(t, sender.Close) })
		for _, size := range []int64{5, 6} {
			message := &azservicebus.Message{ApplicationProperties: map[string]any{"size": size}}
			if err := sender.SendMessage(t.Context(), message, nil); err != nil {
				t.Fatal(err)
			}
		}
		receiver, err := r.client.NewReceiverForSubscription("events", "large", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeLink(t, receiver.Close) })
		messages, err := receiver.ReceiveMessages(t.Context(), 2, nil)
		if err != nil || len(messages) != 1 {
			t.Fatalf("%d messages, %v; want one", len(messages), err)
		}
		if got := messages[0].ApplicationProperties; got["size"] != int64(6) || got["seen"] != true {
			t.Errorf("properties %v, want the size that passes, marked", got)
		}
	})
}

func TestAdministrationAsksForTheRightToManage(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		const endpoint = "Endpoint=sb://localhost/;SharedAccessKeyName="
		for rule, status := range map[string]int{
			"root;SharedAccessKey=key": 0, "root;SharedAccessKey=guess": 401, "limited;SharedAccessKey=key": 401,
		} {
			_, err := newAdminClientWith(t, r.Server, endpoint+rule).GetQueue(t.Context(), queueName, nil)
			refused := (*azcore.ResponseError)(nil)
			if got := errors.As(err, &refused); got != (status != 0) || got && refused.StatusCode != status {
				t.Errorf("%s: %v, want status %d", rule, err, status)
			}
		}
	},
		servicebustest.WithSharedAccessRule("root", "key",
			servicebustest.RightManage, servicebustest.RightSend, servicebustest.RightListen),
		servicebustest.WithSharedAccessRule("limited", "key", servicebustest.RightSend, servicebustest.RightListen))
}
