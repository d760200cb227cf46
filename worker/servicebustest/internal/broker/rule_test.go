package broker

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// prefix is a filter on the message id; "?" has no answer.
type prefix string

func (p prefix) Match(m *Message) (bool, error) {
	if p == "?" {
		return false, errors.New("no answer")
	}
	return strings.HasPrefix(m.ID, string(p)), nil
}

// stamp is an action that sets the partition key; "?" fails.
type stamp string

func (s stamp) Apply(m Message) (Message, error) {
	if s == "?" {
		return Message{}, errors.New("cannot be done")
	}
	m.PartitionKey = string(s)
	return m, nil
}

func TestRulesDecideWhichCopiesASubscriptionGets(t *testing.T) {
	type copied struct{ Stamp, Rule string }
	for name, test := range map[string]struct {
		rules []Rule
		want  []copied
	}{
		"default":                       {want: []copied{{}}},
		"none matches":                  {rules: []Rule{{Name: "a", Filter: FalseFilter{}}, {Name: "b", Filter: prefix("x")}}},
		"several without action":        {rules: []Rule{{Name: "a", Filter: prefix("m")}, {Name: "b", Filter: TrueFilter{}}}, want: []copied{{}}},
		"one with action":               {rules: []Rule{{Name: "a", Filter: prefix("m"), Action: stamp("1")}}, want: []copied{{"1", "a"}}},
		"action of a rule not matching": {rules: []Rule{{Name: "a", Filter: prefix("x"), Action: stamp("1")}}},
		"each with action and the rest": {
			rules: []Rule{
				{Name: "c", Filter: TrueFilter{}}, {Name: "b", Filter: TrueFilter{}, Action: stamp("2")},
				{Name: "a", Filter: prefix("m"), Action: stamp("1")}, {Name: "d", Filter: TrueFilter{}},
			},
			want: []copied{{"1", "a"}, {"2", "b"}, {}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			planned(t, func(t *testing.T, p plan) {
				topic, sub := p.topic("t", Config{}), p.subscription("t", "s", Config{}, test.rules...)
				send(t, topic, Message{ID: "m1"})
				var got []copied
				for _, m := range sub.Acquire(nil, 10, PeekLock) {
					rule, _ := m.Overlay[PropertyRuleName].(string)
					got = append(got, copied{m.PartitionKey, rule})
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Fatalf("copies differ (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestMessageThatARuleFailsOnIsDeadLetteredOnceUnlessItIsIgnored(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		rules := []Rule{
			{Name: "a", Filter: prefix("?")}, {Name: "b", Filter: TrueFilter{}, Action: stamp("?")},
			{Name: "c", Filter: TrueFilter{}},
		}
		topic := p.topic("t", Config{})
		strict, lax := p.subscription("t", "strict", Config{}, rules...), p.subscription("t", "lax", Config{IgnoreFilterErrors: true}, rules...)
		send(t, topic, Message{ID: "m"})
		for _, q := range []*Queue{strict, lax, strict.DeadLetter()} {
			wantIDs(t, q, "m")
		}
		wantIDs(t, lax.DeadLetter())
		wantOverlay(t, acquireOne(t, strict.DeadLetter()), "FilterException",
			"rule a: filter: no answer\nrule b: action: cannot be done")
		wantCounts(t, strict, Counts{Accepted: 2, Active: 1, DeadLettered: 1})
	})
}

func TestRuleChangesCountForLaterMessages(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		topic, sub := p.topic("t", Config{}), p.subscription("t", "s", Config{})
		send(t, topic, Message{ID: "1"})
		if err := sub.RemoveRule("$default"); err != nil {
			t.Fatal(err)
		}
		send(t, topic, Message{ID: "2"})
		time.Sleep(time.Second)
		added, err := sub.AddRule(Rule{Name: "three", Filter: prefix("3")})
		if err != nil || !added.CreatedAt.Equal(time.Now()) {
			t.Fatalf("added %+v, %v", added, err)
		}
		send(t, topic, Message{ID: "3"})
		time.Sleep(time.Second)
		changed, err := sub.UpdateRule(Rule{Name: "THREE", Filter: prefix("4")})
		if err != nil || !changed.CreatedAt.Equal(added.CreatedAt) {
			t.Fatalf("changed %+v, %v", changed, err)
		}
		send(t, topic, Message{ID: "3"}, Message{ID: "4"})
		wantIDs(t, sub, "1", "3", "4")
	})
}

// meanwhile is a filter during which something else happens.
type meanwhile func() error

func (m meanwhile) Match(*Message) (bool, error) { return false, m() }

func TestRulesThatChangeDuringAFanOutCountFromTheNext(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		var sub *Queue
		change := meanwhile(func() error { return ruleErr(sub.UpdateRule(Rule{Name: "b", Filter: FalseFilter{}})) })
		topic := p.topic("t", Config{})
		sub = p.subscription("t", "s", Config{}, Rule{Name: "a", Filter: change}, Rule{Name: "b", Filter: TrueFilter{}})
		send(t, topic, Message{ID: "1"})
		send(t, topic, Message{ID: "2"})
		wantIDs(t, sub, "1")
	})
}

func TestRuleOperationsAreRefusedWhereTheyDoNotFit(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		p.topic("t", Config{})
		queue, sub := p.queue("q", Config{}), p.subscription("t", "s", Config{}, Rule{Name: "b", Filter: TrueFilter{}})
		if _, err := sub.AddRule(Rule{Name: "a", Filter: TrueFilter{}}); err != nil {
			t.Fatal(err)
		}
		for name, test := range map[string]struct{ got, want error }{
			"add what exists":      {ruleErr(sub.AddRule(Rule{Name: "B", Filter: TrueFilter{}})), ErrEntityExists},
			"add without a filter": {ruleErr(sub.AddRule(Rule{Name: "c"})), ErrInvalid},
			"add a bad name":       {ruleErr(sub.AddRule(Rule{Name: "$c", Filter: TrueFilter{}})), ErrInvalid},
			"add to a queue":       {ruleErr(queue.AddRule(Rule{Name: "c", Filter: TrueFilter{}})), ErrNotAllowed},
			"add to a sub-queue":   {ruleErr(sub.DeadLetter().AddRule(Rule{Name: "c", Filter: TrueFilter{}})), ErrNotAllowed},
			"update what is not":   {ruleErr(sub.UpdateRule(Rule{Name: "c", Filter: TrueFilter{}})), ErrEntityNotFound},
			"get what is not":      {ruleErr(sub.Rule("c")), ErrEntityNotFound},
			"remove what is not":   {sub.RemoveRule("c"), ErrEntityNotFound},
		} {
			if !errors.Is(test.got, test.want) {
				t.Errorf("%s: %v, want %v", name, test.got, test.want)
			}
		}
		if r, err := sub.Rule("A"); err != nil || r.Name != "a" {
			t.Errorf("rule A is %+v, %v", r, err)
		}
		if rules := sub.Rules(); len(rules) != 2 || rules[0].Name != "a" || rules[1].Name != "b" {
			t.Errorf("rules are %+v", rules)
		}
	})
}

func ruleErr(_ Rule, err error) error { return err }
