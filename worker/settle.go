package worker

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"batchterminator/handler"
)

const (
	// settleTry bounds one try. It is below the SDK's first own retry, which after a lost connection tears down the healthy
	// new one.
	settleTry = 2 * time.Second
	// settleLimit bounds all tries of one settlement, or of sending one copy. Waiting for a connection is no try: who gives up
	// before the lock ends burns the delivery.
	settleLimit = 8 * time.Second
	// abandonPause is how long a request that has to come back, and cannot as a copy, is kept before it is abandoned: a
	// queue's usual ten deliveries then outlast several times sendAgain.
	abandonPause = 5 * time.Second
	// settlePause separates tries.
	settlePause = 50 * time.Millisecond
	// bareTry is the first try, of those counted from 0, that leaves out what the broker may have refused before.
	bareTry = 2
)

// settlement is how a delivery was settled, in the words of metrics.Settlements and metrics.SettleResults: "unconfirmed" when
// the lock ended after a try that went unanswered, and so probably by it, "failed" when no try was answered.
type settlement struct {
	kind, result string
	// back is when the request comes back, zero when it does not.
	back time.Time
	took time.Duration // all of it, set when it is over
	err  error
}

// settle acts on a result: once, on a context of its own, since a finished request is settled even while the worker stops.
// It returns the result as it finally stands: a request that may not come back any more is dead-lettered.
func (w *Worker) settle(d *delivery, r handler.Result, left time.Duration) (handler.Result, settlement) {
	ctx, cancel := context.WithTimeout(w.settles, max(left, settleTry))
	defer cancel()
	switch decision := r.Outcome.Decision(); {
	case decision == handler.Complete:
		return r, w.complete(ctx, d)
	case decision == handler.DeadLetter:
		return r, w.deadLetter(ctx, d, r)
	case r.Outcome == handler.LockLost:
		return r, settlement{kind: "none", result: "skipped"}
	case r.Outcome == handler.Panic:
		return w.settlePanic(ctx, d, r)
	}
	return w.redeliver(ctx, d, r)
}

func (w *Worker) complete(ctx context.Context, d *delivery) settlement {
	return w.settleBy(ctx, d, "complete", func(ctx context.Context, r receiver, m *azservicebus.ReceivedMessage, _ int) error {
		return r.CompleteMessage(ctx, m, nil)
	})
}

// deadLetter moves the message with all that there is to say about it. A broker that refuses that much says so to the SDK
// alone, which keeps it to itself: when the settlement of an earlier delivery failed too, the last tries are without.
func (w *Worker) deadLetter(ctx context.Context, d *delivery, r handler.Result) settlement {
	reason, description := r.DeadLetterReason(), r.DeadLetterDescription()
	options := &azservicebus.DeadLetterOptions{Reason: &reason, ErrorDescription: &description, PropertiesToModify: map[string]any{propLedger: d.ledger(r, time.Now())}}
	return w.settleBy(ctx, d, "dead-letter", func(ctx context.Context, rc receiver, m *azservicebus.ReceivedMessage, try int) error {
		if d.recalled && try >= bareTry {
			return rc.DeadLetterMessage(ctx, m, nil)
		}
		return rc.DeadLetterMessage(ctx, m, options)
	})
}

// abandon hands the message back with its history, which costs it a delivery.
func (w *Worker) abandon(ctx context.Context, d *delivery, r handler.Result) settlement {
	options := &azservicebus.AbandonMessageOptions{PropertiesToModify: d.handedBack(r)}
	return w.settleBy(ctx, d, "abandon", func(ctx context.Context, rc receiver, m *azservicebus.ReceivedMessage, _ int) error {
		return rc.AbandonMessage(ctx, m, options)
	})
}

// lastDelivery tells whether the broker would dead-letter the message on the next failure, without a word on why.
func (w *Worker) lastDelivery(d *delivery) bool {
	return int(d.msg.DeliveryCount) >= w.config.MaxDeliveryCount
}

// settlePanic gives the message another delivery, and on the last one dead-letters it with our reason rather than the
// broker's generic one.
func (w *Worker) settlePanic(ctx context.Context, d *delivery, r handler.Result) (handler.Result, settlement) {
	if w.lastDelivery(d) {
		r.Outcome = handler.CrashSuspect
		return r, w.deadLetter(ctx, d, r)
	}
	return r, w.abandon(ctx, d, r)
}

// redeliver schedules a copy and completes the original, unless policy gives the request up.
func (w *Worker) redeliver(ctx context.Context, d *delivery, r handler.Result) (handler.Result, settlement) {
	wait, r, again := w.config.Redelivery.Next(d.message, r, w.gates.Down(r.Request.Endpoint))
	if !again {
		w.finished.remember(d, r)
		return r, w.deadLetter(ctx, d, r)
	}
	back := time.Now().Add(wait)
	sent, refused, err := w.sendCopy(ctx, d, copyOf(d, r, wait))
	switch {
	case refused && r.Outcome == handler.Isolated:
		// Abandoned it would be back at once, and again, until the queue's delivery limit: it waits for its lock to end instead.
		return r, settlement{kind: "redeliver", result: "failed", err: err}
	case refused && w.lastDelivery(d):
		r = r.GaveUp(handler.RetriesExhausted, "no delivery is left, and no copy can be sent")
		s := w.deadLetter(ctx, d, r)
		s.err = cmp.Or(s.err, err)
		return r, s
	case refused:
		// An abandoned message comes back at once: without a pause one minute without the right to send spends all deliveries.
		deadline, _ := ctx.Deadline()
		sleep(ctx, min(wait, abandonPause, time.Until(deadline)/2))
		s := w.abandon(ctx, d, r)
		s.back, s.err = time.Now(), cmp.Or(s.err, err)
		return r, s
	case !sent:
		// Neither the copy nor the original is certain; the original's lock ends by itself and it comes back.
		return r, settlement{kind: "redeliver", result: "failed", err: err}
	}
	w.metrics.Redelivered(r.Outcome)
	// From here on the copy carries the request: should the original come back, it only has to be completed.
	w.finished.remember(d, r)
	s := w.complete(ctx, d)
	s.kind, s.back = "redeliver", back
	return r, s
}

