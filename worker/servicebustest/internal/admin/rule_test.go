package admin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"batchterminator/worker/servicebustest/internal/admin"
	"batchterminator/worker/servicebustest/internal/atom"
	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
)

// newRules returns the rules of subscription s of topic t, and the subscription.
func newRules(t *testing.T) (atom.Store[atom.Rule], *broker.Queue, *admin.Namespace, *broker.Namespace) {
	t.Helper()
	n, b := newNamespace(t, false)
	create(t, n.Topics(), "t", plainTopic)
	subscriptions, err := n.Subscriptions("t")
	if err != nil {
		t.Fatal(err)
	}
	create(t, subscriptions, "s", plainSubscription)
	rules, err := n.Rules("t", "s")
	if err != nil {
		t.Fatal(err)
	}
	q, err := b.Resolve("t/Subscriptions/s")
	if err != nil {
		t.Fatal(err)
	}
	return rules, q, n, b
}

func sql(text string, parameters ...atom.Parameter) atom.SQL {
	return atom.SQL{Expression: text, Parameters: parameters}
}

func TestRulesReachTheBrokerAndBack(t *testing.T) {
	t.Parallel()
	rules, _, _, _ := newRules(t)
	text := "x"
	for name, want := range map[string]atom.Rule{
		"true":  {Filter: atom.TrueFilter{}, Action: atom.EmptyAction{}},
		"false": {Filter: atom.FalseFilter{}, Action: atom.EmptyAction{}},
		"sql": {
			Filter: atom.SQLFilter{SQL: sql("a = @b", atom.Parameter{Name: "@b", Value: int32(1)}, atom.Parameter{Name: "@c", Value: "d"})},
			Action: atom.SQLAction{SQL: sql("SET a = @b", atom.Parameter{Name: "@b", Value: 1.5})},
		},
		"correlation": {Action: atom.EmptyAction{}, Filter: atom.CorrelationFilter{
			CorrelationID: &text, MessageID: &text, To: &text, ReplyTo: &text, Label: &text, SessionID: &text,
			ReplyToSessionID: &text, ContentType: &text, Properties: []atom.Parameter{{Name: "z", Value: true}, {Name: "a", Value: "b"}},
		}},
		"opaque": {Filter: atom.Opaque{Type: "NewFilter"}, Action: atom.Opaque{Type: "NewAction"}},
	} {
		opaque := cmpopts.EquateComparable(atom.Opaque{})
		if diff := cmp.Diff(want, create(t, rules, name, want).Description, opaque); diff != "" {
			t.Errorf("created %s (-want +got):\n%s", name, diff)
		}
		updated, err := rules.Update(name, want)
		if diff := cmp.Diff(want, updated.Description, opaque); diff != "" || err != nil {
			t.Errorf("updated %s, %v (-want +got):\n%s", name, err, diff)
		}
		if err := rules.Delete(name); err != nil {
			t.Errorf("delete %s: %v", name, err)
		}
		if _, err := rules.Get(name); !errors.Is(err, atom.ErrNotFound) {
			t.Errorf("deleted %s: %v", name, err)
		}
	}
}

func TestSubscriptionIsBornWithTheRuleAskedForAlone(t *testing.T) {
	t.Parallel()
	_, _, n, _ := newRules(t)
	subscriptions, err := n.Subscriptions("t")
	if err != nil {
		t.Fatal(err)
	}
	s := plainSubscription
	s.DefaultRule = &atom.NamedRule{Name: "own", Rule: atom.Rule{Filter: atom.FalseFilter{}, Action: atom.EmptyAction{}}}
	create(t, subscriptions, "born", s)
	rules, err := n.Rules("t", "born")
	if err != nil {
		t.Fatal(err)
	}
	list, err := rules.List()
	if err != nil || len(list) != 1 || list[0].Name != "own" || list[0].Description != s.DefaultRule.Rule {
		t.Errorf("rules %+v, %v; want the one asked for", list, err)
	}
}

