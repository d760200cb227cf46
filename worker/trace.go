package worker

// Traces. A delivery is a span of its own trace, linked to the span in which its message was made, and a copy's to the
// delivery that scheduled it as well: messages wait, come again and are copied, and a single trace would span days.
// OpenTelemetry's conventions for messaging name the attributes. Without a tracer all of this is one nil check.

import (
	"cmp"
	"context"
	"encoding/hex"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap/zapcore"
)

// Properties that name a span. Senders write the first two, W3C Trace Context and what Azure's SDKs wrote before it; they stay
// as they are on copies. The third is ours, and names the last delivery that wrote on the message.
const (
	propTraceparent  = "traceparent"
	propDiagnosticID = "Diagnostic-Id"
	propDelivery     = "bt-traceparent"
)

// maxTraceparent bounds what is read of these properties: a traceparent has 55 characters, and later versions may have more.
const maxTraceparent = 256

// startSpan begins the span of a delivery and returns the context for its work.
func (w *Worker) startSpan(ctx context.Context, d *delivery) context.Context {
	b := w.config.ServiceBus
	attributes := []attribute.KeyValue{
		attribute.String("messaging.system", "servicebus"),
		attribute.String("messaging.operation.type", "process"), attribute.String("messaging.operation.name", "process"),
		attribute.String("messaging.destination.name", w.destination()), attribute.String("messaging.message.id", attributeText(d.msg.MessageID)),
		attribute.Int64("messaging.servicebus.message.delivery_count", int64(d.msg.DeliveryCount)),
		attribute.Int64("batch_terminator.sequence_number", d.sequence()),
		attribute.Int("batch_terminator.redeliveries", d.message.Redeliveries),
	}
	if b.Subscription != "" {
		attributes = append(attributes, attribute.String("messaging.destination.subscription.name", b.Subscription))
	}
	if b.Namespace != "" {
		attributes = append(attributes, attribute.String("server.address", b.Namespace))
	}
	if d.msg.EnqueuedTime != nil {
		attributes = append(attributes, attribute.Int64("messaging.servicebus.message.enqueued_time", d.msg.EnqueuedTime.Unix()))
	}
	links, legacy := linksOf(d.msg.ApplicationProperties)
	if legacy != "" {
		attributes = append(attributes, attribute.String("batch_terminator.diagnostic_id", legacy))
	}
	ctx, d.span = w.config.Tracer.Start(ctx, "process "+w.destination(), trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithTimestamp(d.received), trace.WithLinks(links...), trace.WithAttributes(attributes...))
	return ctx
}

// destination is the queue, or the topic.
func (w *Worker) destination() string {
	return cmp.Or(w.config.ServiceBus.Queue, w.config.ServiceBus.Topic)
}

// producerOf returns the span in which the message was made, or an older Diagnostic-Id that names none. Anyone can write
// there, and any type: what is not understood is passed over.
func producerOf(properties map[string]any) (producer trace.SpanContext, legacy string) {
	if c := parseTraceparent(properties[propTraceparent]); c.IsValid() {
		return c, ""
	}
	return parseDiagnosticID(properties[propDiagnosticID])
}

// linksOf returns the spans that a message names.
func linksOf(properties map[string]any) (links []trace.Link, legacy string) {
	producer, legacy := producerOf(properties)
	if producer.IsValid() {
		links = append(links, trace.Link{SpanContext: producer})
	}
	if before := parseTraceparent(properties[propDelivery]); before.IsValid() {
		links = append(links, trace.Link{SpanContext: before, Attributes: []attribute.KeyValue{attribute.String("batch_terminator.link", "earlier delivery")}})
	}
	return links, legacy
}

