package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Description is an entity as its administrator sees it, at one instant.
type Description struct {
	Kind       Kind
	Path       string
	Config     Config // with its defaults filled in
	CreatedAt  time.Time
	UpdatedAt  time.Time
	AccessedAt time.Time

	// Active counts what waits, is locked or deferred; Service Bus shows no difference.
	Active, DeadLettered, Scheduled int
	Transfer, TransferDeadLettered  int
	SizeInBytes                     int64
	Subscriptions                   int // topics
	Messages                        int // the sum of all counts
}

// Change is what happened to an entity that links have to hear of.
type Change struct {
	Path          string // links to it, its sub-queues and, for a deleted topic, its subscriptions
	Err           error  // ErrEntityNotFound, ErrEntityDisabled or ErrEntityUpdated
	Send, Receive bool   // which links
}

// Notify has notify called after every change of an entity, on the goroutine that made it and without locks. There is
// one listener: call it before the namespace is used.
func (n *Namespace) Notify(notify func(Change)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notify = notify
}

func (n *Namespace) tell(c Change) {
	n.mu.Lock()
	notify := n.notify
	n.mu.Unlock()
	if notify != nil && (c.Send || c.Receive) {
		notify(c)
	}
}

// Describe returns the entity with the path.
func (n *Namespace) Describe(kind Kind, path string) (Description, error) {
	e, err := n.entity(path, kind)
	if err != nil {
		return Description{}, err
	}
	return n.describe(e), nil
}

// Queues returns every queue, by path.
func (n *Namespace) Queues() []Description { return n.list(KindQueue) }

// Topics returns every topic, by path.
func (n *Namespace) Topics() []Description { return n.list(KindTopic) }

// Subscriptions returns the subscriptions of a topic, by path.
func (n *Namespace) Subscriptions(topic string) ([]Description, error) {
	e, err := n.entity(topic, KindTopic)
	if err != nil {
		return nil, err
	}
	return n.describeAll(n.subscriptionsOf(e)), nil
}

func (n *Namespace) list(kind Kind) []Description {
	n.mu.Lock()
	var found []*entity
	for _, e := range n.entities {
		if e.kind == kind {
			found = append(found, e)
		}
	}
	n.mu.Unlock()
	return n.describeAll(found)
}

func (n *Namespace) describeAll(entities []*entity) []Description {
	described := make([]Description, len(entities))
	for i, e := range entities {
		described[i] = n.describe(e)
	}
	slices.SortFunc(described, func(a, b Description) int {
		return strings.Compare(strings.ToLower(a.Path), strings.ToLower(b.Path))
	})
	return described
}

func (n *Namespace) describe(e *entity) Description {
	subscriptions := len(n.subscriptionsOf(e))
	e.enter()
	defer e.leave()
	d := Description{
		Kind: e.kind, Path: e.name, Config: e.cfg,
		CreatedAt: e.createdAt, UpdatedAt: e.updatedAt, AccessedAt: e.accessedAt,
		Active: e.main.live.len() - e.main.scheduled, Scheduled: e.main.scheduled, DeadLettered: e.dead.live.len(),
		Transfer: e.transferring, TransferDeadLettered: e.transferDead.live.len(), Subscriptions: subscriptions,
	}
	d.Messages = d.Active + d.Scheduled + d.DeadLettered + d.Transfer + d.TransferDeadLettered
	for _, q := range []*Queue{e.main, e.dead, e.transferDead} {
		q.live.ascend(0, func(m *entry) bool {
			d.SizeInBytes += int64(m.Size)
			return true
		})
	}
	return d
}

// Update replaces the settings of an entity. Service Bus: its links are detached, to come back under the new ones.
// What the entity now forwards goes at once.
func (n *Namespace) Update(kind Kind, path string, cfg Config) (Description, error) {
	e, err := n.entity(path, kind)
	if err == nil {
		cfg = cfg.withDefaults()
		err = cfg.validate()
	}
	if err == nil {
		err = n.validateTargets(path, cfg)
	}
	if err == nil {
		err = e.update(cfg)
	}
	if err != nil {
		return Description{}, fmt.Errorf("update %s: %w", path, err)
	}
	n.tell(Change{Path: e.name, Err: ErrEntityUpdated, Send: cfg.Status.sends(), Receive: cfg.Status.receives()})
	n.tell(Change{Path: e.name, Err: ErrEntityDisabled, Send: !cfg.Status.sends(), Receive: !cfg.Status.receives()})
	return n.describe(e), nil
}

func (e *entity) update(cfg Config) error {
	now := e.enter()
	defer e.leave()
	if err := e.cfg.unchangeable(e.kind, cfg); err != nil {
		return err
	}
	e.cfg = cfg
	e.updatedAt = now
	e.startIdle(cfg.AutoDeleteOnIdle)
	e.dirty = true
	for _, q := range []*Queue{e.main, e.dead} {
		if q.forwardsTo() != "" {
			q.reoffer(now)
		}
		q.ready = true // a receiver may be waiting for the end of a disablement
	}
	return nil
}

// Delete removes an entity with its messages, and a topic with its subscriptions.
func (n *Namespace) Delete(kind Kind, path string) error {
	e, err := n.entity(path, kind)
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	removed := n.remove(e)
	for _, gone := range removed {
		gone.abandon()
	}
	for _, gone := range removed {
		n.tell(Change{Path: gone.name, Err: ErrEntityNotFound, Send: true, Receive: true})
	}
	return nil
}

// remove takes e out of the namespace, with its subscriptions.
func (n *Namespace) remove(e *entity) []*entity {
	n.mu.Lock()
	defer n.mu.Unlock()
	removed := append([]*entity{e}, e.subscriptions...)
	for _, gone := range removed {
		if n.entities[key(gone.name)] == gone {
			delete(n.entities, key(gone.name))
		}
	}
	if e.topic != nil {
		e.topic.subscriptions = slices.DeleteFunc(e.topic.subscriptions, func(s *entity) bool { return s == e })
	}
	return removed
}
