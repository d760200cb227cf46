package servicebustest

import (
	"errors"
	"strings"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/cbs"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/message"
	"batchterminator/worker/servicebustest/internal/mgmt"
	"batchterminator/worker/servicebustest/internal/transport"
)

// namespace plugs the rules into the wire: addresses become sources, sinks and nodes.
type namespace struct {
	broker *broker.Namespace
	cbs    *cbs.Node
}

const (
	cbsAddress       = "$cbs"
	managementSuffix = "/$management"
)

func (n *namespace) resolve(address string) (*broker.Queue, error) {
	q, err := n.broker.Resolve(address)
	if errors.Is(err, broker.ErrEntityNotFound) {
		return nil, dialect.EntityNotFound(address)
	}
	if err != nil {
		return nil, dialect.Error(err)
	}
	return q, nil
}

// OpenNode implements transport.Namespace.
func (n *namespace) OpenNode(l transport.Link) (transport.Node, error) {
	if strings.EqualFold(l.Address, cbsAddress) {
		return n.cbs, nil
	}
	entity, ok := managed(l.Address)
	if !ok {
		return nil, nil
	}
	q, err := n.resolve(entity)
	if err != nil {
		return nil, err
	}
	return mgmt.New(q), nil
}

// managed returns the entity whose management node the address is. Segments with a "$" compare without case.
func managed(address string) (entity string, ok bool) {
	cut := len(address) - len(managementSuffix)
	if cut <= 0 || !strings.EqualFold(address[cut:], managementSuffix) {
		return "", false
	}
	return address[:cut], true
}

// OpenSource implements transport.Namespace.
func (n *namespace) OpenSource(l transport.Link) (transport.Source, error) {
	q, err := n.resolve(l.Address)
	if err != nil {
		return nil, err
	}
	if err := q.Receivable(); err != nil {
		return nil, dialect.Error(err)
	}
	if q.RequiresSession() {
		return nil, dialect.Error(broker.ErrSessionRequired)
	}
	if l.Mode == transport.ReceiveAndDelete {
		return &deletingSource{store: q, queue: q}, nil
	}
	return &lockingSource{store: q}, nil
}

// OpenSession implements transport.Namespace.
func (n *namespace) OpenSession(l transport.Link, opened func(transport.SessionSource, error)) (cancel func()) {
	lock, err := n.acceptSession(l, opened)
	if err != nil {
		opened(nil, dialect.Error(err))
		return func() {}
	}
	return lock.Release
}

// acceptSession calls opened unless it returns an error.
func (n *namespace) acceptSession(l transport.Link, opened func(transport.SessionSource, error)) (*broker.SessionLock, error) {
	q, err := n.resolve(l.Address)
	if err != nil {
		return nil, err
	}
	if err := q.Receivable(); err != nil {
		return nil, err
	}
	answer := func(lock *broker.SessionLock, err error) {
		if err != nil {
			opened(nil, dialect.Error(err))
			return
		}
		opened(newSessionSource(q, lock, l.Mode), nil)
	}
	if l.Session.Next {
		return q.AcceptNextSession(l.Session.Wait.Or(broker.DefaultAcceptWait), dialect.Owner(l), answer)
	}
	lock, err := q.AcceptSession(l.Session.ID, dialect.Owner(l))
	if errors.Is(err, broker.ErrSessionLocked) {
		return nil, dialect.SessionLocked(l.Session.ID)
	}
	if err != nil {
		return nil, err
	}
	answer(lock, nil)
	return lock, nil
}

// OpenSink implements transport.Namespace.
func (n *namespace) OpenSink(l transport.Link) (transport.Sink, error) {
	q, err := n.resolve(l.Address)
	if err != nil {
		return nil, err
	}
	if err := q.Sendable(); err != nil {
		return nil, dialect.Error(err)
	}
	return sink{q}, nil
}

// sink is what a sender link ends in.
type sink struct{ queue *broker.Queue }

// Accept implements transport.Sink.
func (s sink) Accept(wire []*message.Message) error {
	messages := make([]broker.Message, len(wire))
	for i, m := range wire {
		messages[i] = dialect.Message(m, m.Size())
	}
	if _, err := s.queue.Enqueue(messages...); err != nil {
		return dialect.Error(err)
	}
	return nil
}

// MaxMessageSize implements transport.Sink.
func (s sink) MaxMessageSize() uint64 { return uint64(s.queue.Config().MaxMessageSize) }
