package worker

// The crash-only client. An SDK client, its connection, receiver and sender are one value with one life. The first call
// that fails or hangs ends it; a new one is dialled, warmed by one caller, and only then let loose. The SDK is never left
// to recover under concurrent callers: each of them would build, and leak, a set of links of its own.

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// guardMargin is how long a call may overrun its context before it counts as hung. The SDK does so by up to a minute.
const guardMargin = time.Second

var (
	errHung     = errors.New("the call ignored its deadline")
	errReplaced = errors.New("the client was replaced during the call")
	// errLinkFailed stands for a receive without messages and without an error. That never means "idle".
	errLinkFailed = errors.New("the receive link failed")
	errEarly      = errors.New("a receive ended before its time, without messages")
)

// panicError is a panic inside the SDK, caught on its way out.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic in the SDK: %v", e.value) }

// client is one life of the connection to Service Bus.
type client struct {
	*connection
	// canSend is set while warming, before anyone else sees the client.
	canSend bool
	born    time.Time // when others could first use it, zero before; written before they can

	// stuck counts the calls of all clients that were given up long ago and have not come back.
	stuck *atomic.Int64

	ctx    context.Context // ends with the client; its cause is the failure
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	calls int           // inside the SDK, under mu
	spare []*caller     // those without a call, under mu
	idle  chan struct{} // closed once the client ended and calls is 0, under mu
	cause string        // the metric label of the first failure, under mu
	// credit is what the last receive left out, as of creditSince. Under mu.
	credit      int
	creditSince time.Time
}

// caller is a goroutine that makes one SDK call after another, until its client ends. A new one for each call would spend
// more time on growing its stack than on the call.
type caller struct{ calls chan func() }

func newClient(c *connection, stuck *atomic.Int64) *client {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &client{connection: c, stuck: stuck, ctx: ctx, cancel: cancel, idle: make(chan struct{})}
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
	for _, k := range c.spare {
		close(k.calls)
	}
	c.spare = nil
	if c.calls == 0 {
		close(c.idle)
	}
}

func (c *client) causeOf() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// enter returns who makes the next call; nil when the client has ended.
func (c *client) enter() *caller {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil
	}
	c.calls++
	if last := len(c.spare) - 1; last >= 0 {
		k := c.spare[last]
		c.spare = c.spare[:last]
		return k
	}
	k := &caller{calls: make(chan func())}
	go func() {
		for call := range k.calls {
			call()
			c.leave(k)
		}
	}()
	return k
}

func (c *client) leave(k *caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls--
	if c.ctx.Err() == nil {
		c.spare = append(c.spare, k)
		return
	}
	close(k.calls)
	if c.calls == 0 {
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

// do makes one SDK call under a deadline that holds even when the SDK ignores it. A call that hangs ends the client; its
// late answer is dropped. A panic comes back as *panicError.
func do[T any](ctx context.Context, c *client, limit time.Duration, call func(context.Context) (T, error)) (T, error) {
	return doOrLate(ctx, c, limit, call, func(T) {})
}

// doOrLate is do for a call whose answer must not get lost: late gets it when the call had been given up by then.
func doOrLate[T any](ctx context.Context, c *client, limit time.Duration, call func(context.Context) (T, error), late func(T)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	k := c.enter()
	if k == nil {
		return none, errReplaced
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answers, gone := make(chan answer), make(chan struct{})
	var overdue *time.Timer // written before gone is closed, read after
	defer close(gone)
	k.calls <- func() {
		value, err := contained(ctx, call)
		select {
		case answers <- answer{value, err}:
		case <-gone:
			if !overdue.Stop() {
				c.stuck.Add(-1)
			}
			late(value)
		}
	}
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
	case <-c.ctx.Done():
		cancel()
	}
	guard := time.NewTimer(guardMargin)
	defer guard.Stop()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-guard.C:
		overdue = time.AfterFunc(lifeless, func() { c.stuck.Add(1) })
		c.fail("hung", errHung)
		return none, errHung
	}
}

// contained makes a call whose panic is an error.
func contained[T any](ctx context.Context, call func(context.Context) (T, error)) (value T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{value: r, stack: debug.Stack()}
		}
	}()
	return call(ctx)
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
