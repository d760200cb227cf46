package broker

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// OutcomeKind is how a receiver is done with a message.
type OutcomeKind uint8

// The settlements of Service Bus, and Release, the AMQP outcome an SDK uses for what nobody took.
const (
	Complete OutcomeKind = iota + 1
	Abandon
	Defer
	DeadLetter
	Release
)

var outcomeNames = [...]string{
	Complete: "complete", Abandon: "abandon", Defer: "defer", DeadLetter: "dead-letter", Release: "release",
}

func (k OutcomeKind) String() string {
	if int(k) < len(outcomeNames) && outcomeNames[k] != "" {
		return outcomeNames[k]
	}
	return fmt.Sprintf("OutcomeKind(%d)", uint8(k))
}

// Outcome is a settlement with what comes along.
type Outcome struct {
	Kind                OutcomeKind
	Reason, Description string         // DeadLetter; empty: not given
	Properties          map[string]any // Abandon, Defer, DeadLetter: application properties to set
}

// maxDeadLetterText is the number of characters Service Bus takes for the reason, and for the description, of a
// dead-lettering.
const maxDeadLetterText = 4096

// Settle ends the locks, all or none. It needs no receiver: a token settles from any connection until it expires.
func (q *Queue) Settle(outcome Outcome, tokens ...Token) error {
	if q.dead == nil && outcome.Kind == DeadLetter {
		return fmt.Errorf("dead-letter from %s: %w", q.path, ErrNotAllowed)
	}
	for _, text := range []string{outcome.Reason, outcome.Description} {
		if n := utf8.RuneCountInString(text); n > maxDeadLetterText {
			return fmt.Errorf("dead-letter from %s: text of %d characters, limit %d: %w", q.path, n, maxDeadLetterText, ErrOutOfRange)
		}
	}
	now := q.entity.enter()
	defer q.entity.leave()
	locked, err := q.find(tokens, now, outcome.Kind.String())
	if err != nil {
		return err
	}
	for _, m := range locked {
		q.settle(m, outcome, now)
	}
	return nil
}

func (q *Queue) settle(m *entry, outcome Outcome, now time.Time) {
	token := m.LockToken
	switch outcome.Kind {
	case Complete:
		q.forget(m)
		q.entity.ended.completed++
		q.note(m, Event{Kind: Completed, At: now, LockToken: token})
	case Abandon:
		m.overlay(outcome.Properties)
		q.countFailure(m)
		q.note(m, Event{Kind: Abandoned, At: now, LockToken: token})
		q.giveBack(m, now)
	case Defer:
		m.overlay(outcome.Properties)
		m.State = Deferred
		q.note(m, Event{Kind: DeferredEvent, At: now, LockToken: token})
		q.unlock(m, now)
	case DeadLetter:
		m.overlay(outcome.Properties)
		q.deadLetter(m, outcome.Reason, outcome.Description, now)
	case Release:
		q.note(m, Event{Kind: Released, At: now, LockToken: token})
		q.unlock(m, now)
	}
}

// countFailure counts a delivery that ended without a result. Service Bus: not in a dead-letter sub-queue.
func (q *Queue) countFailure(m *entry) {
	if q.dead != nil {
		m.DeliveryCount++
	}
}

// giveBack returns m to its place, or dead-letters it when its deliveries are spent. The limit is looked at before
// the time to live because the delivery is what is being judged.
func (q *Queue) giveBack(m *entry, now time.Time) {
	if q.dead != nil && int(m.DeliveryCount) >= q.entity.cfg.MaxDeliveryCount {
		q.deadLetter(m, ReasonMaxDeliveryCount,
			fmt.Sprintf("Message could not be consumed after %d delivery attempts.", m.DeliveryCount), now)
		return
	}
	q.unlock(m, now)
}
