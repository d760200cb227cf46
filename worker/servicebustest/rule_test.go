package servicebustest_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest"
)

func TestRulesOfASubscriptionDecideWhatGetsIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		options := []servicebustest.Option{servicebustest.WithTopic("events", servicebustest.TopicConfig{})}
		for name, rules := range map[string][]servicebustest.RuleConfig{
			"all":    nil,
			"sql":    {{Name: "r", SQL: "sys.Label = 'a' AND n > 1", Action: "SET seen = 'yes'"}},
			"values": {{Name: "r", Correlation: &servicebustest.CorrelationFilter{Subject: "a", Properties: map[string]any{"n": 1}}}},
			"either": {{Name: "r", SQL: "n = 1"}, {Name: "s", Correlation: &servicebustest.CorrelationFilter{Subject: "b"}}},
		} {
			options = append(options, servicebustest.WithSubscription("events", name, servicebustest.SubscriptionConfig{Rules: rules}))
		}
		s := servicebustest.New(t, options...)
		for id, m := range map[string]servicebustest.Message{
			"a1": {Subject: "a", Properties: map[string]any{"n": 1}},
			"a2": {Subject: "a", Properties: map[string]any{"n": 2}},
			"b3": {Subject: "b", Properties: map[string]any{"n": 3}},
		} {
			m.ID = id
			if _, err := s.Topic("events").Send(m); err != nil {
				t.Fatal(err)
			}
		}
		for name, want := range map[string]map[string]bool{
			"all": {"a1": true, "a2": true, "b3": true}, "sql": {"a2": true}, "values": {"a1": true}, "either": {"a1": true, "b3": true},
		} {
			got := map[string]bool{}
			for _, m := range s.Subscription("events", name).Messages() {
				got[m.ID] = true
				if name == "sql" && m.Properties["seen"] != "yes" {
					t.Errorf("the action left %v", m.Properties)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

func TestRuleThatDecidesNothingIsRefused(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]servicebustest.RuleConfig{
		"neither":    {Name: "r"},
		"both":       {Name: "r", SQL: "1=1", Correlation: &servicebustest.CorrelationFilter{}},
		"bad filter": {Name: "r", SQL: "n ="},
		"bad action": {Name: "r", SQL: "1=1", Action: "DROP n"},
		"bad name":   {Name: "a/b", SQL: "1=1"},
	} {
		s, err := servicebustest.Start(servicebustest.WithTopic("t", servicebustest.TopicConfig{}),
			servicebustest.WithSubscription("t", "s", servicebustest.SubscriptionConfig{Rules: []servicebustest.RuleConfig{rule}}))
		if err == nil {
			t.Errorf("%s: started", name)
			_ = s.Close()
		}
	}
}
