package atom_test

import (
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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

func TestPagesHaveALimit(t *testing.T) {
	t.Parallel()
	f := newFake()
	for i := range 101 {
		if _, err := f.queues.Create(fmt.Sprintf("q%03d", i), atom.Queue{}); err != nil {
			t.Fatal(err)
		}
	}
	w := serve(atom.New(atom.Config{Namespace: f}), http.MethodGet, "/$Resources/Queues?$top=1000", "")
	if !strings.HasPrefix(w.Body.String(), `<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">Queues</title>`) {
		t.Errorf("feed begins %.90s", w.Body)
	}
	if n := strings.Count(w.Body.String(), "<entry>"); n != 100 || !strings.Contains(w.Body.String(), "%24skip=100") {
		t.Errorf("%d entries, want 100 and a link to the last", n)
	}
}

// A rule may have come over AMQP, where texts may hold what XML cannot.
func TestAnyTextCanBeTold(t *testing.T) {
	t.Parallel()
	_, f := newSubscription(t)
	if _, err := f.rulesOf("t", "s").Create("r", atom.Rule{Filter: atom.SQLFilter{SQL: atom.SQL{
		Expression: "a\x00\ufffe\xff\r\n\t\U0001f600",
	}}}); err != nil {
		t.Fatal(err)
	}
	w := serve(atom.New(atom.Config{Namespace: f}), http.MethodGet, "/t/Subscriptions/s/Rules/r", "")
	wellFormed(t, w.Body.String())
	if want := ">a\ufffd\ufffd\ufffd&#xD;\n\t\U0001f600<"; !strings.Contains(w.Body.String(), want) {
		t.Errorf("%s, want %q in it", w.Body, want)
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
