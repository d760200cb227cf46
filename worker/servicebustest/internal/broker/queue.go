package broker

import (
	"fmt"
	"slices"
	"time"
)

// Queue is one store of messages: a queue or subscription, one of its sub-queues, or a topic, whose store holds what
// is scheduled. Use the constructors of Namespace.
type Queue struct {
	entity *entity
	path   string
	dead   *Queue // nil for a sub-queue: that is how they are told apart

	// Below: read and written by any goroutine, under entity.mu.
	live      order // every message, for peek and look-up by sequence number
	active    order // those that can be acquired
	locks     map[Token]*entry
	sessions  *sessions // nil: the store has none
	deferred  int       // deferred and not locked
	scheduled int
	maxLocked int
	watchers  []*watcher // replaced, never changed in place: leave hands it out
	ready     bool       // a message became active since the last leave
}

type watcher struct{ wake func() }

// Path is the queue's address within the namespace, as it was created.
func (q *Queue) Path() string { return q.path }

// Config returns the entity's settings with defaults filled in.
func (q *Queue) Config() Config {
	q.entity.mu.Lock()
	defer q.entity.mu.Unlock()
	return q.entity.cfg
}

// DeadLetter returns the dead-letter sub-queue, or nil when q is one.
func (q *Queue) DeadLetter() *Queue { return q.dead }

// Enqueue accepts all messages or none and returns their sequence numbers, in order. Those scheduled for later stay
// out of sight until then. A duplicate is accepted and dropped: its number is that of the message it repeats.
func (q *Queue) Enqueue(messages ...Message) ([]int64, error) {
	now := q.entity.enter()
	defer q.entity.leave()
	for i := range messages {
		err := q.admissible(&messages[i])
		if err == nil && q.sessions != nil && !messages[i].InSession {
			err = ErrNoSessionID
		}
		if err != nil {
			return nil, fmt.Errorf("enqueue to %s: %w", q.path, err)
		}
	}
	sequences := make([]int64, len(messages))
	for i := range messages {
		sequences[i] = q.accept(&entry{Stored: Stored{Message: messages[i]}}, now)
	}
	return sequences, nil
}

// admissible says why q does not take m.
func (q *Queue) admissible(m *Message) error {
	e := q.entity
	switch over := e.over(); {
	case over != nil:
		return over
	case q.dead == nil:
		return ErrNotAllowed
	case m.Size > e.cfg.MaxMessageSize:
		return fmt.Errorf("%d bytes, limit %d: %w", m.Size, e.cfg.MaxMessageSize, ErrTooLarge)
	}
	return q.sendable()
}

// accept takes in a message and returns its sequence number.
func (q *Queue) accept(m *entry, now time.Time) int64 {
	q.entity.accessedAt = now
	if original := q.entity.sighted(m, now); original != nil {
		return original.sequence
	}
	q.register(m, now)
	q.take(m)
	if m.ScheduledFor.After(now) {
		q.schedule(m, now)
		return m.SequenceNumber
	}
	sequence := m.SequenceNumber
	q.startTTL(m)
	q.note(m, Event{Kind: Enqueued, At: now})
	q.offer(m, now)
	return sequence
}

// register gives m its number.
func (q *Queue) register(m *entry, now time.Time) {
	e := q.entity
	m.SequenceNumber, m.EnqueuedAt, m.queue = e.nextSequence(), now, q
	e.accepted++
	e.ledger.open(m)
	e.remember(m, now)
	e.dirty = true
}

// take adds m, not yet offered to anybody, to this store.
func (q *Queue) take(m *entry) {
	q.live.insert(m)
	if q.sessions != nil {
		m.session = q.sessions.get(m.SessionID)
		m.session.live.insert(m)
	}
}

