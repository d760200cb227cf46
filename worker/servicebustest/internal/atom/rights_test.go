package atom_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"

	"batchterminator/worker/servicebustest/internal/atom"
)

// A client may listen and send without being allowed to look at entities, let alone change them. The texts are what
// tells the cases apart.
func TestClientsWithoutTheRightToManage(t *testing.T) {
	t.Parallel()
	manager, f := newSubscription(t)
	if _, err := manager.CreateQueue(t.Context(), "q", nil); err != nil {
		t.Fatal(err)
	}
	var asked string
	client := newClient(t, atom.New(atom.Config{Namespace: f, Authorize: func(token, url string) (bool, error) {
		asked = url
		return false, nil
	}}))
	ctx := t.Context()
	if got, err := client.GetQueue(ctx, "none", nil); got != nil || err != nil {
		t.Errorf("missing queue: %v, %v", got, err)
	}
	if got, err := client.GetTopic(ctx, "none", nil); got != nil || err != nil {
		t.Errorf("missing topic: %v, %v", got, err)
	}
	refused := func(what string, err error, text string) {
		t.Helper()
		if err == nil {
			t.Errorf("%s is allowed", what)
			return
		}
		wantStatus(t, err, http.StatusUnauthorized, text)
	}
	const read, write = ">Manage,EntityRead claims required for this operation", "Authorization failed for specified action: Manage,EntityWrite"
	_, err := client.GetQueue(ctx, "q", nil)
	refused("get queue", err, read)
	if want := "http://space.servicebus.windows.net/q"; asked != want {
		t.Errorf("authorized for %s, want %s", asked, want)
	}
	_, err = client.GetTopic(ctx, "t", nil)
	refused("get topic", err, read)
	_, err = client.GetNamespaceProperties(ctx, nil)
	refused("get namespace", err, read)
	_, err = client.NewListQueuesPager(nil).NextPage(ctx)
	refused("list queues", err, read)
	_, err = client.NewListTopicsPager(nil).NextPage(ctx)
	refused("list topics", err, read)
	_, err = client.CreateQueue(ctx, "new", nil)
	refused("create queue", err, write)
	_, err = client.UpdateTopic(ctx, "none", admin.TopicProperties{}, nil)
	refused("update missing topic", err, write)
	for _, name := range []string{"q", "t", "none"} {
		_, err = client.DeleteQueue(ctx, name, nil)
		refused("delete "+name, err, "Authorization failed for specified action: Manage,EntityDelete.")
	}
	const unauthorized = "401 SubCode=40100: Unauthorized : Unauthorized access for '"
	for _, name := range []string{"s", "none"} {
		_, err = client.GetSubscription(ctx, "t", name, nil)
		refused("get subscription", err, unauthorized+"GetSubscription' operation")
		_, err = client.UpdateSubscription(ctx, "t", name, admin.SubscriptionProperties{}, nil)
		refused("update subscription", err, unauthorized+"CreateOrUpdateSubscription'")
		_, err = client.DeleteSubscription(ctx, "t", name, nil)
		refused("delete subscription", err, unauthorized+"DeleteSubscription'")
		_, err = client.GetRule(ctx, "t", name, "r", nil)
		refused("get rule", err, unauthorized+"GetRule'")
	}
	_, err = client.NewListSubscriptionsPager("t", nil).NextPage(ctx)
	refused("list subscriptions", err, unauthorized+"EnumerateSubscriptions' operation")
}

func TestRefusedTokens(t *testing.T) {
	t.Parallel()
	var token string
	h := atom.New(atom.Config{Namespace: newFake(), Authorize: func(given, _ string) (bool, error) {
		token = given
		return true, errors.New("ExpiredToken: yesterday")
	}})
	w := serve(h, http.MethodGet, "/none", "", "Authorization", "SharedAccessSignature sr=a")
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "<Detail>ExpiredToken: yesterday</Detail>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if token != "SharedAccessSignature sr=a" {
		t.Errorf("token %q", token)
	}
}