// parseTraceparent reads W3C Trace Context; invalid if it is not.
func parseTraceparent(property any) trace.SpanContext {
	text, ok := property.(string)
	if !ok || len(text) > maxTraceparent {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": text})
	return trace.SpanContextFromContext(ctx)
}

// parseDiagnosticID reads a Diagnostic-Id: W3C Trace Context since 2019; before, a path like |root.parent.child. that grows
// with each hop. Of those, only a root and a parent that are ids of W3C's sizes name a span; the others are returned as text.
func parseDiagnosticID(property any) (_ trace.SpanContext, legacy string) {
	text, ok := property.(string)
	if !ok || text == "" || len(text) > maxTraceparent {
		return trace.SpanContext{}, ""
	}
	if c := parseTraceparent(text); c.IsValid() {
		return c, ""
	}
	parts := strings.Split(strings.Trim(text, "|."), ".")
	if last := parts[len(parts)-1]; strings.HasPrefix(text, "|") && len(parts) > 1 {
		root, rootErr := trace.TraceIDFromHex(parts[0])
		parent, parentErr := trace.SpanIDFromHex(last)
		if rootErr == nil && parentErr == nil {
			return trace.NewSpanContext(trace.SpanContextConfig{TraceID: root, SpanID: parent, Remote: true}), ""
		}
	}
	return trace.SpanContext{}, attributeText(text)
}

// traceID names the delivery's trace where it is recorded, else "".
func (d *delivery) traceID() string {
	if d.span == nil || !d.span.SpanContext().IsSampled() {
		return ""
	}
	return d.span.SpanContext().TraceID().String()
}

// inscribe has the message say which delivery wrote on it last.
func (d *delivery) inscribe(properties map[string]any) {
	if d.span == nil {
		return
	}
	c := d.span.SpanContext()
	properties[propDelivery] = "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + hex.EncodeToString([]byte{byte(c.TraceFlags() & trace.FlagsSampled)})
}

// logTrace adds what finds the trace again, and the one that the request comes from.
func (d *delivery) logTrace(e zapcore.ObjectEncoder) {
	id := d.traceID()
	if id == "" {
		return
	}
	e.AddString("trace_id", id)
	e.AddString("span_id", d.span.SpanContext().SpanID().String())
	if producer, _ := producerOf(d.msg.ApplicationProperties); producer.IsValid() {
		e.AddString("producer_trace_id", producer.TraceID().String())
	}
}

// endSpan says what the delivery came to, and has its settlement as a span within.
func (w *Worker) endSpan(d *delivery, s settlement, now time.Time) {
	r := &d.result
	_, settling := w.config.Tracer.Start(trace.ContextWithSpan(context.Background(), d.span), "settle "+w.destination(), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(now.Add(-s.took)), trace.WithAttributes(
			attribute.String("messaging.system", "servicebus"), attribute.String("messaging.operation.type", "settle"),
			attribute.String("messaging.operation.name", s.kind), attribute.String("messaging.destination.name", w.destination()),
			attribute.String("batch_terminator.settlement.result", s.result)))
	if s.err != nil {
		settling.SetAttributes(attribute.String("error.type", s.result))
		settling.SetStatus(codes.Error, attributeText(s.err.Error()))
	}
	settling.End(trace.WithTimestamp(now))
	d.span.SetAttributes(
		attribute.String("batch_terminator.outcome", r.Outcome.String()),
		attribute.String("batch_terminator.job_id", r.Request.JobID), attribute.String("batch_terminator.task_id", r.Request.TaskID),
		attribute.String("batch_terminator.client_request_id", r.ClientRequestID), attribute.Int("batch_terminator.attempts", d.message.Attempts+r.Attempts),
	)
	if level(r, s) >= zapcore.WarnLevel {
		d.span.SetAttributes(attribute.String("error.type", r.Outcome.String()))
		d.span.SetStatus(codes.Error, attributeText(r.Detail))
	}
	d.span.End(trace.WithTimestamp(now))
}

// attributeText makes an attribute of what somebody else wrote. One that is no UTF-8 would keep a whole batch of spans from
// being sent.
func attributeText(s string) string { return strings.ToValidUTF8(bounded(s), "?") }
