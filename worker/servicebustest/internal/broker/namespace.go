package broker

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

// Forever is the time to live of a message that never expires.
const Forever = time.Duration(math.MaxInt64)

// Config is what can be set for a queue. The zero value of a field means the service's default.
type Config struct {
	LockDuration           time.Duration // 1 minute
	MaxDeliveryCount       int           // 10
	DefaultTTL             time.Duration // Forever; caps what the sender asks for
	DeadLetterOnExpiration bool
	MaxMessageSize         int // bytes; 262144, the standard tier
	RequiresSession        bool

	// Not emulated: CreateQueue refuses it.
	RequiresDuplicateDetection bool
}

func (c Config) withDefaults() Config {
	c.LockDuration = cmp.Or(c.LockDuration, time.Minute)
	c.MaxDeliveryCount = cmp.Or(c.MaxDeliveryCount, 10)
	c.DefaultTTL = cmp.Or(c.DefaultTTL, Forever)
	c.MaxMessageSize = cmp.Or(c.MaxMessageSize, 256<<10)
	return c
}

func (c Config) validate() error {
	switch {
	case c.RequiresDuplicateDetection:
		return fmt.Errorf("duplicate detection: %w", ErrNotImplemented)
	case c.LockDuration < 0 || c.LockDuration > 5*time.Minute:
		return fmt.Errorf("lock duration %v is not in 0..5m", c.LockDuration)
	case c.MaxDeliveryCount < 0:
		return fmt.Errorf("maximum delivery count %d is negative", c.MaxDeliveryCount)
	case c.DefaultTTL < 0:
		return fmt.Errorf("default time to live %v is negative", c.DefaultTTL)
	case c.MaxMessageSize < 0:
		return fmt.Errorf("maximum message size %d is negative", c.MaxMessageSize)
	}
	return nil
}

// Namespace is a set of entities by name.
type Namespace struct {
	history bool

	mu       sync.Mutex
	entities map[string]*entity // by lower-case name; any goroutine, under mu
	closed   bool               // any goroutine, under mu
}

// NewNamespace returns an empty namespace. With history each entity remembers every message it ever had, which grows
// with traffic.
func NewNamespace(history bool) *Namespace {
	return &Namespace{history: history, entities: make(map[string]*entity)}
}

// CreateQueue adds a queue with its dead-letter sub-queue.
func (n *Namespace) CreateQueue(name string, cfg Config) (*Queue, error) {
	if err := validateName(name); err != nil {
		return nil, fmt.Errorf("create queue %q: %w", name, err)
	}
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("create queue %q: %w", name, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	key := strings.ToLower(name)
	switch {
	case n.closed:
		return nil, fmt.Errorf("create queue %q: %w", name, ErrClosed)
	case n.entities[key] != nil:
		return nil, fmt.Errorf("create queue %q: %w", name, ErrEntityExists)
	}
	e := &entity{name: name, cfg: cfg.withDefaults()}
	if n.history {
		e.ledger = newLedger()
	}
	e.dead = &Queue{entity: e, path: name + "/" + DeadLetterSuffix, locks: make(map[Token]*entry)}
	e.main = &Queue{entity: e, path: name, dead: e.dead, locks: make(map[Token]*entry)}
	if cfg.RequiresSession {
		e.main.sessions = newSessions(e.main)
	}
	n.entities[key] = e
	return e.main, nil
}

// Close stops every timer and waits for those under way. Messages stay readable, nothing more is accepted.
func (n *Namespace) Close() {
	n.mu.Lock()
	n.closed = true
	entities := make([]*entity, 0, len(n.entities))
	for _, e := range n.entities {
		entities = append(entities, e)
	}
	n.mu.Unlock()
	for _, e := range entities {
		e.close()
	}
}
