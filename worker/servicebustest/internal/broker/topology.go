package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// CreateQueue adds a queue with its sub-queues.
func (n *Namespace) CreateQueue(name string, cfg Config) (*Queue, error) {
	return n.create(&entity{name: name, kind: KindQueue}, cfg)
}

// CreateTopic adds a topic. What is sent to it ends in its subscriptions; scheduled messages wait in the topic.
func (n *Namespace) CreateTopic(name string, cfg Config) (*Queue, error) {
	return n.create(&entity{name: name, kind: KindTopic}, cfg)
}

// CreateSubscription adds a subscription, with a rule that lets everything in unless others are given.
func (n *Namespace) CreateSubscription(topic, name string, cfg Config, rules ...Rule) (*Queue, error) {
	path := SubscriptionPath(topic, name)
	if err := validateShortName(name); err != nil {
		return nil, fmt.Errorf("create subscription %s: %w", path, err)
	}
	parent, err := n.entity(topic, KindTopic)
	if err != nil {
		return nil, fmt.Errorf("create subscription %s: %w", path, err)
	}
	e := &entity{name: SubscriptionPath(parent.name, name), kind: KindSubscription, topic: parent}
	if len(rules) == 0 {
		rules = []Rule{{Name: DefaultRule, Filter: TrueFilter{}}}
	}
	for _, r := range rules {
		if err := validateRule(r); err != nil {
			return nil, fmt.Errorf("create subscription %s: %w", path, err)
		}
		if i, found := e.findRule(r.Name); !found {
			r.CreatedAt = cmp.Or(r.CreatedAt, time.Now())
			e.rules = slices.Insert(e.rules, i, r)
		}
	}
	return n.create(e, cfg)
}

func (n *Namespace) create(e *entity, cfg Config) (*Queue, error) {
	cfg = cfg.withDefaults()
	err := cfg.validate()
	if e.kind != KindSubscription && err == nil {
		err = validateName(e.name)
	}
	if err == nil {
		err = n.validateTargets(e.name, cfg)
	}
	if err == nil {
		err = n.add(e, cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("create %s %q: %w", strings.ToLower(e.kind.String()), e.name, err)
	}
	return e.main, nil
}

// add makes e ready and known.
func (n *Namespace) add(e *entity, cfg Config) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.closed:
		return ErrClosed
	case n.entities[key(e.name)] != nil:
		return ErrEntityExists
	case e.topic != nil && n.entities[key(e.topic.name)] != e.topic:
		return fmt.Errorf("topic %s: %w", e.topic.name, ErrEntityNotFound)
	}
	e.namespace = n
	e.cfg = cfg
	e.createdAt = time.Now()
	e.updatedAt = e.createdAt
	if n.history {
		e.ledger = newLedger()
	}
	e.dead = newStore(e, e.name+"/"+DeadLetterSuffix)
	e.transferDead = newStore(e, e.name+"/"+TransferSuffix)
	e.main = newStore(e, e.name)
	e.main.dead = e.dead
	if cfg.RequiresSession && e.kind != KindTopic {
		e.main.sessions = newSessions(e.main)
	}
	e.startIdle(cfg.AutoDeleteOnIdle)
	n.entities[key(e.name)] = e
	if e.topic != nil {
		e.topic.subscriptions = append(e.topic.subscriptions, e)
	}
	return nil
}

func newStore(e *entity, path string) *Queue {
	return &Queue{entity: e, path: path, locks: make(map[Token]*entry)}
}

// validateTargets holds Service Bus's rule that what an entity forwards to exists beforehand, and is not itself.
func (n *Namespace) validateTargets(name string, cfg Config) error {
	for _, target := range []string{cfg.ForwardTo, cfg.ForwardDeadLetteredTo} {
		if target == "" {
			continue
		}
		if key(target) == key(name) {
			return invalid("%s forwards to itself", name)
		}
		if _, err := n.target(target); err != nil {
			return err
		}
	}
	return nil
}

// target returns the queue or topic that an entity forwards to.
func (n *Namespace) target(address string) (*entity, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.entities[key(address)]
	if e == nil || e.kind == KindSubscription {
		return nil, fmt.Errorf("forward to %s: %w", address, ErrEntityNotFound)
	}
	return e, nil
}

// entity returns an entity of the kind.
func (n *Namespace) entity(path string, kind Kind) (*entity, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.entities[key(path)]
	if e == nil || e.kind != kind {
		return nil, fmt.Errorf("%v %s: %w", kind, path, ErrEntityNotFound)
	}
	return e, nil
}

// subscriptionsOf returns a topic's subscriptions in order of creation.
func (n *Namespace) subscriptionsOf(topic *entity) []*entity {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(topic.subscriptions)
}
