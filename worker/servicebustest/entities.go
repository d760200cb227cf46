package servicebustest

import (
	"fmt"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
)

// QueueConfig describes a queue. The zero value of a field is the service's default.
type QueueConfig struct {
	LockDuration           time.Duration // default 1 minute, at most 5
	MaxDeliveryCount       int           // default 10
	DefaultTTL             time.Duration // default: messages live for ever
	DeadLetterOnExpiration bool          // default: expired messages are dropped
	MaxMessageSize         int           // bytes; default 262144
	RequiresSession        bool          // messages belong to sessions, and only a session's receiver gets them

	// RequiresDuplicateDetection drops a message whose id was seen less than the window ago.
	RequiresDuplicateDetection bool
	DuplicateDetectionWindow   time.Duration // default 10 minutes

	// Messages are forwarded to a queue or topic, which an option before this one added.
	ForwardTo             string
	ForwardDeadLetteredTo string
}

// TopicConfig describes a topic. The zero value of a field is the service's default.
type TopicConfig struct {
	DefaultTTL     time.Duration // default: messages live for ever; caps that of the subscriptions
	MaxMessageSize int           // bytes; default 262144

	// RequiresDuplicateDetection drops a message whose id was seen less than the window ago.
	RequiresDuplicateDetection bool
	DuplicateDetectionWindow   time.Duration // default 10 minutes
}

// SubscriptionConfig describes a subscription. The zero value of a field is the service's default.
type SubscriptionConfig struct {
	LockDuration           time.Duration // default 1 minute, at most 5
	MaxDeliveryCount       int           // default 10
	DefaultTTL             time.Duration // default: messages live for ever
	DeadLetterOnExpiration bool          // default: expired messages are dropped
	RequiresSession        bool          // messages belong to sessions, and only a session's receiver gets them
	IgnoreFilterErrors     bool          // default: a message that a rule fails on is dead-lettered

	// Rules decide which messages get in; each is enough. Default: one that lets all in.
	Rules []RuleConfig

	// Messages are forwarded to a queue or topic, which an option before this one added.
	ForwardTo             string
	ForwardDeadLetteredTo string
}

// WithQueue adds a queue. Names compare without case.
func WithQueue(name string, cfg QueueConfig) Option {
	return withEntity(func(n *broker.Namespace) error {
		_, err := n.CreateQueue(name, broker.Config{
			LockDuration: cfg.LockDuration, MaxDeliveryCount: cfg.MaxDeliveryCount, DefaultTTL: cfg.DefaultTTL,
			DeadLetterOnExpiration: cfg.DeadLetterOnExpiration, MaxMessageSize: cfg.MaxMessageSize,
			RequiresSession: cfg.RequiresSession, RequiresDuplicateDetection: cfg.RequiresDuplicateDetection,
			DuplicateDetectionWindow: cfg.DuplicateDetectionWindow,
			ForwardTo:                cfg.ForwardTo, ForwardDeadLetteredTo: cfg.ForwardDeadLetteredTo,
		})
		return err
	})
}

// WithTopic adds a topic. What is sent to it ends in its subscriptions.
func WithTopic(name string, cfg TopicConfig) Option {
	return withEntity(func(n *broker.Namespace) error {
		_, err := n.CreateTopic(name, broker.Config{
			DefaultTTL: cfg.DefaultTTL, MaxMessageSize: cfg.MaxMessageSize,
			RequiresDuplicateDetection: cfg.RequiresDuplicateDetection,
			DuplicateDetectionWindow:   cfg.DuplicateDetectionWindow,
		})
		return err
	})
}

// WithSubscription adds a subscription to a topic that an option before this one added.
func WithSubscription(topic, name string, cfg SubscriptionConfig) Option {
	return withEntity(func(n *broker.Namespace) error {
		rules, err := brokerRules(cfg.Rules)
		if err != nil {
			return fmt.Errorf("subscription %s: %w", name, err)
		}
		_, err = n.CreateSubscription(topic, name, broker.Config{
			LockDuration: cfg.LockDuration, MaxDeliveryCount: cfg.MaxDeliveryCount, DefaultTTL: cfg.DefaultTTL,
			DeadLetterOnExpiration: cfg.DeadLetterOnExpiration, RequiresSession: cfg.RequiresSession,
			IgnoreFilterErrors: cfg.IgnoreFilterErrors,
			ForwardTo:          cfg.ForwardTo, ForwardDeadLetteredTo: cfg.ForwardDeadLetteredTo,
		}, rules...)
		return err
	})
}

func withEntity(create func(*broker.Namespace) error) Option {
	return func(s *settings) { s.entities = append(s.entities, create) }
}

// Queue returns the test's view of a queue. An unknown name ends the test, or panics for a server made by Start.
func (s *Server) Queue(name string) *Queue { return s.view(broker.KindQueue, name) }

// Topic returns the test's view of a topic: what is scheduled waits in it, everything else passes through and leaves
// its history.
func (s *Server) Topic(name string) *Queue { return s.view(broker.KindTopic, name) }

// Subscription returns the test's view of a subscription, which receives like a queue and cannot be sent to.
func (s *Server) Subscription(topic, name string) *Queue {
	return s.view(broker.KindSubscription, broker.SubscriptionPath(topic, name))
}

func (s *Server) view(kind broker.Kind, path string) *Queue {
	q, err := s.broker.Resolve(path)
	if err == nil && q.Kind() != kind {
		err = fmt.Errorf("%s is a %v", path, q.Kind())
	}
	if err != nil {
		s.fatalf("servicebustest: %v: %v; add it with With%v", kind, err, kind)
		return nil
	}
	return &Queue{main: q}
}

// Status is what an entity may be used for.
type Status = broker.Status

// The states of an entity.
const (
	StatusActive          = broker.StatusActive
	StatusDisabled        = broker.StatusDisabled
	StatusSendDisabled    = broker.StatusSendDisabled
	StatusReceiveDisabled = broker.StatusReceiveDisabled
)

// SetStatus disables an entity or enables it again, as its administrator would: links that are now forbidden are
// detached with com.microsoft:entity-disabled and refused, the others with amqp:link:detach-forced.
func (s *Server) SetStatus(entity string, status Status) error {
	q, err := s.broker.Resolve(entity)
	if err != nil {
		return fmt.Errorf("servicebustest: set status: %w", err)
	}
	cfg := q.Config()
	cfg.Status = status
	if _, err := s.broker.Update(q.Kind(), entity, cfg); err != nil {
		return fmt.Errorf("servicebustest: %w", err)
	}
	return nil
}

// Delete removes an entity with its messages. Its links are detached with amqp:not-found.
func (s *Server) Delete(entity string) error {
	q, err := s.broker.Resolve(entity)
	if err == nil {
		err = s.broker.Delete(q.Kind(), entity)
	}
	if err != nil {
		return fmt.Errorf("servicebustest: delete: %w", err)
	}
	return nil
}
