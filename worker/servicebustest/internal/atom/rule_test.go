package atom_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/atom"
)

// newSubscription returns a client and a fake that has topic t with subscription s.
func newSubscription(t *testing.T) (*admin.Client, *fake) {
	t.Helper()
	client, f := newPair(t)
	if _, err := client.CreateTopic(t.Context(), "t", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateSubscription(t.Context(), "t", "s", nil); err != nil {
		t.Fatal(err)
	}
	return client, f
}

// everyType has a value of each type that the Go client knows.
var everyType = map[string]any{
	"@text": "a <b> & 'c'", "@number": int64(100), "@float": 100.1, "@time": birth, "@truth": true, "@empty": "",
}

func TestEveryKindOfRuleComesBack(t *testing.T) {
	t.Parallel()
	client, _ := newSubscription(t)
	rules := map[string]admin.RuleProperties{
		"true":  {Filter: &admin.TrueFilter{}},
		"false": {Filter: &admin.FalseFilter{}},
		"sql":   {Filter: &admin.SQLFilter{Expression: "a < 1 AND b > '&'"}},
		"sql with parameters": {
			Filter: &admin.SQLFilter{Expression: "a=@number", Parameters: everyType},
			Action: &admin.SQLAction{Expression: "SET a = @text", Parameters: everyType},
		},
		"correlation": {Filter: &admin.CorrelationFilter{
			ContentType: to.Ptr("a"), CorrelationID: to.Ptr("b"), MessageID: to.Ptr("c"), ReplyTo: to.Ptr("d"),
			ReplyToSessionID: to.Ptr("e"), SessionID: to.Ptr("f"), Subject: to.Ptr("g"), To: to.Ptr("h"),
			ApplicationProperties: everyType,
		}},
		"empty correlation": {Filter: &admin.CorrelationFilter{Subject: to.Ptr("")}},
	}
	for name, want := range rules {
		want.Name = name
		created, err := client.CreateRule(t.Context(), "t", "s", &admin.CreateRuleOptions{
			Name: &name, Filter: want.Filter, Action: want.Action,
		})
		if err != nil {
			t.Errorf("create %s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, created.RuleProperties); diff != "" {
			t.Errorf("created %s (-want +got):\n%s", name, diff)
		}
		updated, err := client.UpdateRule(t.Context(), "t", "s", created.RuleProperties)
		if err != nil {
			t.Errorf("update %s: %v", name, err)
		}
		if diff := cmp.Diff(want, updated.RuleProperties); diff != "" {
			t.Errorf("updated %s (-want +got):\n%s", name, diff)
		}
	}
	pager := client.NewListRulesPager("t", "s", nil)
	page, err := pager.NextPage(t.Context())
	if err != nil || len(page.Rules) != len(rules)+1 || page.Rules[0].Name != "$Default" {
		t.Errorf("list: %d rules, error %v; want $Default and %d others", len(page.Rules), err, len(rules))
	}
}

func TestRuleWithoutNameIsTheDefaultRule(t *testing.T) {
	t.Parallel()
	client, f := newSubscription(t)
	_, err := client.CreateRule(t.Context(), "t", "s", &admin.CreateRuleOptions{})
	wantStatus(t, err, http.StatusConflict)
	if err := f.rulesOf("t", "s").Delete("$Default"); err != nil {
		t.Fatal(err)
	}
	created, err := client.CreateRule(t.Context(), "t", "s", &admin.CreateRuleOptions{})
	want := admin.RuleProperties{Name: "$Default", Filter: &admin.TrueFilter{}}
	if diff := cmp.Diff(want, created.RuleProperties); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

func TestDefaultRuleIsTakenAndNotTold(t *testing.T) {
	t.Parallel()
	client, f := newSubscription(t)
	for name, want := range map[string]admin.RuleProperties{
		"$Default": {Filter: &admin.TrueFilter{}, Action: &admin.SQLAction{Expression: "SET a = 1"}},
		"Own":      {Filter: &admin.SQLFilter{Expression: "a LIKE 'O%'"}},
	} {
		rule := want
		if want.Name = name; name != "$Default" {
			rule.Name = name // the client leaves out what is the default
		}
		created, err := client.CreateSubscription(t.Context(), "t", "of-"+strings.Trim(name, "$"), &admin.CreateSubscriptionOptions{
			Properties: &admin.SubscriptionProperties{DefaultRule: &rule},
		})
		if err != nil || created.DefaultRule != nil {
			t.Errorf("create with %s: default rule %v, error %v; want none told", name, created.DefaultRule, err)
		}
		got, err := client.GetRule(t.Context(), "t", "of-"+strings.Trim(name, "$"), name, nil)
		if err != nil || got == nil {
			t.Fatalf("rule %s: %v, %v", name, got, err)
		}
		if diff := cmp.Diff(want, got.RuleProperties); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if rules, _ := f.rulesOf("t", "of-Own").List(); len(rules) != 1 {
		t.Errorf("%d rules besides a default rule with a name, want none", len(rules)-1)
	}
}

func TestUnknownRulesKeepTheNamespacesTheyNeed(t *testing.T) {
	t.Parallel()
	_, f := newSubscription(t)
	h := atom.New(atom.Config{Namespace: f})
	const content = `<q:Depth q:unit="m">3</q:Depth><Text>a &lt; b</Text>`
	w := serve(h, http.MethodPut, "/t/Subscriptions/s/Rules/r", inRule(
		`<Filter xmlns:q="urn:q" i:type="v:New" xmlns:v="urn:v" unused="1" xmlns:w="urn:w">`+content+`</Filter>`))
	const want = `<Filter i:type="v:New" xmlns:q="urn:q" xmlns:v="urn:v" unused="1">` + content + `</Filter>`
	if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), want) {
		t.Errorf("%d %s, want %s in it", w.Code, w.Body, want)
	}
}

// What the Go client does not know it hands over as XML, and hands back with the prefixes that it found.
func TestUnknownRulesRoundTripThroughTheClient(t *testing.T) {
	t.Parallel()
	client, _ := newSubscription(t)
	const filter = `<Filter color="&quot;red&amp;" i:type="NewFilter"><q:Depth xmlns:q="urn:q" q:unit="m">3</q:Depth><Text>a &lt; b</Text></Filter>`
	const action = `<Action i:type="NewAction"><Steps/></Action>`
	created, err := client.CreateRule(t.Context(), "t", "s", &admin.CreateRuleOptions{
		Name:   to.Ptr("r"),
		Filter: &admin.UnknownRuleFilter{Type: "NewFilter", RawXML: []byte(filter)},
		Action: &admin.UnknownRuleAction{Type: "NewAction", RawXML: []byte(action)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		updated, err := client.UpdateRule(t.Context(), "t", "s", created.RuleProperties)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := updated.Filter.(*admin.UnknownRuleFilter)
		if !ok || got.Type != "NewFilter" {
			t.Fatalf("filter %#v", updated.Filter)
		}
		for _, part := range []string{
			`<q:Depth xmlns:q="urn:q" q:unit="m">3</q:Depth><Text>a &lt; b</Text></Filter>`, `color="&#34;red&amp;"`,
		} {
			if !strings.Contains(string(got.RawXML), part) {
				t.Errorf("filter %s, want %s in it", got.RawXML, part)
			}
		}
		if got, ok := updated.Action.(*admin.UnknownRuleAction); !ok || !strings.Contains(string(got.RawXML), "<Steps/>") {
			t.Errorf("action %#v", updated.Action)
		}
		created.RuleProperties = updated.RuleProperties
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	t.Parallel()
	_, f := newSubscription(t)
	h := atom.New(atom.Config{Namespace: f})
	for body, want := range map[string]string{
		`<Filter/>`: "Filter: i:type is missing",
		`<Filter i:type="SqlFilter"><Parameters><KeyValueOfstringanyType><Key>a</Key></KeyValueOfstringanyType></Parameters></Filter>`:                                         "Filter: Parameters: a parameter has a Key and a Value",
		`<Filter i:type="SqlFilter"><Parameters><KeyValueOfstringanyType><Key>a</Key><Value i:type="s:int">x</Value></KeyValueOfstringanyType></Parameters></Filter>`:          `"a": not a value of type int`,
		`<Filter i:type="SqlFilter"><Parameters><KeyValueOfstringanyType><Key>a</Key><Value i:type="s:int">2147483648</Value></KeyValueOfstringanyType></Parameters></Filter>`: `"a": not a value of type int`,
		`<Filter i:type="SqlFilter"><Parameters><KeyValueOfstringanyType><Key>a</Key><Value i:type="s:anyURI">x</Value></KeyValueOfstringanyType></Parameters></Filter>`:       `type "anyURI" is not supported`,
		`<Filter i:type="SqlFilter"><Parameters><KeyValueOfstringanyType><Key>a</Key><Value i:type="int">1</Value></KeyValueOfstringanyType></Parameters></Filter>`:            `type "int" is not one of XML Schema`,
		`<Filter i:type="none:SqlFilter"/>`:                     `prefix "none" is not declared`,
		`<Filter i:type="New" xmlns:i="urn:other"/>`:            "i:type is missing",
		`<Action i:type="x:New" xmlns:x="urn:x" i:nil="true"/>`: "attribute nil",
	} {
		w := serve(h, http.MethodPut, "/t/Subscriptions/s/Rules/r", inRule(body))
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want 400 and %s", body, w.Code, w.Body, want)
		}
	}
}

func TestParametersOfOtherClients(t *testing.T) {
	t.Parallel()
	_, f := newSubscription(t)
	h := atom.New(atom.Config{Namespace: f})
	// As JavaScript (p4, no prefix for XML Schema elsewhere) and .NET (int, long, duration) write them.
	const body = `<Filter p4:type="CorrelationFilter" xmlns:p4="http://www.w3.org/2001/XMLSchema-instance"><Properties>` +
		`<KeyValueOfstringanyType><Key>a</Key><Value p4:type="l28:double" xmlns:l28="http://www.w3.org/2001/XMLSchema">1.5</Value></KeyValueOfstringanyType>` +
		`<KeyValueOfstringanyType><Key>b</Key><Value i:type="s:long">9223372036854775807</Value></KeyValueOfstringanyType>` +
		`<KeyValueOfstringanyType><Key>c</Key><Value i:type="s:duration">PT1M</Value></KeyValueOfstringanyType>` +
		`<KeyValueOfstringanyType><Key>d</Key><Value i:type="s:boolean">1</Value></KeyValueOfstringanyType>` +
		`<KeyValueOfstringanyType><Key>e</Key><Value i:type="s:dateTime">2025-03-04T05:06:07.8912345</Value></KeyValueOfstringanyType>` +
		`<KeyValueOfstringanyType><Key>f</Key><Value i:type="s:double">-INF</Value></KeyValueOfstringanyType>` +
		`<KeyValueOfstringanyType><Key>g</Key><Value i:type="s:int">-7</Value></KeyValueOfstringanyType>` +
		`</Properties></Filter>`
	w := serve(h, http.MethodPut, "/t/Subscriptions/s/Rules/r", inRule(body))
	if w.Code != http.StatusCreated {
		t.Fatal(w.Code, w.Body)
	}
	got, err := f.rulesOf("t", "s").Get("r")
	if err != nil {
		t.Fatal(err)
	}
	want := []atom.Parameter{
		{Name: "a", Value: 1.5}, {Name: "b", Value: int64(1<<63 - 1)}, {Name: "c", Value: time.Minute},
		{Name: "d", Value: true}, {Name: "e", Value: birth}, {Name: "f", Value: negativeInfinity}, {Name: "g", Value: int32(-7)},
	}
	if diff := cmp.Diff(want, got.Description.Filter.(atom.CorrelationFilter).Properties); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	// JavaScript cuts a prefix of exactly four letters and a colon.
	for _, value := range []string{"double\"", "long\"", "duration\"", "boolean\"", "dateTime\"", "int\""} {
		if !strings.Contains(w.Body.String(), `<Value i:type="d6p1:`+value) {
			t.Errorf("%s, want type %s with prefix d6p1", w.Body, value)
		}
	}
	if !strings.Contains(w.Body.String(), ">-INF<") {
		t.Errorf("%s, want -INF in it", w.Body)
	}
}
