package broker

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxHops is how often a message may be forwarded. Service Bus: four.
const maxHops = 4

// The reasons the broker itself dead-letters for when a message cannot move on.
const (
	ReasonTooManyHops      = "MaxTransferHopCountExceeded"
	ReasonTransferFailed   = "TransferFailed"
	ReasonFilterEvaluation = "FilterException"
	ReasonNoSessionID      = "Session ID is null."
)

// PropertyRuleName is where a receiver finds which rule with an action made its copy.
const PropertyRuleName = "RuleName"

// transfer is a message that left its entity and has not arrived yet.
type transfer struct {
	m    *entry
	from *entity
	to   string // the queue or topic it is forwarded to; empty: the subscriptions of from
}

// router moves messages between entities. An entity hands over what it sends on while it is locked, and the transfers
// are delivered after it is unlocked: so no goroutine ever holds two entities, and rules run without a lock on any.
type router struct {
	namespace *Namespace

	// delivering is held by the one goroutine that delivers, which keeps the transfers in order. Whoever caused a
	// transfer waits here, so that an operation returns when everything it brought about has happened.
	delivering sync.Mutex

	mu      sync.Mutex
	pending []transfer // any goroutine, under mu
}

// add is called with the source locked, so that the transfers of one entity keep its order.
func (r *router) add(t transfer) {
	r.mu.Lock()
	r.pending = append(r.pending, t)
	r.mu.Unlock()
}

// run delivers everything there is, with what that brings about in turn, and wakes receivers at the end.
func (r *router) run() {
	var woken []*watcher
	r.delivering.Lock()
	for t, ok := r.next(); ok; t, ok = r.next() {
		woken = r.deliver(t, woken)
	}
	r.delivering.Unlock()
	wakeAll(woken)
}

func (r *router) next() (transfer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.pending) == 0 {
		return transfer{}, false
	}
	t := r.pending[0]
	r.pending[0] = transfer{}
	r.pending = r.pending[1:]
	return t, true
}

func (r *router) deliver(t transfer, woken []*watcher) []*watcher {
	if t.to == "" {
		return r.publish(t, woken)
	}
	target, err := r.namespace.target(t.to)
	if err == nil && t.m.hops == maxHops {
		err = errTooManyHops
	}
	if err == nil {
		woken, err = target.take(t, woken)
	}
	return t.from.sent(t, err, woken)
}

// take accepts a forwarded message.
func (e *entity) take(t transfer, woken []*watcher) ([]*watcher, error) {
	now := e.enter()
	err := e.main.admissible(&t.m.Message)
	if err == nil {
		e.main.admit(t.arrival(t.m.Message, t.m.hops+1), now)
	}
	return append(woken, e.unlock()...), err
}

// arrival is how the target sees the message: as a new one that remembers its number.
func (t transfer) arrival(m Message, hops int) *entry {
	return &entry{
		Stored: Stored{Message: m, EnqueuedSequence: t.m.SequenceNumber, DeadLetterSource: t.m.DeadLetterSource},
		hops:   hops,
	}
}

var errTooManyHops = fmt.Errorf("more than %d hops", maxHops)

// sent ends a transfer. Service Bus: what the target did not take is kept by the source, in its transfer dead-letter
// sub-queue.
func (e *entity) sent(t transfer, err error, woken []*watcher) []*watcher {
	now := e.enter()
	e.transferring--
	e.dirty = true
	switch {
	case err == nil:
		e.ended.forwarded++
	case errors.Is(err, errTooManyHops):
		e.transferDead.bury(t.m, ReasonTooManyHops, err.Error(), now)
	default:
		e.transferDead.bury(t.m, ReasonTransferFailed, err.Error(), now)
	}
	return append(woken, e.unlock()...)
}

// publish puts copies of a message into the subscriptions of its topic. The copies share one payload.
func (r *router) publish(t transfer, woken []*watcher) []*watcher {
	for _, s := range r.namespace.subscriptionsOf(t.from) {
		copies, failures := s.copies(t.m.Message)
		if len(copies)+len(failures) == 0 {
			continue
		}
		now := s.enter()
		if s.closed {
			s.unlock()
			continue
		}
		for _, m := range copies {
			s.main.admit(t.arrival(m, t.m.hops), now)
		}
		if len(failures) > 0 && !s.cfg.IgnoreFilterErrors {
			s.main.reject(t.arrival(t.m.Message, t.m.hops), ReasonFilterEvaluation, errors.Join(failures...).Error(), now)
		}
		woken = append(woken, s.unlock()...)
	}
	return t.from.sent(t, nil, woken)
}

// copies applies the rules. Service Bus: the rules without an action put in one copy together, each rule with an
// action one of its own.
func (e *entity) copies(m Message) (copies []Message, failures []error) {
	e.mu.Lock()
	rules := e.rules // replaced, never changed in place
	e.mu.Unlock()
	plain := false
	for _, r := range rules {
		matches, err := r.Filter.Match(&m)
		switch {
		case err != nil:
			failures = append(failures, fmt.Errorf("rule %s: filter: %w", r.Name, err))
		case matches && r.Action == nil:
			plain = true
		case matches:
			changed, err := r.Action.Apply(m)
			if err != nil {
				failures = append(failures, fmt.Errorf("rule %s: action: %w", r.Name, err))
				continue
			}
			changed.overlay(map[string]any{PropertyRuleName: r.Name})
			copies = append(copies, changed)
		}
	}
	if plain {
		copies = append(copies, m)
	}
	return copies, failures
}

// admit accepts a message that nobody is there to be refused. Service Bus: where sessions are required and it has none,
// it is dead-lettered.
func (q *Queue) admit(m *entry, now time.Time) {
	if q.sessions != nil && !m.InSession {
		q.reject(m, ReasonNoSessionID, ErrNoSessionID.Error(), now)
		return
	}
	q.accept(m, now)
}

// bury puts a message that left its store into this dead-letter one.
func (q *Queue) bury(m *entry, reason, description string, now time.Time) {
	m.overlay(deadLetterProperties(reason, description))
	m.queue = q
	q.note(m, Event{Kind: DeadLettered, At: now, Reason: reason, Description: description})
	m.ExpiresAt = time.Time{}
	m.DeadLetterSource = q.entity.name
	q.live.insert(m)
	q.offer(m, now)
}

// reject accepts a message straight into the dead-letter sub-queue.
func (q *Queue) reject(m *entry, reason, description string, now time.Time) {
	q.register(m, now)
	q.note(m, Event{Kind: Enqueued, At: now})
	q.dead.bury(m, reason, description, now)
}
