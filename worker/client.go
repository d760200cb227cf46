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
)

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
	// credit is what the last receive left out, as of creditSince. Under mu.
	credit      int
	creditSince time.Time
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

// owes records how many messages the broker may still deliver after a receive.
func (c *client) owes(n int, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.credit, c.creditSince = n, since
}

// owed returns how many messages the broker may still deliver, and since when.
func (c *client) owed() (int, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.credit, c.creditSince
}

// probe proves that the path to the broker and its management node works: it renews a lock that cannot exist, and "lock
// lost" is the answer of a healthy broker.
func (c *client) probe(ctx context.Context, limit time.Duration) error {
	_, err := do(ctx, c, limit, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, c.receiver.RenewMessageLock(ctx, &azservicebus.ReceivedMessage{LockToken: [16]byte{1}}, nil)
	})
	if err == nil || lockLost(err) {
		return nil
	}
	return err
}
