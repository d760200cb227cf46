package servicebustest

import (
	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/transport"
)

// outcomes maps the wire's settlements to the broker's.
var outcomes = map[transport.Settlement]broker.OutcomeKind{
	transport.Complete: broker.Complete, transport.Abandon: broker.Abandon, transport.Defer: broker.Defer,
	transport.DeadLetter: broker.DeadLetter, transport.Release: broker.Release,
}

// store is where a source takes messages from: a whole queue, or a session of one.
type store interface {
	Acquire(dst []broker.Stored, limit int, mode broker.Mode) []broker.Stored
	Settle(outcome broker.Outcome, tokens ...broker.Token) error
	Watch(wake func()) (stop func())
}

// lockingSource is what a peek-lock receiver link reads. Only its connection's goroutine calls it.
type lockingSource struct {
	store  store
	stored []broker.Stored // reused between calls
}

// Acquire implements transport.Source.
func (s *lockingSource) Acquire(into []transport.Delivery, limit int) []transport.Delivery {
	s.stored = s.store.Acquire(s.stored[:0], limit, broker.PeekLock)
	into = appendDeliveries(into, s.stored)
	clear(s.stored) // payloads must not live as long as an idle link
	return into
}

// Settle implements transport.Source.
func (s *lockingSource) Settle(token codec.UUID, o transport.Outcome) error {
	outcome := broker.Outcome{Kind: outcomes[o.Settlement], Reason: o.Reason, Description: o.Description}
	if len(o.Properties) > 0 {
		outcome.Properties = dialect.Properties(o.Properties)
	}
	if err := s.store.Settle(outcome, broker.Token(token)); err != nil {
		return dialect.Error(err)
	}
	return nil
}

// Watch implements transport.Source.
func (s *lockingSource) Watch(wake func()) (stop func()) { return s.store.Watch(wake) }

// Close implements transport.Source. Service Bus: the locks of a queue outlive link and connection.
func (s *lockingSource) Close() {}

// undoable is how many deliveries of a receive-and-delete link can be taken back: more than a connection ever holds
// unwritten.
const undoable = 1024

// deletingSource is what a receive-and-delete link reads. Only its connection's goroutine calls it.
type deletingSource struct {
	store  store
	queue  *broker.Queue   // behind store
	recent []broker.Stored // the last deliveries, oldest at next once full
	next   int
}

// Acquire implements transport.Source.
func (s *deletingSource) Acquire(into []transport.Delivery, limit int) []transport.Delivery {
	stored := s.store.Acquire(nil, limit, broker.ReceiveAndDelete)
	for _, m := range stored {
		if len(s.recent) < undoable {
			s.recent = append(s.recent, m)
			continue
		}
		s.recent[s.next] = m
		s.next = (s.next + 1) % undoable
	}
	return appendDeliveries(into, stored)
}

// Settle implements transport.Source: the only settlement of a message that is gone is to undo its delivery.
func (s *deletingSource) Settle(token codec.UUID, o transport.Outcome) error {
	for i := range s.recent {
		if s.recent[i].LockToken == broker.Token(token) && o.Settlement == transport.Release {
			s.queue.Restore(s.recent[i])
			s.recent[i] = broker.Stored{}
			return nil
		}
	}
	return dialect.Error(broker.ErrLockLost)
}

// Watch implements transport.Source.
func (s *deletingSource) Watch(wake func()) (stop func()) { return s.store.Watch(wake) }

// Close implements transport.Source.
func (s *deletingSource) Close() { s.recent = nil }

func appendDeliveries(into []transport.Delivery, stored []broker.Stored) []transport.Delivery {
	for _, m := range stored {
		into = append(into, transport.Delivery{Token: codec.UUID(m.LockToken), Payload: dialect.EncodeReceived(m)})
	}
	return into
}
