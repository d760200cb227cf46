package broker

import (
	"cmp"
	"fmt"
	"time"
)

// Config is what can be set for an entity. The zero value of a field means the service's default. A topic has no use
// for the settings of receiving, a subscription none for those of sending; they are kept and ignored.
type Config struct {
	LockDuration           time.Duration // 1 minute
	MaxDeliveryCount       int           // 10
	DefaultTTL             time.Duration // Forever; caps what the sender asks for
	DeadLetterOnExpiration bool
	MaxMessageSize         int // bytes; 262144, the standard tier

	RequiresSession bool // messages belong to sessions

	// Duplicate detection drops a message whose id was seen less than the window ago.
	RequiresDuplicateDetection bool
	DuplicateDetectionWindow   time.Duration // 10 minutes

	// Forwarding names queues or topics, as bare paths or URLs.
	ForwardTo             string
	ForwardDeadLetteredTo string

	IgnoreFilterErrors bool // subscriptions; default: a message that a filter fails on is dead-lettered

	Status           Status
	AutoDeleteOnIdle time.Duration // Forever
	Partitioned      bool

	// Stored for the administration, without effect on any message.
	MaxSizeInMegabytes int // 1024
	UserMetadata       string
	Attributes         any // opaque; not changed once given
}

func (c Config) withDefaults() Config {
	c.LockDuration = cmp.Or(c.LockDuration, time.Minute)
	c.MaxDeliveryCount = cmp.Or(c.MaxDeliveryCount, 10)
	c.DefaultTTL = cmp.Or(c.DefaultTTL, Forever)
	c.MaxMessageSize = cmp.Or(c.MaxMessageSize, 256<<10)
	c.DuplicateDetectionWindow = cmp.Or(c.DuplicateDetectionWindow, 10*time.Minute)
	c.AutoDeleteOnIdle = cmp.Or(c.AutoDeleteOnIdle, Forever)
	c.MaxSizeInMegabytes = cmp.Or(c.MaxSizeInMegabytes, 1024)
	return c
}

// The bounds of Service Bus.
const (
	maxLockDuration       = 5 * time.Minute
	maxDeliveryCount      = 2000
	minDuplicateDetection = 20 * time.Second
	maxDuplicateDetection = 7 * 24 * time.Hour
	minAutoDeleteOnIdle   = 5 * time.Minute
	maxMessageSizeEver    = 100 << 20 // the premium tier's largest
	maxUserMetadata       = 1024
)

// validate takes a Config with its defaults filled in.
func (c Config) validate() error {
	switch {
	case c.LockDuration < 0 || c.LockDuration > maxLockDuration:
		return invalid("lock duration %v is not in 0..%v", c.LockDuration, maxLockDuration)
	case c.MaxDeliveryCount < 1 || c.MaxDeliveryCount > maxDeliveryCount:
		return invalid("maximum delivery count %d is not in 1..%d", c.MaxDeliveryCount, maxDeliveryCount)
	case c.DefaultTTL < 0:
		return invalid("default time to live %v is negative", c.DefaultTTL)
	case c.MaxMessageSize < 0 || c.MaxMessageSize > maxMessageSizeEver:
		return invalid("maximum message size %d is not in 0..%d", c.MaxMessageSize, maxMessageSizeEver)
	case c.DuplicateDetectionWindow < minDuplicateDetection || c.DuplicateDetectionWindow > maxDuplicateDetection:
		return invalid("duplicate detection window %v is not in %v..%v",
			c.DuplicateDetectionWindow, minDuplicateDetection, maxDuplicateDetection)
	case c.AutoDeleteOnIdle < minAutoDeleteOnIdle:
		return invalid("auto-delete on idle %v is below %v", c.AutoDeleteOnIdle, minAutoDeleteOnIdle)
	case len(c.UserMetadata) > maxUserMetadata:
		return invalid("user metadata has %d bytes, limit %d", len(c.UserMetadata), maxUserMetadata)
	case c.RequiresSession && c.ForwardTo != "":
		return invalid("an entity with sessions cannot forward")
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// unchangeable says which property of an existing entity next would change although Service Bus never lets it.
func (c Config) unchangeable(kind Kind, next Config) error {
	property := ""
	switch {
	case c.RequiresSession != next.RequiresSession:
		property = "RequiresSession"
	case c.RequiresDuplicateDetection != next.RequiresDuplicateDetection:
		property = "RequiresDuplicateDetection"
	case c.Partitioned != next.Partitioned:
		property = "EnablePartitioning"
	default:
		return nil
	}
	return &ImmutableError{Kind: kind, Property: property}
}
