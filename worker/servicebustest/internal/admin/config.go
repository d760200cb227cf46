package admin

import (
	"fmt"

	"batchterminator/worker/servicebustest/internal/atom"
	"batchterminator/worker/servicebustest/internal/broker"
)

// attributes is what the broker keeps for this package alone.
type attributes struct {
	unbatched          bool // the zero value is the service's default
	express            bool
	unordered          bool
	authorizationRules []atom.AuthorizationRule
}

func attributesOf(cfg broker.Config) attributes {
	a, _ := cfg.Attributes.(attributes) // not there for what a test's options created
	return a
}

func queueConfig(q atom.Queue) broker.Config {
	return broker.Config{
		LockDuration: q.LockDuration, MaxSizeInMegabytes: q.MaxSizeInMegabytes,
		RequiresDuplicateDetection: q.RequiresDuplicateDetection, RequiresSession: q.RequiresSession,
		DefaultTTL: q.DefaultMessageTimeToLive, DeadLetterOnExpiration: q.DeadLetteringOnMessageExpiration,
		DuplicateDetectionWindow: q.DuplicateDetectionHistoryTimeWindow, MaxDeliveryCount: q.MaxDeliveryCount,
		Status: statusToBroker[q.Status], AutoDeleteOnIdle: q.AutoDeleteOnIdle, Partitioned: q.EnablePartitioning,
		ForwardTo: q.ForwardTo, ForwardDeadLetteredTo: q.ForwardDeadLetteredMessagesTo, UserMetadata: q.UserMetadata,
		MaxMessageSize: q.MaxMessageSizeInKilobytes * kilobyte,
		Attributes: attributes{
			unbatched: !q.EnableBatchedOperations, express: q.EnableExpress, authorizationRules: q.AuthorizationRules,
		},
	}
}

func queueDescription(cfg broker.Config) atom.Queue {
	a := attributesOf(cfg)
	return atom.Queue{
		LockDuration: cfg.LockDuration, MaxSizeInMegabytes: cfg.MaxSizeInMegabytes,
		RequiresDuplicateDetection: cfg.RequiresDuplicateDetection, RequiresSession: cfg.RequiresSession,
		DefaultMessageTimeToLive: cfg.DefaultTTL, DeadLetteringOnMessageExpiration: cfg.DeadLetterOnExpiration,
		DuplicateDetectionHistoryTimeWindow: cfg.DuplicateDetectionWindow, MaxDeliveryCount: cfg.MaxDeliveryCount,
		EnableBatchedOperations: !a.unbatched, AuthorizationRules: a.authorizationRules,
		Status: statusFromBroker[cfg.Status], AutoDeleteOnIdle: cfg.AutoDeleteOnIdle, EnablePartitioning: cfg.Partitioned,
		EnableExpress: a.express, ForwardTo: cfg.ForwardTo, ForwardDeadLetteredMessagesTo: cfg.ForwardDeadLetteredTo,
		UserMetadata: cfg.UserMetadata, MaxMessageSizeInKilobytes: kilobytes(cfg.MaxMessageSize),
	}
}

func topicConfig(t atom.Topic) broker.Config {
	return broker.Config{
		DefaultTTL: t.DefaultMessageTimeToLive, MaxSizeInMegabytes: t.MaxSizeInMegabytes,
		RequiresDuplicateDetection: t.RequiresDuplicateDetection,
		DuplicateDetectionWindow:   t.DuplicateDetectionHistoryTimeWindow,
		Status:                     statusToBroker[t.Status], UserMetadata: t.UserMetadata,
		AutoDeleteOnIdle: t.AutoDeleteOnIdle, Partitioned: t.EnablePartitioning,
		MaxMessageSize: t.MaxMessageSizeInKilobytes * kilobyte,
		Attributes: attributes{
			unbatched: !t.EnableBatchedOperations, express: t.EnableExpress, unordered: !t.SupportOrdering,
			authorizationRules: t.AuthorizationRules,
		},
	}
}

