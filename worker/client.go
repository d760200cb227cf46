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

	mu    sync.Mutex
	calls int           // inside the SDK, under mu
	all   []*caller     // under mu
	spare []*caller     // those of them without a call, under mu
	idle  chan struct{} // closed once the client ended and calls is 0, under mu
	cause string        // the metric label of the first failure, under mu
	// credit is what the last receive left out, as of creditSince. Under mu.
	credit      int
	creditSince time.Time
}

// caller is a goroutine that makes one SDK call after another, until its client ends. A new one for each call would spend
// more time on growing its stack than on the call.
type caller struct {
	calls  chan func()
	done   chan struct{}      // has a token when a call has come back in time
	cancel context.CancelFunc // of the call under way, nil without one; under the client's mu
}

func newClient(c *connection, stuck *atomic.Int64, count func(error)) *client {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &client{connection: c, stuck: stuck, count: count, ctx: ctx, cancel: cancel, idle: make(chan struct{})}
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
	for _, k := range c.all {
		if k.cancel != nil {
			k.cancel()
		} else {
			close(k.calls)
		}
	}
	if c.calls == 0 {
		close(c.idle)
	}
}

func (c *client) causeOf() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// enter returns who makes the next call, which ends with cancel when the client does; nil when it has ended.
func (c *client) enter(cancel context.CancelFunc) (k *caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return nil
	}
	c.calls++
	if last := len(c.spare) - 1; last >= 0 {
		k, c.spare = c.spare[last], c.spare[:last]
	} else {
		k = &caller{calls: make(chan func()), done: make(chan struct{}, 1)}
		c.all = append(c.all, k)
		go func() {
			for call := range k.calls {
				call()
			}
		}()
	}
	k.cancel = cancel
	return k
}

func (c *client) leave(k *caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls--
	k.cancel = nil
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
func doOrLate[T any](ctx context.Context, c *client, limit time.Duration, call func(context.Context) (T, error), late func(T)) (value T, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	k := c.enter(cancel)
	if k == nil {
		return value, errReplaced
	}
	a := &answer[T]{}
	k.calls <- func() {
		if a.value, a.err = contained(ctx, call); a.err != nil {
			c.count(a.err)
		}
		if a.decided.CompareAndSwap(false, true) {
			k.done <- struct{}{}
			return
		}
		if !a.overdue.Stop() {
			c.stuck.Add(-1)
		}
		late(a.value)
		c.leave(k)
	}
	select {
	case <-k.done:
		c.leave(k)
		return a.value, a.err
	case <-ctx.Done():
	}
	guard := time.NewTimer(guardMargin)
	defer guard.Stop()
	select {
	case <-k.done:
	case <-guard.C:
		a.overdue = time.AfterFunc(lifeless, func() { c.stuck.Add(1) })
		if a.decided.CompareAndSwap(false, true) {
			c.fail("hung", errHung)
			return value, errHung
		}
		a.overdue.Stop()
		<-k.done
	}
	c.leave(k)
	return a.value, a.err
}

// answer is what came of a call: its caller writes it, and who waits reads it after the caller's token.
type answer[T any] struct {
	value   T
	err     error
	decided atomic.Bool // by its caller, that it came in time, or by who waits, that it did not
	overdue *time.Timer // written before it is decided that it did not, read after
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
