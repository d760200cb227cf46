package atom_test

import (
	"crypto/tls"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"

	"batchterminator/worker/servicebustest/internal/atom"
)

var negativeInfinity = math.Inf(-1)

// serve asks a handler; headers come as name, value.
func serve(h http.Handler, method, url, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Host = "space.servicebus.windows.net"
	r.TLS = &tls.ConnectionState{}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const connect = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"

func inEntry(description string) string {
	return `<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">` + description + `</content></entry>`
}

func inRule(content string) string {
	return inEntry(`<RuleDescription xmlns="` + connect + `" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"` +
		` xmlns:s="http://www.w3.org/2001/XMLSchema">` + content + `</RuleDescription>`)
}

func inQueue(content string) string {
	return inEntry(`<QueueDescription xmlns="` + connect + `">` + content + `</QueueDescription>`)
}

// The shape is what clients besides Go depend on: JavaScript reads the name out of the id, wants one declaration on
// CountDetails, and looks for prefixes.
func TestShapeOfAnEntry(t *testing.T) {
	t.Parallel()
	f := newFake()
	w := serve(atom.New(atom.Config{Namespace: f}), http.MethodPut, "/a/q?api-version=2021-05", inQueue(
		`<AuthorizationRules><AuthorizationRule><Rights><AccessRights>Send</AccessRights></Rights><KeyName>k</KeyName></AuthorizationRule></AuthorizationRules><ForwardTo>plain</ForwardTo>`))
	if w.Code != http.StatusCreated || w.Header().Get("Content-Type") != "application/atom+xml;type=entry;charset=utf-8" {
		t.Fatal(w.Code, w.Header(), w.Body)
	}
	const want = `<entry xmlns="http://www.w3.org/2005/Atom">` +
		`<id>https://space.servicebus.windows.net/a/q?api-version=2021-05</id>` +
		`<title type="text">a/q</title><published>2025-03-04T05:06:07Z</published><updated>2025-03-04T05:06:07Z</updated>` +
		`<author><name>space</name></author>` +
		`<link rel="self" href="https://space.servicebus.windows.net/a/q?api-version=2021-05"></link>` +
		`<content type="application/xml"><QueueDescription xmlns="` + connect + `" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">` +
		`<LockDuration>PT1M</LockDuration><MaxSizeInMegabytes>1024</MaxSizeInMegabytes>` +
		`<RequiresDuplicateDetection>false</RequiresDuplicateDetection><RequiresSession>false</RequiresSession>` +
		`<DefaultMessageTimeToLive>P10675199DT2H48M5.4775807S</DefaultMessageTimeToLive>` +
		`<DeadLetteringOnMessageExpiration>false</DeadLetteringOnMessageExpiration>` +
		`<DuplicateDetectionHistoryTimeWindow>PT10M</DuplicateDetectionHistoryTimeWindow>` +
		`<MaxDeliveryCount>10</MaxDeliveryCount><EnableBatchedOperations>true</EnableBatchedOperations>` +
		`<SizeInBytes>0</SizeInBytes><MessageCount>0</MessageCount><IsAnonymousAccessible>false</IsAnonymousAccessible>` +
		`<AuthorizationRules><AuthorizationRule i:type="SharedAccessAuthorizationRule"><ClaimType>SharedAccessKey</ClaimType>` +
		`<ClaimValue>None</ClaimValue><Rights><AccessRights>Send</AccessRights></Rights><KeyName>k</KeyName></AuthorizationRule></AuthorizationRules>` +
		`<Status>Active</Status><ForwardTo>https://space.servicebus.windows.net/plain</ForwardTo>` +
		`<CreatedAt>2025-03-04T05:06:07.8912345Z</CreatedAt><UpdatedAt>2025-03-04T05:06:07.8912345Z</UpdatedAt>` +
		`<AccessedAt>0001-01-01T00:00:00</AccessedAt><SupportOrdering>true</SupportOrdering>` +
		`<CountDetails xmlns:d2p1="http://schemas.microsoft.com/netservices/2011/06/servicebus">` +
		`<d2p1:ActiveMessageCount>0</d2p1:ActiveMessageCount><d2p1:DeadLetterMessageCount>0</d2p1:DeadLetterMessageCount>` +
		`<d2p1:ScheduledMessageCount>0</d2p1:ScheduledMessageCount><d2p1:TransferMessageCount>0</d2p1:TransferMessageCount>` +
		`<d2p1:TransferDeadLetterMessageCount>0</d2p1:TransferDeadLetterMessageCount></CountDetails>` +
		`<AutoDeleteOnIdle>P10675199DT2H48M5.4775807S</AutoDeleteOnIdle><EnablePartitioning>false</EnablePartitioning>` +
		`<EntityAvailabilityStatus>Available</EntityAvailabilityStatus><EnableExpress>false</EnableExpress>` +
		`<MaxMessageSizeInKilobytes>0</MaxMessageSizeInKilobytes></QueueDescription></content></entry>`
	if got := w.Body.String(); got != want {
		t.Errorf("entry\n%s\nwant\n%s", strings.ReplaceAll(got, "><", ">\n<"), strings.ReplaceAll(want, "><", ">\n<"))
	}
}

func TestURLsInAnswersEscapeNames(t *testing.T) {
	t.Parallel()
	_, f := newSubscription(t)
	w := serve(atom.New(atom.Config{Namespace: f}), http.MethodPut, "/t/Subscriptions/s/Rules/a%20b%25?api-version=2017-04", inRule(""))
	const want = `<id>https://space.servicebus.windows.net/t/Subscriptions/s/Rules/a%20b%25?api-version=2017-04</id><title type="text">a b%</title>`
	if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), want) {
		t.Errorf("%d %s, want %s in it", w.Code, w.Body, want)
	}
}

