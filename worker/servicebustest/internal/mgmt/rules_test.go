package mgmt

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/message"
)

// newSubscription returns a topic and its only subscription.
func newSubscription(t *testing.T) (topic, subscription *broker.Queue) {
	t.Helper()
	n := broker.NewNamespace(true)
	t.Cleanup(n.Close)
	topic, err := n.CreateTopic("events", broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	subscription, err = n.CreateSubscription("events", "all", broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return topic, subscription
}

func rule(name, condition, action string) codec.Map {
	description := codec.Map{{Key: "sql-filter", Value: codec.Map{{Key: "expression", Value: condition}}}}
	if action != "" {
		description = append(description, codec.Pair{Key: "sql-rule-action", Value: codec.Map{{Key: "expression", Value: action}}})
	}
	return codec.Map{{Key: "rule-name", Value: name}, {Key: "rule-description", Value: description}}
}

func named(name string) codec.Map { return codec.Map{{Key: "rule-name", Value: name}} }

// names returns the names in a reply to enumerate-rules.
func names(t *testing.T, body codec.Map) []string {
	t.Helper()
	v, _ := body.Get("rules")
	list, _ := v.([]any)
	var names []string
	for _, e := range list {
		v, _ := e.(codec.Map).Get("rule-description")
		described, ok := v.(codec.Described)
		if !ok || described.Descriptor != uint64(0x13700000004) {
			t.Fatalf("rule is %v", v)
		}
		names = append(names, described.Value.([]any)[2].(string))
	}
	return names
}

func enumerate(t *testing.T, q *broker.Queue, skip, top int32) (int32, []string) {
	t.Helper()
	status, condition, body := request(t, q, "com.microsoft:enumerate-rules", codec.Map{{Key: "skip", Value: skip}, {Key: "top", Value: top}})
	if condition != "" {
		t.Fatalf("enumerate-rules answered %d %s", status, condition)
	}
	return status, names(t, body)
}

func TestRulesAreAddedEnumeratedInPagesAndRemoved(t *testing.T) {
	t.Parallel()
	_, q := newSubscription(t)
	for _, name := range []string{"c", "A", "b"} {
		status, condition, _ := request(t, q, "com.microsoft:add-rule", rule(name, "1=1", ""))
		want(t, status, condition, 200, "")
	}
	for _, page := range []struct {
		skip, top int32
		want      []string
	}{
		{0, math.MaxInt32, []string{"$Default", "A", "b", "c"}}, {0, 2, []string{"$Default", "A"}}, {2, 2, []string{"b", "c"}},
		{3, 2, []string{"c"}}, {4, 2, nil}, {5, 1, nil}, {0, 0, nil},
	} {
		status, got := enumerate(t, q, page.skip, page.top)
		if !slices.Equal(got, page.want) || (status == 204) != (len(got) == 0) {
			t.Errorf("skip %d, top %d: %d %v, want %v", page.skip, page.top, status, got, page.want)
		}
	}
	status, condition, body := request(t, q, "com.microsoft:enumerate-rules", codec.Map{})
	want(t, status, condition, 200, "")
	if got := names(t, body); len(got) != 4 {
		t.Errorf("without skip and top: %v", got)
	}
	for _, name := range []string{"$default", "a"} {
		status, condition, _ := request(t, q, "com.microsoft:remove-rule", named(name))
		want(t, status, condition, 200, "")
	}
	if _, got := enumerate(t, q, 0, 100); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("left are %v", got)
	}
}

func TestAddedRulesDecideAboutLaterMessages(t *testing.T) {
	t.Parallel()
	topic, q := newSubscription(t)
	store(t, topic, "before")
	for operation, body := range map[string]codec.Map{
		"remove-rule": named("$Default"), "add-rule": rule("large", "size > 10 AND color = 'red'", "SET size = size - 1; SET sys.Label = 'large'"),
	} {
		status, condition, _ := request(t, q, "com.microsoft:"+operation, body)
		want(t, status, condition, 200, "")
	}
	for size := range int32(13) {
		m := &message.Message{}
		m.SetData([]byte(fmt.Sprint(size)))
		for key, value := range map[string]any{"size": size, "color": "red"} {
			if err := m.ApplicationProperties.Set(key, value); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := topic.Enqueue(dialect.Message(m, 0)); err != nil {
			t.Fatal(err)
		}
	}
	got := q.Acquire(nil, 10, broker.PeekLock)
	if len(got) != 3 {
		t.Fatalf("%d messages came, want the one before the rule and the two that it lets in", len(got))
	}
	for i, m := range got[1:] {
		wire := dialect.Wire(m.Message)
		size, _ := wire.ApplicationProperties.Get("size")
		name, _ := wire.ApplicationProperties.Get("RuleName")
		if size != int32(10+i) || name != "large" || wire.Properties().Subject != "large" {
			t.Errorf("message %d has size %v (%T), rule %v and label %q", i, size, size, name, wire.Properties().Subject)
		}
	}
}

func TestAFilterWithoutAnAnswerDeadLetters(t *testing.T) {
	t.Parallel()
	topic, q := newSubscription(t)
	for operation, body := range map[string]codec.Map{"remove-rule": named("$Default"), "add-rule": rule("broken", "1 / 0 = 1", "")} {
		status, condition, _ := request(t, q, "com.microsoft:"+operation, body)
		want(t, status, condition, 200, "")
	}
	store(t, topic, "a")
	m := lock(t, q.DeadLetter())
	const description = "rule broken: filter: sql filter: 1 / 0: an integer / an integer: division by zero"
	if m.Overlay[broker.PropertyDeadLetterReason] != "FilterException" || m.Overlay[broker.PropertyDeadLetterDescription] != description {
		t.Errorf("dead-lettered for %v", m.Overlay)
	}
}

func TestRuleRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	_, q := newSubscription(t)
	status, condition, _ := request(t, q, "com.microsoft:add-rule", rule("taken", "1=1", ""))
	want(t, status, condition, 200, "")
	for name, test := range map[string]struct {
		operation string
		body      codec.Map
		status    int32
		condition string
	}{
		"name is taken":       {"add-rule", rule("TAKEN", "1=1", ""), 409, "com.microsoft:entity-already-exists"},
		"filter has an error": {"add-rule", rule("new", "color =", ""), 400, "com.microsoft:argument-error"},
		"action has an error": {"add-rule", rule("new", "1=1", "DROP a"), 400, "com.microsoft:argument-error"},
		"name is not allowed": {"add-rule", rule("not allowed", "1=1", ""), 400, "com.microsoft:argument-error"},
		"no name":             {"add-rule", rule("", "1=1", ""), 400, "com.microsoft:argument-error"},
		"name is a number":    {"add-rule", codec.Map{{Key: "rule-name", Value: int64(1)}}, 400, "com.microsoft:argument-error"},
		"no description":      {"add-rule", named("new"), 400, "com.microsoft:argument-error"},
		"nothing to remove":   {"remove-rule", named("nobody"), 404, "amqp:not-found"},
		"remove without name": {"remove-rule", codec.Map{}, 400, "com.microsoft:argument-error"},
		"skip is text":        {"enumerate-rules", codec.Map{{Key: "skip", Value: "1"}}, 400, "com.microsoft:argument-error"},
		"top is text":         {"enumerate-rules", codec.Map{{Key: "top", Value: "1"}}, 400, "com.microsoft:argument-error"},
		"skip is negative":    {"enumerate-rules", codec.Map{{Key: "skip", Value: int32(-1)}}, 400, "com.microsoft:argument-error"},
	} {
		status, condition, _ := request(t, q, "com.microsoft:"+test.operation, test.body)
		if status != test.status || condition != test.condition {
			t.Errorf("%s: answered %d %s, want %d %s", name, status, condition, test.status, test.condition)
		}
	}
	if _, got := enumerate(t, q, 0, 100); !slices.Equal(got, []string{"$Default", "taken"}) {
		t.Errorf("a refused request had an effect: %v", got)
	}
}

func TestOnlySubscriptionsHaveRules(t *testing.T) {
	t.Parallel()
	topic, subscription := newSubscription(t)
	for _, q := range []*broker.Queue{topic, subscription.DeadLetter(), newQueue(t, broker.Config{})} {
		for operation, body := range map[string]codec.Map{
			"enumerate-rules": {}, "add-rule": rule("new", "1=1", ""), "remove-rule": named("$Default"),
		} {
			status, condition, _ := request(t, q, "com.microsoft:"+operation, body)
			if status != 400 || condition != "amqp:not-allowed" {
				t.Errorf("%s on %s: answered %d %s", operation, q.Path(), status, condition)
			}
		}
	}
}

// opaque is a filter that was administered some other way.
type opaque struct{}

func (opaque) Match(*broker.Message) (bool, error) { return false, nil }

func TestARuleThatCannotBeDescribedIsNotHidden(t *testing.T) {
	t.Parallel()
	_, q := newSubscription(t)
	if _, err := q.AddRule(broker.Rule{Name: "opaque", Filter: opaque{}}); err != nil {
		t.Fatal(err)
	}
	status, condition, _ := request(t, q, "com.microsoft:enumerate-rules", codec.Map{})
	want(t, status, condition, 501, "amqp:not-implemented")
}
