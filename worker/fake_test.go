package worker

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

const account = "https://contoso.westeurope.batch.azure.com"

// scripted is a queue in a few lines, with a hook in front of every SDK call. It stands in for receiver and sender where a
// test is about the worker alone; the real SDK and the embedded broker come in the stack tests.
type scripted struct {
	lockFor time.Duration
	skew    time.Duration // the broker's clock less ours
	silent  bool          // locks come without the time they end
	// unreceivable, when set, tells which messages only a look shows.
	unreceivable func(*azservicebus.ReceivedMessage) bool
	close        func(context.Context) error
	// before, when set, runs before an operation ("dial", "probe", "open", "receive", "peek", "renew", "complete", "abandon", "dead-letter
	// <reason>", "send"); an error is the answer, errDone an answer without effect, errUnanswered an effect without an answer.
	before func(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error

	mu        sync.Mutex
	active    []*azservicebus.ReceivedMessage
	locked    map[[16]byte]*azservicebus.ReceivedMessage
	until     map[[16]byte]time.Time
	sent      []*azservicebus.AMQPAnnotatedMessage
	log       []string         // operations in order, receives left out
	completed []int64          // sequence numbers, in order
	written   []map[string]any // properties that settlements set, refused ones included
	asked     []int            // how many messages each receive asked for
	maxLocked int
	tokens    uint64
	connects  int
	arrived   chan struct{}
}

func newScripted(messages ...*azservicebus.ReceivedMessage) *scripted {
	s := &scripted{lockFor: time.Minute, close: func(context.Context) error { return nil }, locked: map[[16]byte]*azservicebus.ReceivedMessage{}, until: map[[16]byte]time.Time{}, arrived: make(chan struct{}, 1)}
	s.add(messages...)
	return s
}

func (s *scripted) add(messages ...*azservicebus.ReceivedMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = append(s.active, messages...)
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

func (s *scripted) connect() (*connection, error) {
	s.mu.Lock()
	s.connects++
	s.mu.Unlock()
	return &connection{receiver: s, sender: s, close: s.close, ended: func() error { return nil }}, s.hook(context.Background(), "dial", nil)
}

func (s *scripted) hook(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error {
	if s.before == nil {
		return nil
	}
	return s.before(ctx, op, m)
}

func (s *scripted) ReceiveMessages(ctx context.Context, n int, _ *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error) {
	s.mu.Lock()
	s.asked = append(s.asked, n)
	s.mu.Unlock()
	if err := s.hook(ctx, "receive", nil); err != nil {
		if errors.Is(err, errDone) {
			return nil, nil
		}
		return nil, err
	}
	for {
		if got := s.take(n); len(got) > 0 {
			return got, nil
		}
		select {
		case <-s.arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *scripted) take(n int) []*azservicebus.ReceivedMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unreceivable != nil {
		slices.SortStableFunc(s.active, func(a, b *azservicebus.ReceivedMessage) int {
			return cmp.Compare(number(s.unreceivable(a)), number(s.unreceivable(b)))
		})
		n = min(n, len(slices.DeleteFunc(slices.Clone(s.active), s.unreceivable)))
	}
	n = min(n, len(s.active))
	got := make([]*azservicebus.ReceivedMessage, n)
	for i, m := range s.active[:n] {
		s.tokens++
		copied := *m
		copied.DeliveryCount++
		m.DeliveryCount++
		binary.BigEndian.PutUint64(copied.LockToken[8:], s.tokens)
		until := time.Now().Add(s.lockFor)
		copied.LockedUntil = s.told(until)
		s.locked[copied.LockToken], s.until[copied.LockToken] = m, until
		got[i] = &copied
	}
	s.active = slices.Clone(s.active[n:])
	s.maxLocked = max(s.maxLocked, len(s.locked))
	return got
}

func number(is bool) int {
	if is {
		return 1
	}
	return 0
}

var (
	errDone       = errors.New("answered without effect")
	errUnanswered = errors.New("done, but the answer was lost")
)

func lostLock() error { return &azservicebus.Error{Code: azservicebus.CodeLockLost} }

func (s *scripted) settle(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error {
	hooked := s.hook(ctx, op, m)
	if hooked != nil && !errors.Is(hooked, errDone) && !errors.Is(hooked, errUnanswered) {
		return hooked
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	original, ok := s.locked[m.LockToken]
	if !ok || time.Now().After(s.until[m.LockToken]) {
		return lostLock()
	}
	if errors.Is(hooked, errDone) {
		return nil
	}
	delete(s.locked, m.LockToken)
	s.log = append(s.log, op+" "+original.MessageID)
	if op == "complete" {
		s.completed = append(s.completed, *original.SequenceNumber)
	}
	return hooked
}

func (s *scripted) CompleteMessage(ctx context.Context, m *azservicebus.ReceivedMessage, _ *azservicebus.CompleteMessageOptions) error {
	return s.settle(ctx, "complete", m)
}

func (s *scripted) AbandonMessage(ctx context.Context, m *azservicebus.ReceivedMessage, o *azservicebus.AbandonMessageOptions) error {
	s.write(m, o.PropertiesToModify)
	return s.settle(ctx, "abandon", m)
}

func (s *scripted) DeadLetterMessage(ctx context.Context, m *azservicebus.ReceivedMessage, o *azservicebus.DeadLetterOptions) error {
	if o == nil {
		return s.settle(ctx, "dead-letter without a word", m)
	}
	s.write(m, o.PropertiesToModify)
	return s.settle(ctx, "dead-letter "+*o.Reason, m)
}

func (s *scripted) PeekMessages(ctx context.Context, n int, o *azservicebus.PeekMessagesOptions) ([]*azservicebus.ReceivedMessage, error) {
	if err := s.hook(ctx, "peek", nil); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := append(slices.Clone(s.active), slices.Collect(maps.Values(s.locked))...) // a peek does not tell of locks
	all = slices.DeleteFunc(all, func(m *azservicebus.ReceivedMessage) bool { return *m.SequenceNumber < *o.FromSequenceNumber })
	slices.SortFunc(all, func(a, b *azservicebus.ReceivedMessage) int { return cmp.Compare(*a.SequenceNumber, *b.SequenceNumber) })
	return all[:min(n, len(all))], nil
}

// write sets properties of a locked message.
func (s *scripted) write(m *azservicebus.ReceivedMessage, properties map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = append(s.written, properties)
}

func (s *scripted) RenewMessageLock(ctx context.Context, m *azservicebus.ReceivedMessage, _ *azservicebus.RenewMessageLockOptions) error {
	if m.LockToken == [16]byte{1} {
		return cmp.Or(s.hook(ctx, "probe", m), lostLock())
	}
	if err := s.hook(ctx, "renew", m); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locked[m.LockToken] == nil || time.Now().After(s.until[m.LockToken]) {
		return lostLock()
	}
	until := time.Now().Add(s.lockFor)
	s.until[m.LockToken], m.LockedUntil = until, s.told(until)
	return nil
}

// told is a time as the broker tells it.
func (s *scripted) told(t time.Time) *time.Time {
	if s.silent {
		return nil
	}
	t = t.Add(s.skew)
	return &t
}

func (s *scripted) NewMessageBatch(ctx context.Context, _ *azservicebus.MessageBatchOptions) (*azservicebus.MessageBatch, error) {
	return nil, s.hook(ctx, "open", nil)
}

func (s *scripted) SendAMQPAnnotatedMessage(ctx context.Context, m *azservicebus.AMQPAnnotatedMessage, _ *azservicebus.SendAMQPAnnotatedMessageOptions) error {
	err := s.hook(ctx, "send", nil)
	if err != nil && !errors.Is(err, errUnanswered) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, m)
	s.log = append(s.log, "copy "+m.ApplicationProperties[propRequestID].(string))
	return err
}

// operations returns what changed the queue so far, in order.
func (s *scripted) operations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// completions returns the sequence numbers of the messages that were completed, in order.
func (s *scripted) completions() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.completed)
}

func (s *scripted) clientsMade() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connects
}

// demands returns how many messages each receive asked for.
func (s *scripted) demands() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *scripted) copies() []*azservicebus.AMQPAnnotatedMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}