func TestFeedLinksToItsNextPage(t *testing.T) {
	t.Parallel()
	client, f := newPair(t)
	for _, name := range []string{"a", "b", "c"} {
		if _, err := client.CreateQueue(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	h := atom.New(atom.Config{Namespace: f})
	w := serve(h, http.MethodGet, "/$Resources/Queues?$top=2&api-version=2021-05&enrich=True", "")
	const next = `<link rel="next" href="https://space.servicebus.windows.net/$Resources/Queues?%24skip=2&amp;%24top=2&amp;api-version=2021-05">`
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), next) || strings.Count(w.Body.String(), "<entry>") != 2 {
		t.Errorf("first page: %d %s, want two entries and %s", w.Code, w.Body, next)
	}
	w = serve(h, http.MethodGet, "/$resources/QUEUES/?%24skip=2&%24top=2", "")
	if strings.Contains(w.Body.String(), `rel="next"`) || strings.Count(w.Body.String(), "<entry>") != 1 {
		t.Errorf("last page: %s, want one entry and no next page", w.Body)
	}
	w = serve(h, http.MethodGet, "/$Resources/Queues?$skip=9", "")
	if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "<entry>") {
		t.Errorf("behind the last page: %d %s", w.Code, w.Body)
	}
	for _, query := range []string{"$top=0", "$top=-1", "$skip=x", "$skip=4294967296"} {
		if w := serve(h, http.MethodGet, "/$Resources/Queues?"+query, ""); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	_, f := newSubscription(t)
	h := atom.New(atom.Config{Namespace: f})
	for name, test := range map[string]struct {
		method, url, body string
		status            int
		text              string
	}{
		"no body":           {"PUT", "/q", "", 400, "ends too early"},
		"no entry":          {"PUT", "/q", "<a/>", 400, "not an Atom entry"},
		"other description": {"PUT", "/q", inRule(""), 400, "no TopicDescription"},
		"wrong namespace":   {"PUT", "/q", inEntry("<QueueDescription/>"), 400, connect},
		"bad bool":          {"PUT", "/q", inQueue("<RequiresSession>yes</RequiresSession>"), 400, "RequiresSession: neither true nor false"},
		"bad number":        {"PUT", "/q", inQueue("<MaxDeliveryCount>-1</MaxDeliveryCount>"), 400, "MaxDeliveryCount: not a number"},
		"bad status":        {"PUT", "/q", inQueue("<Status>Busy</Status>"), 400, "Status: not one of"},
		"bad right":         {"PUT", "/q", inQueue("<AuthorizationRules><AuthorizationRule><Rights><AccessRights>All</AccessRights></Rights></AuthorizationRule></AuthorizationRules>"), 400, "AuthorizationRules: Rights: not one of Manage, Send, Listen"},
		"too long":          {"PUT", "/q", strings.Repeat(" ", 256<<10+1), 413, "too large"},
		"post":              {"POST", "/q", "", 405, "POST"},
		"post in list":      {"POST", "/t/Subscriptions", "", 405, "POST"},
		"delete list":       {"DELETE", "/t/Subscriptions/s/Rules", "", 405, "DELETE"},
		"put in list":       {"PUT", "/$Resources/Topics", "", 405, "PUT"},
		"put info":          {"PUT", "/$namespaceinfo", "", 405, "PUT"},
		"rules of nothing":  {"GET", "/t/Subscriptions/none/Rules", "", 404, "SubCode=40400"},
	} {
		w := serve(h, test.method, test.url, test.body)
		var refusal struct {
			XMLName xml.Name `xml:"Error"`
			Code    int      `xml:"Code"`
			Detail  string   `xml:"Detail"`
		}
		if err := xml.Unmarshal(w.Body.Bytes(), &refusal); err != nil {
			t.Errorf("%s: %d %s: %v", name, w.Code, w.Body, err)
			continue
		}
		if w.Code != test.status || refusal.Code != test.status || !strings.Contains(refusal.Detail, test.text) {
			t.Errorf("%s: status %d, %+v; want %d with %q", name, w.Code, refusal, test.status, test.text)
		}
	}
}

func TestBrokenBodyIsABadRequest(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPut, "/q", io.MultiReader(strings.NewReader("<entry"), broken{}))
	w := httptest.NewRecorder()
	atom.New(atom.Config{Namespace: newFake()}).ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "cable cut") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cable cut") }

func TestElementsOfOthersAreSkipped(t *testing.T) {
	t.Parallel()
	f := newFake()
	w := serve(atom.New(atom.Config{Namespace: f}), http.MethodPut, "/q", inQueue(
		`<CountDetails><x/></CountDetails><CreatedAt>never</CreatedAt><New>1</New><MaxDeliveryCount xmlns="urn:other">x</MaxDeliveryCount><MessageCount>9</MessageCount>`))
	if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), "<MaxDeliveryCount>10</MaxDeliveryCount>") ||
		!strings.Contains(w.Body.String(), "<MessageCount>0</MessageCount>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

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
