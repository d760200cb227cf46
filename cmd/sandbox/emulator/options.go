package emulator

import (
	"slices"
	"strings"
	"time"

	"batchterminator/worker/servicebustest"
)

// The emulator's defaults, where they are not those of Service Bus.
const (
	defaultTTL        = time.Hour
	defaultDeliveries = 3
	defaultWindow     = 20 * time.Second
)

func or(d *duration, preset time.Duration) time.Duration {
	if d == nil {
		return preset
	}
	return time.Duration(*d)
}

// Options returns what makes a server with the entities of the file.
func (c Config) Options() []servicebustest.Option {
	var options []servicebustest.Option
	for _, t := range c.namespace.Topics {
		options = append(options, servicebustest.WithTopic(t.Name, servicebustest.TopicConfig{
			DefaultTTL:                 or(t.Properties.DefaultMessageTimeToLive, defaultTTL),
			RequiresDuplicateDetection: t.Properties.RequiresDuplicateDetection,
			DuplicateDetectionWindow:   or(t.Properties.DuplicateDetectionHistoryTimeWindow, defaultWindow),
		}))
	}
	for _, q := range c.namespace.inOrder() {
		options = append(options, q.option())
	}
	for _, t := range c.namespace.Topics {
		for _, s := range t.Subscriptions {
			options = append(options, s.option(t.Name))
		}
	}
	return options
}

func (q queue) option() servicebustest.Option {
	p := q.Properties
	return servicebustest.WithQueue(q.Name, servicebustest.QueueConfig{
		LockDuration: or(p.LockDuration, time.Minute), MaxDeliveryCount: p.deliveries(),
		DefaultTTL:                 or(p.DefaultMessageTimeToLive, defaultTTL),
		DeadLetterOnExpiration:     p.DeadLetteringOnMessageExpiration,
		RequiresSession:            p.RequiresSession,
		RequiresDuplicateDetection: p.RequiresDuplicateDetection,
		DuplicateDetectionWindow:   or(p.DuplicateDetectionHistoryTimeWindow, defaultWindow),
		ForwardTo:                  p.ForwardTo, ForwardDeadLetteredTo: p.ForwardDeadLetteredMessagesTo,
	})
}

func (s subscription) option(topic string) servicebustest.Option {
	p := s.Properties
	return servicebustest.WithSubscription(topic, s.Name, servicebustest.SubscriptionConfig{
		LockDuration: or(p.LockDuration, time.Minute), MaxDeliveryCount: p.deliveries(),
		DefaultTTL:             or(p.DefaultMessageTimeToLive, defaultTTL),
		DeadLetterOnExpiration: p.DeadLetteringOnMessageExpiration,
		RequiresSession:        p.RequiresSession,
		ForwardTo:              p.ForwardTo, ForwardDeadLetteredTo: p.ForwardDeadLetteredMessagesTo,
		Rules: s.rules(),
	})
}

func (e entityProperties) deliveries() int {
	if e.MaxDeliveryCount == nil {
		return defaultDeliveries
	}
	return *e.MaxDeliveryCount
}

// rules are in place of the one that lets all in, as soon as there is one.
func (s subscription) rules() []servicebustest.RuleConfig {
	var rules []servicebustest.RuleConfig
	for _, r := range s.Rules {
		made := servicebustest.RuleConfig{Name: r.Name}
		if c := r.Properties.CorrelationFilter; strings.EqualFold(r.Properties.FilterType, correlationType) {
			made.Correlation = &servicebustest.CorrelationFilter{
				MessageID: c.MessageId, CorrelationID: c.CorrelationId, To: c.To, ReplyTo: c.ReplyTo, Subject: c.Label,
				SessionID: c.SessionId, ReplyToSessionID: c.ReplyToSessionId, ContentType: c.ContentType, Properties: c.Properties,
			}
		} else {
			made.SQL = r.Properties.SqlFilter.SqlExpression
		}
		if action := r.Properties.Action; action != nil {
			made.Action = action.SqlExpression
		}
		rules = append(rules, made)
	}
	return rules
}

// Names returns the queues, topics and subscriptions, as addresses.
func (c Config) Names() []string {
	var names []string
	for _, q := range c.namespace.Queues {
		names = append(names, q.Name)
	}
	for _, t := range c.namespace.Topics {
		names = append(names, t.Name)
		for _, s := range t.Subscriptions {
			names = append(names, t.Name+"/Subscriptions/"+s.Name)
		}
	}
	return names
}

// HasQueue says whether the file has a queue of that name.
func (c Config) HasQueue(name string) bool {
	return slices.ContainsFunc(c.namespace.Queues, func(q queue) bool { return strings.EqualFold(q.Name, name) })
}
