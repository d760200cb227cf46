package broker

import "fmt"

// Kind is what an entity is.
type Kind uint8

// The kinds of entities.
const (
	KindQueue Kind = iota
	KindTopic
	KindSubscription
)

var kindNames = [...]string{KindQueue: "Queue", KindTopic: "Topic", KindSubscription: "Subscription"}

// String spells the kind as Service Bus does in its texts.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Status is what an entity may be used for.
type Status uint8

// The states that an administrator sets.
const (
	StatusActive Status = iota
	StatusDisabled
	StatusSendDisabled
	StatusReceiveDisabled
)

var statusNames = [...]string{
	StatusActive: "Active", StatusDisabled: "Disabled", StatusSendDisabled: "SendDisabled",
	StatusReceiveDisabled: "ReceiveDisabled",
}

// String spells the status as Service Bus does.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

func (s Status) sends() bool    { return s != StatusDisabled && s != StatusSendDisabled }
func (s Status) receives() bool { return s != StatusDisabled && s != StatusReceiveDisabled }

// Kind says what the entity of this store is.
func (q *Queue) Kind() Kind { return q.entity.kind }

// Sendable says why no sender may attach: ErrNotAllowed or ErrEntityDisabled. Service Bus: messages reach a
// subscription through its topic alone, and a dead-letter sub-queue through its queue.
func (q *Queue) Sendable() error {
	if q != q.entity.main || q.entity.kind == KindSubscription {
		return fmt.Errorf("send to %s: %w", q.path, ErrNotAllowed)
	}
	q.entity.mu.Lock()
	defer q.entity.mu.Unlock()
	return q.sendable()
}

func (q *Queue) sendable() error {
	if !q.entity.cfg.Status.sends() {
		return fmt.Errorf("send to %s: %v: %w", q.path, q.entity.cfg.Status, ErrEntityDisabled)
	}
	return nil
}

// Receivable says why no receiver may attach: ErrNotAllowed or ErrEntityDisabled. Service Bus: a topic is received
// from through its subscriptions, and what forwards has no receiver of its own.
func (q *Queue) Receivable() error {
	q.entity.mu.Lock()
	defer q.entity.mu.Unlock()
	switch target := q.forwardsTo(); {
	case q == q.entity.main && q.entity.kind == KindTopic:
		return fmt.Errorf("receive from topic %s: %w", q.path, ErrNotAllowed)
	case target != "":
		return fmt.Errorf("receive from %s, which forwards to %s: %w", q.path, target, ErrNotAllowed)
	}
	return q.receivable()
}

func (q *Queue) receivable() error {
	if !q.entity.cfg.Status.receives() {
		return fmt.Errorf("receive from %s: %v: %w", q.path, q.entity.cfg.Status, ErrEntityDisabled)
	}
	return nil
}