func TestRulesAddedOverAMQPAreTold(t *testing.T) {
	t.Parallel()
	rules, q, _, _ := newRules(t)
	rule, err := dialect.DecodeRule("r", codec.Map{
		{Key: "correlation-filter", Value: codec.Map{
			{Key: "label", Value: "x"}, {Key: "properties", Value: codec.Map{{Key: "n", Value: int32(7)}}},
		}},
		{Key: "sql-rule-action", Value: codec.Map{{Key: "expression", Value: "REMOVE n"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.AddRule(rule); err != nil {
		t.Fatal(err)
	}
	label := "x"
	want := atom.Rule{
		Filter: atom.CorrelationFilter{Label: &label, Properties: []atom.Parameter{{Name: "n", Value: int32(7)}}},
		Action: atom.SQLAction{SQL: sql("REMOVE n")},
	}
	got, err := rules.Get("R")
	if diff := cmp.Diff(want, got.Description); diff != "" || err != nil || got.Runtime.CreatedAt.IsZero() {
		t.Errorf("%v, created at %v (-want +got):\n%s", err, got.Runtime.CreatedAt, diff)
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	t.Parallel()
	rules, _, n, _ := newRules(t)
	for name, rule := range map[string]atom.Rule{
		"bad filter": {Filter: atom.SQLFilter{SQL: sql("a = ")}, Action: atom.EmptyAction{}},
		"bad action": {Filter: atom.TrueFilter{}, Action: atom.SQLAction{SQL: sql("DROP a")}},
	} {
		if _, err := rules.Create("r", rule); err == nil || !strings.Contains(err.Error(), "character") {
			t.Errorf("%s: %v, want where the text is wrong", name, err)
		}
		subscriptions, err := n.Subscriptions("t")
		if err != nil {
			t.Fatal(err)
		}
		s := plainSubscription
		s.DefaultRule = &atom.NamedRule{Name: "r", Rule: rule}
		if _, err := subscriptions.Create("born", s); err == nil {
			t.Errorf("a subscription with %s is born", name)
		}
	}
	if _, err := rules.Create("$default", atom.Rule{Filter: atom.TrueFilter{}}); !errors.Is(err, atom.ErrExists) {
		t.Errorf("a second default rule: %v", err)
	}
	if _, err := rules.Update("none", atom.Rule{Filter: atom.TrueFilter{}}); !errors.Is(err, atom.ErrNotFound) {
		t.Errorf("update of a missing rule: %v", err)
	}
}

// A filter that only its administrator understands must not pass for one that lets everything or nothing through.
func TestUnknownFilterSendsMessagesToTheDeadLetterQueue(t *testing.T) {
	t.Parallel()
	rules, q, _, b := newRules(t)
	if err := rules.Delete("$Default"); err != nil {
		t.Fatal(err)
	}
	create(t, rules, "r", atom.Rule{Filter: atom.Opaque{Type: "NewFilter"}, Action: atom.EmptyAction{}})
	topic, err := b.Resolve("t")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Enqueue(broker.Message{ID: "1"}); err != nil {
		t.Fatal(err)
	}
	if counts := q.Counts(); counts.DeadLettered != 1 || counts.Active != 0 {
		t.Errorf("%+v, want the message in the dead-letter queue", counts)
	}
}

func TestTopicCountsTheFiltersOfItsSubscriptions(t *testing.T) {
	t.Parallel()
	rules, _, n, _ := newRules(t)
	subscriptions, err := n.Subscriptions("t")
	if err != nil {
		t.Fatal(err)
	}
	create(t, subscriptions, "s2", plainSubscription)
	create(t, rules, "sql", atom.Rule{Filter: atom.SQLFilter{SQL: sql("a = 1")}, Action: atom.EmptyAction{}})
	create(t, rules, "correlation", atom.Rule{Filter: atom.CorrelationFilter{}, Action: atom.EmptyAction{}})
	topic, err := n.Topics().Get("t")
	if r := topic.Runtime; err != nil || r.SQLFilters != 3 || r.CorrelationFilters != 1 || r.Subscriptions != 2 {
		t.Errorf("%+v, %v; want 2 subscriptions with 3 SQL filters, two of them the default, and 1 correlation filter", r, err)
	}
}