// offer makes m available to receivers, unless its time to live has already ended.
func (q *Queue) offer(m *entry, now time.Time) {
	m.State = Active
	if q.expired(m, now) {
		q.expire(m, now)
		return
	}
	if target := q.forwardsTo(); target != "" || q.publishes() {
		q.send(m, target, now)
		return
	}
	q.active.insert(m)
	q.entity.setDue(m, m.ExpiresAt)
	if m.session != nil {
		q.sessions.offer(m, now)
		return
	}
	q.ready = true
}

// forwardsTo returns where messages go instead of waiting here; empty when they wait.
func (q *Queue) forwardsTo() string {
	switch q {
	case q.entity.main:
		return q.entity.cfg.ForwardTo
	case q.entity.dead:
		return q.entity.cfg.ForwardDeadLetteredTo
	}
	return ""
}

// publishes says that messages go to subscriptions.
func (q *Queue) publishes() bool { return q.entity.kind == KindTopic && q == q.entity.main }

// send hands m to the router.
func (q *Queue) send(m *entry, target string, now time.Time) {
	q.forget(m)
	kind := Forwarded
	if target == "" {
		kind = Published
		if ttl := q.entity.cfg.DefaultTTL; m.TTL == 0 || m.TTL > ttl {
			m.TTL = ttl // Service Bus: the topic's time to live caps its subscriptions'
		}
	}
	q.note(m, Event{Kind: kind, At: now, Reason: target})
	q.entity.transferring++
	q.entity.outgoing = true
	q.entity.namespace.router.add(transfer{m: m, from: q.entity, to: target})
}

// reoffer sends on what was waiting when q began to forward.
func (q *Queue) reoffer(now time.Time) {
	for m := q.active.first(); m != nil; m = q.active.first() {
		q.send(m, q.forwardsTo(), now)
	}
}

// forget takes m, whatever its state, out of this store. It keeps its lock fields until the caller has noted them.
func (q *Queue) forget(m *entry) {
	q.entity.setDue(m, time.Time{})
	q.live.remove(m)
	switch {
	case m.locked():
		delete(q.locks, m.LockToken)
	case m.State == Active:
		if q.active.get(m.SequenceNumber) == m {
			q.withdraw(m)
		}
	case m.State == Deferred:
		q.deferred--
	case m.State == Scheduled:
		q.scheduled--
	}
	if m.session != nil {
		q.sessions.forget(m)
	}
}

// withdraw takes m from those that can be acquired.
func (q *Queue) withdraw(m *entry) {
	q.active.remove(m)
	if m.session != nil {
		q.sessions.withdraw(m)
	}
}

// note writes history; every change of a message passes here, so it also marks the entity as changed.
func (q *Queue) note(m *entry, e Event) {
	q.entity.dirty = true
	q.entity.ledger.add(m, e)
}

// Watch registers wake, called without locks whenever a message may have become available, until stop is called. A
// call may still be under way when stop returns.
func (q *Queue) Watch(wake func()) (stop func()) {
	w := &watcher{wake: wake}
	q.entity.mu.Lock()
	q.watchers = append(slices.Clone(q.watchers), w)
	q.entity.mu.Unlock()
	return func() {
		q.entity.mu.Lock()
		defer q.entity.mu.Unlock()
		q.watchers = slices.DeleteFunc(slices.Clone(q.watchers), func(other *watcher) bool { return other == w })
	}
}

// takeWatchers returns whom to wake and rotates the list, so that the same receiver is not always first.
func (q *Queue) takeWatchers() []*watcher {
	if !q.ready {
		return nil
	}
	q.ready = false
	watchers := q.watchers
	if len(watchers) > 1 {
		q.watchers = append(slices.Clone(watchers[1:]), watchers[0])
	}
	return watchers
}

// Changed returns a channel that is closed at the entity's next change of state. Ask for it before looking.
func (q *Queue) Changed() <-chan struct{} {
	q.entity.mu.Lock()
	defer q.entity.mu.Unlock()
	if q.entity.changed == nil {
		q.entity.changed = make(chan struct{})
	}
	return q.entity.changed
}
