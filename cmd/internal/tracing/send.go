package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// StartSend begins the span in which n requests are sent, and returns what their messages shall carry of it, "" when nothing
// is traced. It is a child of the span that TRACEPARENT names, if the program was started within one.
func (t *Tracing) StartSend(ctx context.Context, get Lookup, destination string, n int) (traceparent string, end func(error)) {
	if t == nil {
		return "", func(error) {}
	}
	parent, _ := get("TRACEPARENT")
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
	ctx, span := t.Tracer().Start(ctx, "send "+destination, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", "servicebus"), attribute.String("messaging.operation.type", "send"), attribute.String("messaging.operation.name", "send"),
		attribute.String("messaging.destination.name", destination), attribute.Int("messaging.batch.message_count", n)))
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier["traceparent"], func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "the sending failed")
		}
		span.End()
	}
}
