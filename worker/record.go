package worker

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"batchterminator/handler"
	"batchterminator/metrics"
)

// record is the one place that accounts for a delivery: one outcome in a metric and in one log line (promise P10).
func (w *Worker) record(d *delivery, s settlement) {
	now := time.Now()
	record := newRecord(d, s, now)
	w.metrics.Settled(record)
	if s.result == "lock_lost" && !d.lock.lost {
		w.metrics.LockLost()
	}
	if entry := w.log.Check(level(&d.result, s), "delivery"); entry != nil {
		entry.Write(zap.Inline(&deliveryLine{d, s, now}))
	}
	if d.span != nil {
		w.endSpan(d, s, now)
	}
}

// deliveryLine is the log line of a delivery. It writes its fields by itself, as a list of them would take longer to make
// than to encode.
type deliveryLine struct {
	d   *delivery
	s   settlement
	now time.Time
}

// MarshalLogObject implements [zapcore.ObjectMarshaler].
func (l *deliveryLine) MarshalLogObject(e zapcore.ObjectEncoder) error {
	r := &l.d.result
	e.AddString("message_id", bounded(l.d.msg.MessageID))
	e.AddInt64("sequence_number", l.d.sequence())
	e.AddUint32("delivery_count", l.d.msg.DeliveryCount)
	e.AddString("outcome", r.Outcome.String())
	e.AddString("settlement", l.s.kind)
	e.AddString("result", l.s.result)
	e.AddString("job_id", r.Request.JobID)
	e.AddString("task_id", r.Request.TaskID)
	e.AddString("endpoint", r.Request.Endpoint)
	e.AddString("client_request_id", r.ClientRequestID)
	e.AddString("request_id", r.RequestID)
	e.AddInt64("status", int64(r.Status))
	e.AddString("code", r.Code)
	e.AddInt64("attempts", int64(l.d.message.Attempts+r.Attempts))
	e.AddInt64("redeliveries", int64(l.d.message.Redeliveries))
	e.AddDuration("took", l.now.Sub(l.d.received))
	e.AddDuration("age", l.d.age(l.now))
	if r.Detail != "" {
		e.AddString("detail", r.Detail)
	}
	if !l.s.back.IsZero() {
		e.AddTime("back_at", l.s.back)
	}
	if r.Request.Reason != "" || r.Request.RequestedBy != "" {
		e.AddString("reason", r.Request.Reason)
		e.AddString("requested_by", r.Request.RequestedBy)
	}
	if l.s.err != nil {
		e.AddString("settle_error", bounded(l.s.err.Error()))
	}
	if l.d.span != nil {
		l.d.logTrace(e)
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

func newRecord(d *delivery, s settlement, now time.Time) metrics.Delivery {
	r := &d.result
	record := metrics.Delivery{
		Outcome: r.Outcome, Settlement: s.kind, Result: s.result, Ended: now, Settling: s.took, LockRemaining: d.left, SinceFirst: d.age(now),
		Attempts: d.message.Attempts + r.Attempts, DeliveryCount: d.msg.DeliveryCount, TraceID: d.traceID(),
	}
	if d.msg.EnqueuedTime != nil {
		record.SinceEnqueued = now.Sub(*d.msg.EnqueuedTime)
	}
	return record
}

// level makes the lines that need a person stand out.
func level(r *handler.Result, s settlement) zapcore.Level {
	switch decision := r.Outcome.Decision(); {
	case r.Outcome == handler.Panic:
		return zapcore.ErrorLevel
	case r.Outcome == handler.Terminated && r.Detail != "": // it worked, but not as documented
		return zapcore.WarnLevel
	case decision == handler.DeadLetter, decision == handler.Pause, s.result == "unconfirmed", s.result == "failed", s.result == "lock_lost":
		return zapcore.WarnLevel
	}
	return zapcore.InfoLevel
}
