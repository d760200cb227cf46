package worker

// Calls of the SDK. The SDK ignores deadlines by up to a minute, panics, and never returns; whoever needs an answer must not
// depend on it. So each call has a guard, which gives it up when it overruns: its client ends, and its caller goes on
// without it, on another goroutine if it must. The late answer, if one ever comes, is dropped or taken in by late.

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// guardMargin is how long a call may overrun its context before it counts as hung. The SDK does so by up to a minute.
const guardMargin = time.Second

var (
	errHung     = errors.New("the call ignored its deadline")
	errReplaced = errors.New("the client was replaced during the call")
)

// panicError is a panic inside the SDK, caught on its way out.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic in the SDK: %v", e.value) }

// sdkCall is a call under way: the context that the SDK gets, which ends in time or with the client, and the guard behind
// it. One timer serves both, and nothing else runs unless it fires.
type sdkCall struct {
	client   *client
	deadline time.Time
	hung     func() // goes on without the answer
	// The calls of a client that are under way, under its mu.
	before, next *sdkCall

	mu      sync.Mutex
	timer   *time.Timer   // to the deadline, then to the end of the margin, under mu
	done    chan struct{} // made when it is asked for, under mu
	err     error         // why the context ended, under mu
	ended   time.Time     // and when, under mu
	decided bool          // it came back in time, or it was given up, under mu
	overdue *time.Timer   // counts it as stuck once it has been given up long ago, under mu
}

// Deadline implements context.Context.
func (k *sdkCall) Deadline() (time.Time, bool) { return k.deadline, true }

// Value implements context.Context.
func (k *sdkCall) Value(any) any { return nil }

// Err implements context.Context.
func (k *sdkCall) Err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// Done implements context.Context.
func (k *sdkCall) Done() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.done == nil {
		k.done = make(chan struct{})
		if k.err != nil {
			close(k.done)
		}
	}
	return k.done
}

// begin starts the time of the call, whose caller may have given it up by now.
func (k *sdkCall) begin(limit time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deadline = time.Now().Add(limit)
	if k.err != nil {
		limit = guardMargin
	}
	k.timer = time.AfterFunc(limit, k.due)
}

// due is the timer's: the first time the context ends, the second time the call has ignored that.
func (k *sdkCall) due() {
	if k.end(context.DeadlineExceeded) {
		return
	}
	k.mu.Lock()
	// The timer may have fired for the deadline in the moment in which another ended the context, and is set anew by now.
	if k.decided || time.Since(k.ended) < guardMargin {
		k.mu.Unlock()
		return
	}
	k.decided = true
	k.overdue = time.AfterFunc(lifeless, func() { k.client.stuck.Add(1) })
	k.mu.Unlock()
	k.client.fail("hung", errHung)
	k.hung()
}

// end ends the context, unless it has ended.
func (k *sdkCall) end(err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return false
	}
	k.err, k.ended = err, time.Now()
	if k.done != nil {
		close(k.done)
	}
	if !k.decided && k.timer != nil {
		k.timer.Reset(guardMargin)
	}
	return true
}

// back ends the call, which has come back. It reports whether that was in time.
func (k *sdkCall) back() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.timer.Stop()
	if k.decided {
		if !k.overdue.Stop() {
			k.client.stuck.Add(-1)
		}
		return false
	}
	k.decided = true
	return true
}

// guard makes a call on this goroutine, for at most limit and the margin. When that is not enough it calls hung, on another
// goroutine, and returns false once the call has come back after all, with the late answer. A panic is an error.
func guard[T any](k *sdkCall, limit time.Duration, call func(context.Context) (T, error)) (value T, err error, inTime bool) {
	k.begin(limit)
	if !k.client.enter(k) {
		return value, errReplaced, k.back()
	}
	if value, err = contained(k, call); err != nil {
		k.client.count(err)
	}
	inTime = k.back()
	k.client.leave(k)
	return value, err, inTime
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

// do makes one SDK call and waits for its answer under a deadline that holds even when the SDK ignores it. A call that hangs
// ends the client; its late answer is dropped. A panic comes back as *panicError.
func do[T any](ctx context.Context, c *client, limit time.Duration, call func(context.Context) (T, error)) (T, error) {
	return doOrLate(ctx, c, limit, call, func(T) {})
}

// doOrLate is do for a call whose answer must not get lost: late gets it when the call had been given up by then.
func doOrLate[T any](ctx context.Context, c *client, limit time.Duration, call func(context.Context) (T, error), late func(T)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	if until, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(until))
	}
	answered := make(chan answer, 1)
	k := &sdkCall{client: c, hung: func() { answered <- answer{err: errHung} }}
	c.crew.run(func() {
		value, err, inTime := guard(k, limit, call)
		if !inTime {
			late(value)
			return
		}
		answered <- answer{value, err}
	})
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		k.end(context.Canceled)
	}
	a := <-answered // the guard sees to it
	return a.value, a.err
}
