package worker

// Looking into a queue without taking anything from it: no message is locked, and no delivery count rises.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"go.uber.org/zap"

	"batchterminator/metrics"
)

const (
	// browsePage is how many messages one look asks for; Service Bus gives at most 250, and fewer when they are large.
	browsePage = 100
	// browseLimit bounds one look.
	browseLimit = 20 * time.Second
	// browseTries is how many looks in a row may fail.
	browseTries = 5
	// reconnectLimit is how long a command waits for a connection that it had before.
	reconnectLimit = 2 * time.Minute
)

// ErrUnreachable says that there is no connection to Service Bus, or none to this entity.
var ErrUnreachable = errors.New("no connection to Service Bus")

// line is the connection of a command that a person waits for. It is the worker's own crash-only client, with one
// difference: what fails before it ever worked, or cannot pass by itself, is not waited for.
type line struct {
	clients *clients
	ctx     context.Context // ends with the line; its cause says why there will be no client
	giveUp  context.CancelCauseFunc
	owner   sync.WaitGroup
}

func newLine(connect func() (*connection, error)) *line {
	l := &line{clients: newClients(connect, metrics.Unread(), zap.NewNop())}
	l.ctx, l.giveUp = context.WithCancelCause(context.Background())
	l.clients.collect, l.clients.holds = func(*client) {}, func() bool { return true }
	worked := false // of the goroutine that runs clients
	l.clients.failed = func(c *client, err error) {
		worked = worked || c != nil && !c.born.IsZero()
		if !worked || unauthorized(err) || hasCode(err, azservicebus.CodeNotFound) {
			l.giveUp(fmt.Errorf("%w: %w (%s)", ErrUnreachable, err, hint(err, receiverRole)))
		}
	}
	return l
}

func (l *line) open() { l.owner.Go(func() { l.clients.run(l.ctx) }) }

// get returns a client that works, or why there is none.
func (l *line) get(ctx context.Context) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, reconnectLimit)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(l.ctx, func() { end(context.Cause(l.ctx)) })()
	c, err := l.clients.get(ctx)
	if l.ctx.Err() != nil {
		return nil, context.Cause(l.ctx)
	}
	return c, err
}

// detached returns a context that outlives ctx, but not the line, nor the limit.
func (l *line) detached(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

func (l *line) close() {
	l.giveUp(context.Canceled)
	l.owner.Wait()
}

// Browser looks into one queue, subscription or dead-letter queue. It is for one goroutine.
type Browser struct{ line *line }

// NewBrowser returns a browser of the entity of b, or of its dead-letter queue. Nothing is dialled before its first look.
func NewBrowser(b ServiceBus, deadLetters bool) *Browser {
	browser := &Browser{newLine(func() (*connection, error) { return b.connectTo(deadLetters, "") })}
	browser.line.open()
	return browser
}

// Close ends the connection.
func (b *Browser) Close() { b.line.close() }

// Walk is how far a look into a queue came.
type Walk struct {
	// Seen counts the messages that were shown; Unreadable those that are there and that the SDK cannot read.
	Seen, Unreadable int
	// Complete: there is nothing behind the last one.
	Complete bool
}

// Each shows every message to visit, lowest sequence number first, until it returns false or limit have been seen; 0 is no
// limit. Messages that come and go meanwhile may or may not be among them.
func (b *Browser) Each(ctx context.Context, limit int, visit func(Stored) bool) (Walk, error) {
	return each(ctx, b.line, 0, limit, func(m *azservicebus.ReceivedMessage) bool {
		return visit(newStored(m))
	})
}

func each(ctx context.Context, l *line, from int64, limit int, visit func(*azservicebus.ReceivedMessage) bool) (w Walk, err error) {
	for limit == 0 || w.Seen < limit {
		page := browsePage
		if limit > 0 {
			page = min(page, limit-w.Seen)
		}
		found, skipped, err := lookFrom(ctx, l, from, page)
		if err != nil {
			return w, err
		}
		if skipped {
			w.Unreadable++
		}
		if len(found) == 0 {
			w.Complete = true
			return w, nil
		}
		for _, m := range found {
			w.Seen++
			from = sequenceOf(m) + 1
			if !visit(m) {
				return w, nil
			}
		}
	}
	return w, nil
}

// lookFrom returns the next page of messages. A message that the SDK panics over makes the whole page unreadable: then the
// page is one message, and if that is the one, the one behind it.
func lookFrom(ctx context.Context, l *line, from int64, page int) (found []*azservicebus.ReceivedMessage, skipped bool, err error) {
	found, err = look(ctx, l, from, page)
	if unreadable(err) && page > 1 {
		found, err = look(ctx, l, from, 1)
	}
	if !unreadable(err) {
		return found, false, err
	}
	// Its number is not known, and numbers have gaps: the first that can be read is found by doubling the step, then halving.
	step, last := int64(1), int64(1)<<60
	for unreadable(err) && step < last-from {
		step *= 2
		_, err = look(ctx, l, from+step, 1)
	}
	low, high := step/2, step // what is behind low is unreadable, behind high it is not
	for high-low > 1 && (err == nil || unreadable(err)) {
		middle := low + (high-low)/2
		if _, err = look(ctx, l, from+middle, 1); unreadable(err) {
			low = middle
		} else {
			high = middle
		}
	}
	if err != nil && !unreadable(err) {
		return nil, true, err
	}
	found, err = look(ctx, l, from+high, 1)
	return found, true, err
}

// unreadable tells whether the SDK panicked over a message.
func unreadable(err error) bool {
	_, panicked := errors.AsType[*panicError](err)
	return panicked
}

// look is one look, on another client when one fails.
func look(ctx context.Context, l *line, from int64, page int) (found []*azservicebus.ReceivedMessage, err error) {
	for range browseTries {
		c, failure := l.get(ctx)
		if failure != nil {
			return nil, failure
		}
		found, err = do(ctx, c, browseLimit, func(ctx context.Context) ([]*azservicebus.ReceivedMessage, error) {
			return c.receiver.PeekMessages(ctx, page, &azservicebus.PeekMessagesOptions{FromSequenceNumber: &from})
		})
		switch {
		case err == nil || unreadable(err) || ctx.Err() != nil:
			return found, err
		case !errors.Is(err, errReplaced):
			c.fail("probe", err)
		}
	}
	return nil, fmt.Errorf("look into the queue: %w", err)
}
