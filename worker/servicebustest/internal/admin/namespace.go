package admin

import (
	"errors"
	"strings"
	"time"

	"batchterminator/worker/servicebustest/internal/atom"
	"batchterminator/worker/servicebustest/internal/broker"
)

// Namespace is a broker under administration. It implements [atom.Namespace].
type Namespace struct {
	broker *broker.Namespace
	info   atom.Info
	tier   tier
}

// New returns a namespace that was created now.
func New(b *broker.Namespace, name string, premium bool) *Namespace {
	now := time.Now()
	n := &Namespace{broker: b, tier: standard, info: atom.Info{Name: name, SKU: "Standard", CreatedAt: now, ModifiedAt: now}}
	if premium {
		n.tier, n.info.SKU, n.info.Units = premiumTier, "Premium", 1
	}
	return n
}

// Info implements atom.Namespace.
func (n *Namespace) Info() atom.Info { return n.info }

// Queues implements atom.Namespace.
func (n *Namespace) Queues() atom.Store[atom.Queue] {
	return &store[atom.Queue]{
		Namespace: n, kind: broker.KindQueue, toConfig: queueConfig, fromConfig: queueDescription,
		list: func() ([]broker.Description, error) { return n.broker.Queues(), nil },
		create: func(name string, cfg broker.Config, _ atom.Queue) error {
			_, err := n.broker.CreateQueue(name, cfg)
			return err
		},
	}
}

// Topics implements atom.Namespace.
func (n *Namespace) Topics() atom.Store[atom.Topic] {
	return &store[atom.Topic]{
		Namespace: n, kind: broker.KindTopic, toConfig: topicConfig, fromConfig: topicDescription,
		list: func() ([]broker.Description, error) { return n.broker.Topics(), nil },
		create: func(name string, cfg broker.Config, _ atom.Topic) error {
			_, err := n.broker.CreateTopic(name, cfg)
			return err
		},
	}
}

// Subscriptions implements atom.Namespace.
func (n *Namespace) Subscriptions(topic string) (atom.Store[atom.Subscription], error) {
	if _, err := n.broker.Describe(broker.KindTopic, topic); err != nil {
		return nil, refusal(err)
	}
	return &store[atom.Subscription]{
		Namespace: n, kind: broker.KindSubscription, prefix: broker.SubscriptionPath(topic, ""),
		toConfig: subscriptionConfig, fromConfig: subscriptionDescription,
		list: func() ([]broker.Description, error) { return n.broker.Subscriptions(topic) },
		create: func(name string, cfg broker.Config, s atom.Subscription) error {
			var rules []broker.Rule
			if s.DefaultRule != nil {
				rule, err := brokerRule(s.DefaultRule.Name, s.DefaultRule.Rule)
				if err != nil {
					return err
				}
				rules = append(rules, rule)
			}
			_, err := n.broker.CreateSubscription(topic, name, cfg, rules...)
			return err
		},
	}, nil
}

// refusal translates what the broker says. Its texts name the entity and what is wrong, so that other errors pass.
func refusal(err error) error {
	immutable := (*broker.ImmutableError)(nil)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &immutable):
		return &atom.ImmutableError{Property: immutable.Property}
	case errors.Is(err, broker.ErrEntityNotFound):
		return atom.ErrNotFound
	case errors.Is(err, broker.ErrEntityExists):
		return atom.ErrExists
	}
	return err
}

// lastSegment is the name of a subscription in its path.
func lastSegment(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