// settler makes one try of a settlement; tries count from 0.
type settler func(ctx context.Context, r receiver, m *azservicebus.ReceivedMessage, try int) error

// settleBy makes one settlement certain if it can: first on the link that the message came on, then by lock token over
// the management node, which works from any client.
func (w *Worker) settleBy(ctx context.Context, d *delivery, kind string, call settler) settlement {
	var last error
	var spent time.Duration // in tries
	for try := 0; ; try++ {
		c, err := w.clients.get(ctx)
		if err != nil || spent > settleLimit {
			return settlement{kind: kind, result: "failed", err: cmp.Or(last, err)}
		}
		m := d.msg
		if try > 0 || c != d.client {
			m = &azservicebus.ReceivedMessage{LockToken: d.msg.LockToken}
		}
		start := time.Now()
		w.metrics.Operation(kind)
		_, err = do(ctx, c, settleTry, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx, c.receiver, m, try) })
		switch {
		case err == nil:
			w.finished.forget(d)
			w.ready.observeTrip(time.Since(start))
			return settlement{kind: kind, result: "ok"}
		case lockLost(err) && last == nil:
			return settlement{kind: kind, result: "lock_lost", err: err}
		case lockLost(err):
			// An earlier try went unanswered: the lock may be gone because that one worked.
			return settlement{kind: kind, result: "unconfirmed", err: last}
		case errors.Is(err, errReplaced):
			continue // it reached nobody
		case !idle(err) || try > 0 && ctx.Err() == nil: // a try that our own end cuts short says nothing about the client
			c.fail("settle", err)
		}
		last = err
		sleep(ctx, settlePause)
		spent += time.Since(start)
	}
}

// record is the one place that accounts for a delivery: one outcome in a metric and in one log line (promise P10).
func (w *Worker) record(d *delivery, r handler.Result, s settlement, left time.Duration) {
	now := time.Now()
	attempts := d.message.Attempts + r.Attempts
	record := newRecord(d, r, s, left, now)
	w.metrics.Settled(record)
	if s.result == "lock_lost" && !d.lockLost {
		w.metrics.LockLost()
	}
	if entry := w.log.Check(level(r, s), "delivery"); entry != nil {
		entry.Write(zap.Inline(&deliveryLine{d, r, s, attempts, now.Sub(d.received), record.SinceFirst}))
	}
}

// deliveryLine is the log line of a delivery. It writes its fields by itself, as a list of them would take longer to make
// than to encode.
type deliveryLine struct {
	d         *delivery
	r         handler.Result
	s         settlement
	attempts  int
	took, age time.Duration
}

// MarshalLogObject implements [zapcore.ObjectMarshaler].
func (l *deliveryLine) MarshalLogObject(e zapcore.ObjectEncoder) error {
	e.AddString("message_id", bounded(l.d.msg.MessageID))
	e.AddInt64("sequence_number", l.d.sequence())
	e.AddUint32("delivery_count", l.d.msg.DeliveryCount)
	e.AddString("outcome", l.r.Outcome.String())
	e.AddString("settlement", l.s.kind)
	e.AddString("result", l.s.result)
	e.AddString("job_id", l.r.Request.JobID)
	e.AddString("task_id", l.r.Request.TaskID)
	e.AddString("endpoint", l.r.Request.Endpoint)
	e.AddString("client_request_id", l.r.ClientRequestID)
	e.AddString("request_id", l.r.RequestID)
	e.AddInt64("status", int64(l.r.Status))
	e.AddString("code", l.r.Code)
	e.AddInt64("attempts", int64(l.attempts))
	e.AddInt64("redeliveries", int64(l.d.message.Redeliveries))
	e.AddDuration("took", l.took)
	e.AddDuration("age", l.age)
	if l.r.Detail != "" {
		e.AddString("detail", l.r.Detail)
	}
	if !l.s.back.IsZero() {
		e.AddTime("back_at", l.s.back)
	}
	if l.r.Request.Reason != "" || l.r.Request.RequestedBy != "" {
		e.AddString("reason", l.r.Request.Reason)
		e.AddString("requested_by", l.r.Request.RequestedBy)
	}
	if l.s.err != nil {
		e.AddString("settle_error", bounded(l.s.err.Error()))
	}
	return nil
}

// maxLogged bounds a value on a log line that somebody else chose, in bytes. What they may be made of is the encoder's care.
const maxLogged = 1 << 10

func bounded(s string) string {
	if len(s) <= maxLogged {
		return s
	}
	return s[:maxLogged] + "..."
}
