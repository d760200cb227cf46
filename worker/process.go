package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"go.uber.org/zap"

	"batchterminator/handler"
	"batchterminator/metrics"
)

// accept gives a message its slot and its goroutine. Called with admission held: nothing may begin while the drain waits
// for the end of all.
func (w *Worker) accept(c *client, m *azservicebus.ReceivedMessage) {
	c.fed.Store(true)
	d := newDelivery(c, m)
	if d.msg.DeliveryCount > 1 {
		w.past.tell(d, w.underway.others(d))
	}
	w.weigh(d)
	if d.setApart() {
		d.alone = w.pump.lane.claim()
	}
	w.pump.take(d.size)
	w.metrics.Received(d.received, d.age(d.received))
	w.metrics.Move(metrics.Gone, metrics.Waiting)
	w.hold(d)
	w.underway.begin(d)
	w.drained.start()
	w.deliveries.Add(1)
	w.crew.run(d)
}

// admit takes in what a receive brought, also when that had been given up by then, or its client had ended: the locks are
// ours, and would have to expire. Such late messages may exceed the slots; no more are asked for until they have gone.
func (w *Worker) admit(c *client, msgs []*azservicebus.ReceivedMessage) {
	w.admission.Lock()
	defer w.admission.Unlock()
	if w.closed && len(msgs) > 0 {
		w.log.Warn("messages came after the end of the intake; they come back when their locks end", zap.Int("messages", len(msgs)))
		return
	}
	w.pump.lane.enter(len(msgs))
	for _, m := range msgs {
		w.accept(c, m)
	}
}

// closeIntake has admit take nothing any more.
func (w *Worker) closeIntake() {
	w.admission.Lock()
	defer w.admission.Unlock()
	w.closed = true
}

// process is the life of one delivery. This is the whole of it, in order.
func (w *Worker) process(d *delivery) {
	var work context.Context = &d.lock
	if w.config.Tracer != nil {
		work = w.startSpan(work, d)
	}
	d.result = w.decide(work, d)
	w.metrics.Move(metrics.Waiting, metrics.Settling)
	// The slot is free as soon as the call has its outcome; settlements under way have a bound of their own, and the lock is
	// kept until it is this one's turn.
	w.settling <- struct{}{}
	w.pump.give(d.size)
	d.left = d.lock.stop()
	began := time.Now()
	w.settle(d, func(s settlement) {
		s.took = time.Since(began)
		<-w.settling
		w.finished.end(d, s)
		w.past.end(d, s)
		w.underway.end(d)
		w.record(d, s)
		w.metrics.Move(metrics.Settling, metrics.Gone)
		w.drained.count(&d.result, s)
		w.pump.lane.leave(d.alone != nil)
		w.deliveries.Done()
	})
}

// decide returns what the delivery comes to: from memory, or by handling it once a handler is free.
func (w *Worker) decide(ctx context.Context, d *delivery) handler.Result {
	if r, ok := w.underway.enter(ctx, d); ok {
		return r
	}
	if r, ok := w.finished.recall(d); ok {
		return r
	}
	if r, ok := w.twins.redundant(d); ok {
		return r
	}
	if r, ok := w.suspect(ctx, d); ok {
		return r
	}
	if !w.takeHandler(ctx) {
		return interrupted(ctx)
	}
	defer func() { <-w.handlers }()
	if ctx.Err() != nil { // both were ready
		return interrupted(ctx)
	}
	if d.outlived() {
		return handler.Result{Outcome: handler.Expired, Detail: "its time to live ended while it waited for its turn"}
	}
	w.metrics.Move(metrics.Waiting, metrics.Working)
	defer w.metrics.Move(metrics.Working, metrics.Waiting)
	start := time.Now()
	r := w.handle(ctx, d)
	w.ready.observe(time.Since(start))
	return r
}

// takeHandler waits for a handler to be free; false when ctx ended first.
func (w *Worker) takeHandler(ctx context.Context) bool {
	select {
	case w.handlers <- struct{}{}: // mostly, and ctx need not make its channel
		return true
	default:
	}
	select {
	case w.handlers <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// handle confines a panic to the message that provoked it.
func (w *Worker) handle(ctx context.Context, d *delivery) (r handler.Result) {
	defer func() {
		if p := recover(); p != nil {
			w.metrics.Panicked()
			r = handler.Result{Outcome: handler.Panic, Detail: fmt.Sprintf("panic: %v", p), Err: errors.New("panic in the handler")}
			w.log.Error("panic while handling a message", append(d.ids(), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))...)
		}
	}()
	return w.config.Handler.Handle(ctx, d.message)
}

// interrupted is the result of a delivery that never started.
func interrupted(ctx context.Context) handler.Result {
	if errors.Is(context.Cause(ctx), handler.ErrLockLost) {
		return handler.Result{Outcome: handler.LockLost, Detail: "the lock was lost before the work began"}
	}
	return handler.Result{Outcome: handler.Draining, Detail: "the worker stopped before the work began"}
}
