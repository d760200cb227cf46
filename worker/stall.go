package worker

// A receive link can die without a word: it takes credit and delivers nothing, while everything else on the connection
// works. Only silence tells, and silence is also what an empty queue sounds like. So while a link is silent the queue is
// looked into, without taking anything from it: a message that nobody takes although credit is out convicts the link.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

const (
	// lookEvery is the silence between two looks. An idle worker makes three of them a minute, each one broker operation; its
	// receives make none, for their credit stays out.
	lookEvery = 20 * time.Second
	// lookLimit bounds one look.
	lookLimit = 5 * time.Second
	// lookPage is how many messages one look sees. Scheduled and deferred ones come first, being older; the next look goes on
	// behind them.
	lookPage = 100
	// crowd is how many messages have to wait for a link to be convicted although the one seen first has gone: other replicas
	// work, and this one gets nothing. As many may just be held by them, which costs a reconnect.
	crowd = lookPage / 2
	// firstPatience is how long one and the same message has to wait under our eyes. What another replica holds looks the
	// same, since a peek does not tell of locks. Each replacement that brings no message doubles it, up to lastPatience, which
	// is longer than anyone holds one.
	firstPatience = 20 * time.Second
	lastPatience  = 15 * time.Minute
	// silentAnyway is when a silent link is replaced whatever the looks say.
	silentAnyway = 30 * time.Minute
)

var errCrowd = errors.New("the link delivers nothing, while many messages wait and other receivers take them; unless those hold them all, the link is dead")

var errSilent = errors.New("nothing arrived for a long time; a fresh link makes sure that it is not the link's fault")

// stalledError is a message that waits although its delivery was asked for.
type stalledError struct {
	sequence int64
	waits    time.Duration
}

func (e *stalledError) Error() string {
	return fmt.Sprintf("the link delivers nothing, and message %d waits for %v at least; unless another receiver holds it, the link is dead", e.sequence, e.waits)
}

// silence follows how long a link delivers nothing with credit out. It belongs to the receive loop.
type silence struct {
	// ours tells whether we hold a message ourselves.
	ours func(sequence int64) bool
	// count records a look.
	count  func()
	client *client
	// lasted is how long receives have waited in vain, looked what it was at the last look.
	lasted, looked time.Duration
	// next is the sequence number at which the next look begins.
	next int64
	// waiting is the message that was seen waiting, nil for none, and seen what lasted was then.
	waiting *int64
	seen    time.Duration
	// crowded: a crowd was waiting at each look since lasted was that.
	crowded  bool
	since    time.Duration
	patience time.Duration
}

// broken records that a message arrived.
func (s *silence) broken() {
	*s = silence{ours: s.ours, count: s.count, client: s.client, patience: firstPatience}
}

// endured adds a receive in vain and, when it is time, looks into the queue. It ends a client whose link is dead, and tells
// whether anything was found out.
func (s *silence) endured(ctx context.Context, c *client, wait time.Duration) (proof bool) {
	if c != s.client {
		*s = silence{ours: s.ours, count: s.count, client: c, patience: s.patience}
	}
	s.lasted += wait
	switch {
	case s.lasted >= silentAnyway:
		c.fail("idle", errSilent)
		return true
	case s.lasted-s.looked < lookEvery:
		return false
	}
	s.looked = s.lasted
	s.count()
	err := s.look(ctx)
	switch {
	case ctx.Err() != nil: // our own end cuts the look short
	case err != nil:
		c.fail("probe", err)
	case s.waiting != nil && s.lasted-s.seen >= s.patience:
		c.fail("stalled", &stalledError{sequence: *s.waiting, waits: s.lasted - s.seen})
		s.patience = min(2*s.patience, lastPatience)
	case s.crowded && s.lasted-s.since >= s.patience:
		c.fail("stalled", errCrowd)
		s.patience = min(2*s.patience, lastPatience)
	}
	return true
}

// look finds out whether the message that was seen waiting still does, or else whether any does, and a crowd of them.
func (s *silence) look(ctx context.Context) error {
	if s.waiting != nil {
		found, err := s.peek(ctx, *s.waiting, 1)
		if err != nil || len(found) > 0 && found[0].State == azservicebus.MessageStateActive && sequenceOf(found[0]) == *s.waiting {
			return err
		}
		if s.waiting = nil; !s.crowded {
			return nil
		}
		s.count()
	}
	found, err := s.peek(ctx, s.next, lookPage)
	if err != nil {
		return err
	}
	s.next = 0
	n := 0
	for _, m := range found {
		switch waiting := sequenceOf(m); {
		case m.State == azservicebus.MessageStateActive && !s.ours(waiting):
			if n++; n == 1 {
				s.waiting, s.seen, s.next = &waiting, s.lasted, 0
			}
		case n == 0:
			s.next = waiting + 1
		}
	}
	if n < crowd {
		s.crowded = false
	} else if !s.crowded {
		s.crowded, s.since = true, s.lasted
	}
	return nil
}

// peek looks; a message of the kind that makes receives panic too is an answer of the broker, if no more.
func (s *silence) peek(ctx context.Context, from int64, n int) ([]*azservicebus.ReceivedMessage, error) {
	found, err := peek(ctx, s.client, from, n)
	if _, panicked := errors.AsType[*panicError](err); panicked {
		return nil, nil
	}
	return found, err
}

// peek looks at messages of any state, and locks none.
func peek(ctx context.Context, c *client, from int64, n int) ([]*azservicebus.ReceivedMessage, error) {
	return do(ctx, c, lookLimit, func(ctx context.Context) ([]*azservicebus.ReceivedMessage, error) {
		return c.receiver.PeekMessages(ctx, n, &azservicebus.PeekMessagesOptions{FromSequenceNumber: &from})
	})
}
