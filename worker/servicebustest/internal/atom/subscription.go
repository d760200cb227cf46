package atom

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var subscriptionKind = kind[Subscription]{
	name: "Subscription", element: "SubscriptionDescription", fields: subscriptionFields,
	denied:  operation("Subscription"),
	targets: func(s *Subscription) []*string { return []*string{&s.ForwardTo, &s.ForwardDeadLetteredMessagesTo} },
	defaults: func() Subscription {
		return Subscription{
			LockDuration: time.Minute, DefaultMessageTimeToLive: timeless,
			DeadLetteringOnFilterEvaluationExceptions: true, MaxDeliveryCount: 10, EnableBatchedOperations: true,
			Status: Active, AutoDeleteOnIdle: timeless,
		}
	},
}

func subscriptionFields(e *Entity[Subscription]) []field {
	s, r := &e.Description, &e.Runtime
	return []field{
		duration("LockDuration", &s.LockDuration),
		boolean("RequiresSession", &s.RequiresSession),
		duration("DefaultMessageTimeToLive", &s.DefaultMessageTimeToLive),
		boolean("DeadLetteringOnMessageExpiration", &s.DeadLetteringOnMessageExpiration),
		boolean("DeadLetteringOnFilterEvaluationExceptions", &s.DeadLetteringOnFilterEvaluationExceptions),
		defaultRule(&s.DefaultRule),
		told("MessageCount", strconv.Itoa(r.total())),
		integer("MaxDeliveryCount", &s.MaxDeliveryCount),
		boolean("EnableBatchedOperations", &s.EnableBatchedOperations),
		status("Status", &s.Status),
		optional("ForwardTo", &s.ForwardTo),
		toldTime("CreatedAt", r.CreatedAt),
		toldTime("UpdatedAt", r.UpdatedAt),
		toldTime("AccessedAt", subscriptionAccess(r)),
		optional("UserMetadata", &s.UserMetadata),
		optional("ForwardDeadLetteredMessagesTo", &s.ForwardDeadLetteredMessagesTo),
		countDetails(r),
		duration("AutoDeleteOnIdle", &s.AutoDeleteOnIdle),
		told("EntityAvailabilityStatus", "Available"),
	}
}

// subscriptionAccess: in Service Bus creating a subscription is an access to it, unlike a queue's or a topic's.
func subscriptionAccess(r *Runtime) time.Time {
	if r.AccessedAt.IsZero() {
		return r.CreatedAt
	}
	return r.AccessedAt
}

// defaultRule is part of a request to create and never of an answer.
func defaultRule(rule **NamedRule) field {
	return field{name: "DefaultRuleDescription", read: func(n *node) error {
		e := Entity[Rule]{Description: ruleKind.defaults()}
		if err := readFields(n, ruleFields(&e)); err != nil {
			return err
		}
		*rule = &NamedRule{Name: cmp.Or(ruleName(n), DefaultRuleName), Rule: e.Description}
		return nil
	}}
}

// operation is how the service refuses what concerns subscriptions and rules: by the name of its own operation.
func operation(kind string) func(verb, string) string {
	return func(v verb, url string) string {
		name := map[verb]string{get: "Get", list: "Enumerate", put: "CreateOrUpdate", remove: "Delete"}[v] + kind
		if v == list {
			name += "s"
		}
		return fmt.Sprintf("401 SubCode=40100: Unauthorized : Unauthorized access for '%s' operation on endpoint '%s'.",
			name, strings.ToLower(url))
	}
}
