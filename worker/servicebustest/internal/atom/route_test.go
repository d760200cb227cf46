package atom

import "testing"

func TestRoutesCountFromTheEnd(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]route{
		"/":                              {kind: toRoot},
		"/$NamespaceInfo":                {kind: toNamespace},
		"/$resources/queues/":            {kind: toQueues},
		"/$Resources/Topics":             {kind: toTopics},
		"/q":                             {kind: toEntity, entity: "q"},
		"/a/b/c":                         {kind: toEntity, entity: "a/b/c"},
		"/q/$DeadLetterQueue":            {kind: toEntity, entity: "q/$DeadLetterQueue"},
		"/t/Subscriptions":               {kind: toSubscriptions, entity: "t"},
		"/a/t/subscriptions/":            {kind: toSubscriptions, entity: "a/t"},
		"/a/t/SUBSCRIPTIONS/s":           {kind: toSubscription, entity: "a/t", subscription: "s"},
		"/t/Subscriptions/Rules":         {kind: toSubscription, entity: "t", subscription: "Rules"},
		"/t/Subscriptions/s/Rules":       {kind: toRules, entity: "t", subscription: "s"},
		"/t/Subscriptions/s/rules/":      {kind: toRules, entity: "t", subscription: "s"},
		"/a/t/Subscriptions/s/Rules/r":   {kind: toRule, entity: "a/t", subscription: "s", rule: "r"},
		"/t/Subscriptions/s/Rules/Rules": {kind: toRule, entity: "t", subscription: "s", rule: "Rules"},
		"/Subscriptions":                 {kind: toEntity, entity: "Subscriptions"},
		"/Subscriptions/s":               {kind: toEntity, entity: "Subscriptions/s"},
		"/Subscriptions/Subscriptions/s": {kind: toSubscription, entity: "Subscriptions", subscription: "s"},
		"/t/Subscriptions/s/Else/r":      {kind: toEntity, entity: "t/Subscriptions/s/Else/r"},
	} {
		if got := parseRoute(path); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}