func topicDescription(cfg broker.Config) atom.Topic {
	a := attributesOf(cfg)
	return atom.Topic{
		DefaultMessageTimeToLive: cfg.DefaultTTL, MaxSizeInMegabytes: cfg.MaxSizeInMegabytes,
		RequiresDuplicateDetection:          cfg.RequiresDuplicateDetection,
		DuplicateDetectionHistoryTimeWindow: cfg.DuplicateDetectionWindow,
		EnableBatchedOperations:             !a.unbatched, AuthorizationRules: a.authorizationRules,
		Status: statusFromBroker[cfg.Status], UserMetadata: cfg.UserMetadata, SupportOrdering: !a.unordered,
		AutoDeleteOnIdle: cfg.AutoDeleteOnIdle, EnablePartitioning: cfg.Partitioned, EnableExpress: a.express,
		MaxMessageSizeInKilobytes: kilobytes(cfg.MaxMessageSize),
	}
}

func subscriptionConfig(s atom.Subscription) broker.Config {
	return broker.Config{
		LockDuration: s.LockDuration, RequiresSession: s.RequiresSession, DefaultTTL: s.DefaultMessageTimeToLive,
		DeadLetterOnExpiration: s.DeadLetteringOnMessageExpiration,
		IgnoreFilterErrors:     !s.DeadLetteringOnFilterEvaluationExceptions, MaxDeliveryCount: s.MaxDeliveryCount,
		Status: statusToBroker[s.Status], ForwardTo: s.ForwardTo, UserMetadata: s.UserMetadata,
		ForwardDeadLetteredTo: s.ForwardDeadLetteredMessagesTo, AutoDeleteOnIdle: s.AutoDeleteOnIdle,
		Attributes: attributes{unbatched: !s.EnableBatchedOperations},
	}
}

func subscriptionDescription(cfg broker.Config) atom.Subscription {
	return atom.Subscription{
		LockDuration: cfg.LockDuration, RequiresSession: cfg.RequiresSession, DefaultMessageTimeToLive: cfg.DefaultTTL,
		DeadLetteringOnMessageExpiration:          cfg.DeadLetterOnExpiration,
		DeadLetteringOnFilterEvaluationExceptions: !cfg.IgnoreFilterErrors, MaxDeliveryCount: cfg.MaxDeliveryCount,
		EnableBatchedOperations: !attributesOf(cfg).unbatched, Status: statusFromBroker[cfg.Status],
		ForwardTo: cfg.ForwardTo, UserMetadata: cfg.UserMetadata, ForwardDeadLetteredMessagesTo: cfg.ForwardDeadLetteredTo,
		AutoDeleteOnIdle: cfg.AutoDeleteOnIdle,
	}
}

var statusToBroker = map[atom.Status]broker.Status{
	atom.Active: broker.StatusActive, atom.Disabled: broker.StatusDisabled,
	atom.SendDisabled: broker.StatusSendDisabled, atom.ReceiveDisabled: broker.StatusReceiveDisabled,
}

var statusFromBroker = map[broker.Status]atom.Status{
	broker.StatusActive: atom.Active, broker.StatusDisabled: atom.Disabled,
	broker.StatusSendDisabled: atom.SendDisabled, broker.StatusReceiveDisabled: atom.ReceiveDisabled,
}

const (
	kilobyte   = 1 << 10
	partitions = 16 // Service Bus: of a partitioned entity in the standard tier
)

func kilobytes(bytes int) int { return (bytes + kilobyte - 1) / kilobyte }

// tier is what the price of a namespace decides.
type tier struct {
	maxMessage int // in kilobytes; the default, and the largest where it is fixed
	largest    int
	partitions int // by which a size is multiplied at creation
}

var (
	standard    = tier{maxMessage: 256, largest: 256, partitions: partitions}
	premiumTier = tier{maxMessage: 1024, largest: 102400, partitions: 1}
)

// create completes what an entity is created with. Service Bus: the size asked for is that of one partition then, and
// that of all of them ever after.
func (t tier) create(cfg broker.Config) (broker.Config, error) {
	if cfg.Partitioned {
		cfg.MaxSizeInMegabytes *= t.partitions
	}
	return t.limit(cfg)
}

// limit holds the size of messages to the tier.
func (t tier) limit(cfg broker.Config) (broker.Config, error) {
	switch size := kilobytes(cfg.MaxMessageSize); {
	case size == 0:
		cfg.MaxMessageSize = t.maxMessage * kilobyte
	case size < t.maxMessage || size > t.largest:
		return cfg, fmt.Errorf("MaxMessageSizeInKilobytes %d is not in %d..%d", size, t.maxMessage, t.largest)
	}
	return cfg, nil
}
