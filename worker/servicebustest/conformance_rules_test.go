package servicebustest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest"
)

const topicName = "events"

// inTopicBubble runs a test with a topic, the subscriptions with the rules they are given, and the real SDK.
func inTopicBubble(t *testing.T, subscriptions map[string][]servicebustest.RuleConfig, test func(t *testing.T, r rig)) {
	t.Helper()
	t.Parallel()
	opts := []servicebustest.Option{servicebustest.WithTopic(topicName, servicebustest.TopicConfig{})}
	for name, rules := range subscriptions {
		opts = append(opts, servicebustest.WithSubscription(topicName, name, servicebustest.SubscriptionConfig{Rules: rules}))
	}
	synctest.Test(t, func(t *testing.T) {
		s := servicebustest.New(t, opts...)
		test(t, rig{Server: s, client: newClient(t, s)})
	})
}

func (r rig) publish(t *testing.T, messages ...*azservicebus.Message) {
	t.Helper()
	sender, err := r.client.NewSender(topicName, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closeLink(t, sender.Close)
	for _, m := range messages {
		if err := sender.SendMessage(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// take receives and deletes all that a subscription has.
func (r rig) take(t *testing.T, subscription string, options *azservicebus.ReceiverOptions) []*azservicebus.ReceivedMessage {
	t.Helper()
	receiver, err := r.client.NewReceiverForSubscription(topicName, subscription, options)
	if err != nil {
		t.Fatal(err)
	}
	defer closeLink(t, receiver.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	messages, err := receiver.ReceiveMessages(ctx, 1000, nil)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return messages
}

var deleting = &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete}

func bodies(messages []*azservicebus.ReceivedMessage) []string {
	var bodies []string
	for _, m := range messages {
		bodies = append(bodies, string(m.Body))
	}
	return bodies
}

func TestFiltersChooseAmongMessagesOfTheSDK(t *testing.T) {
	filters := map[string]struct {
		filter string
		want   []string
	}{
		"all":       {"1=1", []string{"small", "large", "other"}},
		"none":      {"1=0", nil},
		"number":    {"Amount >= 100", []string{"large"}},
		"label":     {"sys.Label LIKE 'order.%'", []string{"small", "large"}},
		"session":   {"sys.SessionId = 's' OR sys.CorrelationId = 'c'", []string{"large", "other"}},
		"missing":   {"NOT EXISTS(Amount)", []string{"other"}},
		"three":     {"NOT (Amount > 100)", []string{"small"}},
		"in":        {"color IN ('red', 'green') AND Amount IS NOT NULL", []string{"small"}},
		"lifetime":  {"sys.TimeToLive < @hour", []string{"small"}},
		"when":      {"at + @hour > sys.EnqueuedTimeUtc", []string{"large"}},
		"id":        {"sys.MessageId = '1' OR property('col' + 'or') = 'blue'", []string{"small", "large"}},
		"precision": {"ratio * 2 = 0.5", []string{"other"}},
	}
	rules := make(map[string][]servicebustest.RuleConfig)
	for name, f := range filters {
		rules[name] = []servicebustest.RuleConfig{{Name: "only", SQL: f.filter, Parameters: map[string]any{"hour": time.Hour}}}
	}
	inTopicBubble(t, rules, func(t *testing.T, r rig) {
		r.publish(t,
			&azservicebus.Message{
				Body: []byte("small"), MessageID: new("1"), Subject: new("order.made"), TimeToLive: new(time.Minute),
				ApplicationProperties: map[string]any{"amount": int32(5), "color": "red"},
			},
			&azservicebus.Message{
				Body: []byte("large"), Subject: new("order.paid"), SessionID: new("s"),
				ApplicationProperties: map[string]any{"AMOUNT": int64(1000), "color": "blue", "at": time.Now()},
			},
			&azservicebus.Message{
				Body: []byte("other"), CorrelationID: new("c"), ApplicationProperties: map[string]any{"ratio": float32(0.25)},
			},
		)
		for name, f := range filters {
			if got := bodies(r.take(t, name, deleting)); !slices.Equal(got, f.want) {
				t.Errorf("%s: %s lets in %v, want %v", name, f.filter, got, f.want)
			}
		}
	})
}

func TestActionsChangeOnlyTheirOwnCopy(t *testing.T) {
	inTopicBubble(t, map[string][]servicebustest.RuleConfig{
		"plain": nil,
		"changed": {
			{Name: "a", SQL: "color = 'red'", Action: "SET amount = amount / 2; REMOVE color SET sys.Label = 'half' SET [new one] = TRUE"},
			{Name: "b", SQL: "amount > 5"}, {Name: "c", SQL: "1=1"},
			{Name: "d", SQL: "amount > 1000", Action: "SET color = 'never'"},
		},
	}, func(t *testing.T, r rig) {
		sent := map[string]any{"amount": int32(10), "color": "red"}
		r.publish(t, &azservicebus.Message{Body: []byte("x"), Subject: new("whole"), ApplicationProperties: sent})
		for subscription, want := range map[string][]map[string]any{
			"plain":   {sent},
			"changed": {{"amount": int32(5), "new one": true, "RuleName": "a"}, sent}, // one for the action, one for the others together
		} {
			var got []map[string]any
			for _, m := range r.take(t, subscription, deleting) {
				got = append(got, m.ApplicationProperties)
				if label := map[bool]string{true: "half", false: "whole"}[m.ApplicationProperties["RuleName"] == "a"]; *m.Subject != label {
					t.Errorf("%s: label %q, want %q", subscription, *m.Subject, label)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: properties differ (-want +got):\n%s", subscription, diff)
			}
		}
	})
}

func TestMessageThatARuleFailsOnIsDeadLettered(t *testing.T) {
	inTopicBubble(t, map[string][]servicebustest.RuleConfig{"strict": {{Name: "sized", SQL: "amount > 10"}}}, func(t *testing.T, r rig) {
		r.publish(t, &azservicebus.Message{ApplicationProperties: map[string]any{"amount": "many"}})
		dead := r.take(t, "strict", &azservicebus.ReceiverOptions{
			ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete, SubQueue: azservicebus.SubQueueDeadLetter,
		})
		const want = "rule sized: filter: sql filter: amount > 10: a string > an integer: no such operator"
		if len(dead) != 1 || *dead[0].DeadLetterReason != "FilterException" || *dead[0].DeadLetterErrorDescription != want {
			t.Fatalf("dead-lettered %d messages: %+v", len(dead), dead)
		}
	})
}

func TestScheduledMessageIsFilteredWhenItIsDue(t *testing.T) {
	inTopicBubble(t, map[string][]servicebustest.RuleConfig{"s": {
		{Name: "early", SQL: "sys.EnqueuedTimeUtc < due"},
		{Name: "late", SQL: "sys.EnqueuedTimeUtc >= due", Action: "SET late = 1"},
	}}, func(t *testing.T, r rig) {
		due := time.Now().Add(time.Hour)
		r.publish(t, &azservicebus.Message{ScheduledEnqueueTime: &due, ApplicationProperties: map[string]any{"due": due}})
		time.Sleep(time.Hour)
		if got := r.take(t, "s", deleting); len(got) != 1 || got[0].ApplicationProperties["late"] != int64(1) {
			t.Fatalf("received %d messages: %+v", len(got), got)
		}
	})
}

func TestRulesThatAdministratorsMakeDecide(t *testing.T) {
	inTopicBubble(t, map[string][]servicebustest.RuleConfig{"s": nil}, func(t *testing.T, r rig) {
		administration := newAdminClient(t, r.Server)
		if _, err := administration.DeleteRule(t.Context(), topicName, "s", "$Default", nil); err != nil {
			t.Fatal(err)
		}
		for _, rule := range []admin.CreateRuleOptions{
			{Name: new("sql"), Filter: &admin.SQLFilter{Expression: "n = @n OR since = @t", Parameters: map[string]any{"@n": int64(1), "@t": time.UnixMilli(5000).UTC()}}},
			{Name: new("exact"), Filter: &admin.CorrelationFilter{Subject: new("x"), ApplicationProperties: map[string]any{"n": int64(2)}},
				Action: &admin.SQLAction{Expression: "SET by = @who", Parameters: map[string]any{"@who": "rule"}}},
		} {
			if _, err := administration.CreateRule(t.Context(), topicName, "s", &rule); err != nil {
				t.Fatal(err)
			}
		}
		_, err := administration.CreateRule(t.Context(), topicName, "s", &admin.CreateRuleOptions{Name: new("bad"), Filter: &admin.SQLFilter{Expression: "n ="}})
		if err == nil || !strings.Contains(err.Error(), "character 4: expected a property") {
			t.Errorf("a filter with an error: %v", err)
		}
		for i := range int32(4) {
			r.publish(t, &azservicebus.Message{Body: fmt.Append(nil, i), Subject: new("x"), ApplicationProperties: map[string]any{"n": i}})
		}
		r.publish(t, &azservicebus.Message{Body: []byte("since"), ApplicationProperties: map[string]any{"since": time.UnixMilli(5000)}})
		got := r.take(t, "s", deleting)
		if want := []string{"1", "2", "since"}; !slices.Equal(bodies(got), want) {
			t.Fatalf("received %v, want %v", bodies(got), want)
		}
		if got[1].ApplicationProperties["by"] != "rule" || got[0].ApplicationProperties["by"] != nil {
			t.Errorf("the action of a rule belongs to its own copy: %v, %v", got[0].ApplicationProperties, got[1].ApplicationProperties)
		}
	})
}

// manage sends one request to a management node, below the SDK, which has no such call.
func manage(t *testing.T, s *servicebustest.Server, entity, operation string, body map[string]any) *amqp.Message {
	t.Helper()
	session := rawSession(t, s)
	const replyTo = "reply-here"
	sender, err := session.NewSender(t.Context(), entity+"/$management", nil)
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := session.NewReceiver(t.Context(), entity+"/$management", &amqp.ReceiverOptions{TargetAddress: replyTo})
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(t.Context(), &amqp.Message{
		Properties:            &amqp.MessageProperties{MessageID: "1", ReplyTo: new(replyTo)},
		ApplicationProperties: map[string]any{"operation": "com.microsoft:" + operation}, Value: body,
	}, nil); err != nil {
		t.Fatal(err)
	}
	reply, err := receiver.Receive(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestRulesOverManagement(t *testing.T) {
	inTopicBubble(t, map[string][]servicebustest.RuleConfig{"s": nil}, func(t *testing.T, r rig) {
		entity := topicName + "/Subscriptions/s"
		for _, step := range []struct {
			operation string
			body      map[string]any
			status    int32
		}{
			{"add-rule", map[string]any{"rule-name": "red", "rule-description": map[string]any{"correlation-filter": map[string]any{"properties": map[string]any{"color": "red"}}}}, 200},
			{"add-rule", map[string]any{"rule-name": "RED", "rule-description": map[string]any{}}, 409},
			{"add-rule", map[string]any{"rule-name": "bad", "rule-description": map[string]any{"sql-filter": map[string]any{"expression": "a &"}}}, 400},
			{"remove-rule", map[string]any{"rule-name": "$Default"}, 200},
			{"remove-rule", map[string]any{"rule-name": "$Default"}, 404},
			{"enumerate-rules", map[string]any{"top": int32(100), "skip": int32(1)}, 204},
			{"enumerate-rules", map[string]any{"top": int32(100), "skip": int32(0)}, 200},
		} {
			if got := manage(t, r.Server, entity, step.operation, step.body).ApplicationProperties["statusCode"]; got != step.status {
				t.Errorf("%s %v answered %v, want %d", step.operation, step.body, got, step.status)
			}
		}
		r.publish(t, &azservicebus.Message{Body: []byte("r"), ApplicationProperties: map[string]any{"color": "red"}},
			&azservicebus.Message{Body: []byte("R"), ApplicationProperties: map[string]any{"color": "Red"}})
		if got := bodies(r.take(t, "s", deleting)); !slices.Equal(got, []string{"r"}) {
			t.Errorf("received %v, want only r", got)
		}
	})
}

func TestBatchDeletionOverManagement(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 5)
		reply := manage(t, r.Server, queueName, "batch-delete-messages", map[string]any{"message-count": int32(3), "enqueued-time-utc": time.Now()})
		if body, _ := reply.Value.(map[string]any); body["message-count"] != int32(3) {
			t.Fatalf("deleted %v", reply.Value)
		}
		if m := receiveOne(t, r.receiver(t)); string(m.Body) != "body 4" {
			t.Fatalf("left is %s", m.Body)
		}
	})
}
