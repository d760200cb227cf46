package worker

// The crash-only client. An SDK client, its connection, receiver and sender are one value with one life. The first call
// that fails or hangs ends it; a new one is dialled, warmed by one caller, and only then let loose. The SDK is never left
// to recover under concurrent callers: each of them would build, and leak, a set of links of its own.

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

var (
	// errLinkFailed stands for a receive without messages and without an error. That never means "idle".
	errLinkFailed = errors.New("the receive link failed")
	errEarly      = errors.New("a receive ended before its time, without messages")
	errGone       = errors.New("the connection ended")
	errKept       = errors.New("the broker was asked to take credit back, and has said nothing")
	errSpent      = errors.New("the SDK takes too much credit that was taken back for lent")
)

const (
	// recallLimit bounds the answer of the broker that takes credit back: one round trip.
	recallLimit = time.Second
	// mostCredit is what the SDK lends at most, and asks for at most in one receive.
	mostCredit = 5000
	// handedOver is what the SDK gets to see for itself what has been read for it.
	handedOver = 10 * time.Millisecond
)

// lent is the credit of a receiver, as the SDK counts it.
type lent struct {
	// out is what the broker may still deliver. Of it gone has been taken back, which the SDK does not know.
	out, gone int
	asked     time.Time // when the last receive began
	since     time.Time // when it ended
}

// real is what the broker may still deliver.
func (l lent) real() int { return l.out - l.gone }

// client is one life of the connection to Service Bus.
type client struct {
	*connection
	// canSend: the broker takes copies. Written by the owner of the client alone.
	canSend atomic.Bool
	// fed: it has received a message, which waits for its settlement. Written by the receive loop.
	fed  atomic.Bool
	born time.Time // when others could first use it, zero before; written before they can

	// stuck counts the calls of all clients that were given up long ago and have not come back.
	stuck *atomic.Int64
	// count records what a call failed with, for the metrics.
	count func(error)

	ctx    context.Context // ends with the client; its cause is the failure
	cancel context.CancelCauseFunc

	crew *crew[func()] // makes calls for those who wait for the answer

	mu    sync.Mutex
	calls *sdkCall      // inside the SDK, the last to begin, under mu
	idle  chan struct{} // closed once the client ended and calls is empty, under mu
	cause string        // the metric label of the first failure, under mu
	lent  lent          // since the last receive, under mu
}

func newClient(c *connection, stuck *atomic.Int64, count func(error)) *client {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &client{
		connection: c, stuck: stuck, count: count, ctx: ctx, cancel: cancel, idle: make(chan struct{}), crew: newCrew(func(call func()) { call() }),
	}
}

// fail ends the client; only the first failure counts.
func (c *client) fail(cause string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	c.cause = cause
	c.cancel(err)
	c.crew.dismiss()
	for k := c.calls; k != nil; k = k.before {
		k.end(context.Canceled)
	}
	if c.calls == nil {
		close(c.idle)
	}
}

func (c *client) causeOf() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// enter adds a call, which ends with the client; false when that has ended.
func (c *client) enter(k *sdkCall) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	if k.before = c.calls; k.before != nil {
		k.before.next = k
	}
	c.calls = k
	return true
}

func (c *client) leave(k *sdkCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.before != nil {
		k.before.next = k.next
	}
	if k.next != nil {
		k.next.before = k.before
	} else {
		c.calls = k.before
	}
	if c.calls == nil && c.ctx.Err() != nil {
		close(c.idle)
	}
}

// owes records what a receive has left out.
func (c *client) owes(l lent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lent = l
}

// owed returns what the last receive has left out.
func (c *client) owed() lent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lent
}

// lockEnds returns when the lock ends, by our clock, of a message that has been received now. A receive that lasted for longer
// than any does has met a standstill, and may have been granted it before.
func (c *client) lockEnds(until *time.Time, now time.Time) time.Time {
	stood := time.Duration(0)
	if asked := c.owed().asked; !asked.IsZero() {
		stood = max(0, now.Sub(asked)-pollLimit-guardMargin)
	}
	return c.clock.granted(until, stood, now)
}

// renew renews a lock, and returns when it ends by our clock.
func (c *client) renew(ctx context.Context, limit time.Duration, token [16]byte) (time.Time, error) {
	// A copy: the SDK writes the new expiry into the message that it is given.
	m, asked := &azservicebus.ReceivedMessage{LockToken: token}, time.Now()
	_, err := do(ctx, c, limit, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.receiver.RenewMessageLock(ctx, m, nil)
	})
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	return c.clock.granted(m.LockedUntil, now.Sub(asked), now), nil
}

// takeBack takes the credit back that is out. It tells whether, within recallLimit, the broker has given it up and the SDK has
// seen that.
func (c *client) takeBack() bool {
	timer := time.NewTimer(recallLimit)
	defer timer.Stop()
	select {
	case <-c.credit.recall():
	case <-timer.C:
		return false
	case <-c.ctx.Done():
		return false
	}
	sleep(c.ctx, handedOver)
	return true
}

// arrivals counts what has come from the broker, as far as that is known.
func (c *client) arrivals() uint64 {
	if c.arrived == nil {
		return 0
	}
	return c.arrived()
}

// recalling tells whether credit is being taken back, or has been and lend has not been called since.
func (c *client) recalling() bool { return c.credit != nil && c.credit.recalling() }

// lend ends a recall, so that credit for n messages can be given. It ends a client whose broker does not answer, and one whose
// SDK takes so much for lent by now that it gives no more.
func (c *client) lend(n int) {
	if c.credit == nil {
		return
	}
	if c.recalling() {
		// No receive goes on here: to wait for a broker that still delivers would leave its messages to the SDK, which gives them
		// back, and what is out would be taken for gone. A client that ends has what is on its way to it collected.
		if c.owed().real() > 0 && !isOver(c.credit.recall()) || !c.takeBack() || !c.credit.resume() {
			c.fail("probe", errKept)
			return
		}
		c.mu.Lock()
		c.lent.gone = c.lent.out
		c.mu.Unlock()
	}
	if n+c.owed().gone > mostCredit {
		c.fail("idle", errSpent)
	}
}

// probe proves that the path to the broker and its management node works: it renews a lock that cannot exist, and "lock
// lost" is the answer of a healthy broker.
func (c *client) probe(ctx context.Context, limit time.Duration) error {
	_, err := c.renew(ctx, limit, [16]byte{1})
	if err == nil || lockLost(err) {
		return nil
	}
	return err
}
