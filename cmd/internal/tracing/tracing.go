package tracing

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// Scope names the instrumentation.
const Scope = "batchterminator"

// Farewell bounds the export of what waits when a worker ends. It is part of the time that package worker leaves at the end of
// the grace.
const Farewell = 500 * time.Millisecond

// Tracing is the spans' way out of the process; nil is none. Close it.
type Tracing struct {
	provider *sdktrace.TracerProvider
	client   *client
	log      *zap.Logger
	ended    atomic.Int64 // spans
	sent     atomic.Int64
	lost     atomic.Int64 // that could not be exported
	failing  atomic.Bool
}

// Start begins to trace if the environment asks for it, and returns nil if it does not. What is wrong with the variables is
// logged, and nothing is traced then. The sampler, the limits of spans and of the queue are read by OpenTelemetry's own code
// from the environment of the process, whatever get says, and its complaints go to the log for the whole process.
func Start(get Lookup, version string, log *zap.Logger) *Tracing {
	on, err := enabled(get)
	var s settings
	if err == nil && on {
		s, err = read(get)
	}
	if err != nil {
		log.Warn("nothing is traced, for the OTEL_ variables are not understood", zap.String("error", strings.ReplaceAll(err.Error(), "\n", "; ")))
		return nil
	}
	if !on {
		return nil
	}
	t := &Tracing{client: newClient(s), log: log}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("a complaint of OpenTelemetry", zap.Error(err)) }))
	queue := sdktrace.NewBatchSpanProcessor(exporter{otlptrace.NewUnstarted(t.client), t})
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(counting{queue, &t.ended}), sdktrace.WithResource(describe(get, version)))
	log.Info("tracing", zap.String("to", s.target.Scheme+"://"+s.target.Host), zap.String("protocol", protocolOf(s)))
	return t
}

func protocolOf(s settings) string {
	if s.grpc {
		return protocolGRPC
	}
	return protocolHTTP
}

// describe is what all spans say of the process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
func describe(get Lookup, version string) *resource.Resource {
	attributes := []attribute.KeyValue{attribute.String("service.name", "batch-terminator"), attribute.String("service.version", version)}
	if replica, ok := get("CONTAINER_APP_REPLICA_NAME"); ok {
		attributes = append(attributes, attribute.String("service.instance.id", replica))
	}
	r, err := resource.New(context.Background(), resource.WithAttributes(attributes...), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		otel.Handle(err) // what could be read is in r
	}
	return r
}

// Tracer makes spans; nil if there is no tracing.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer(Scope)
}

// Close exports what waits, as far as that goes within the limit.
func (t *Tracing) Close(limit time.Duration) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	t.client.hurry()
	err := t.provider.Shutdown(ctx)
	_ = t.client.Stop(ctx) // what is still under way ends with it
	if ended, sent := t.ended.Load(), t.sent.Load(); ended > sent {
		t.log.Warn("some spans never left this process", zap.Int64("spans", ended-sent), zap.Int64("of", ended), zap.Error(err))
	}
}

// exporter tells people of failures once, until it works again.
type exporter struct {
	sdktrace.SpanExporter
	tracing *Tracing
}

// ExportSpans implements [sdktrace.SpanExporter]. Its error is always nil: all has been said.
func (e exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	t := e.tracing
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		t.sent.Add(int64(len(spans)))
		if t.failing.Swap(false) {
			t.log.Info("traces are exported again", zap.Int64("spans_lost", t.lost.Swap(0)))
		}
		return nil
	}
	t.lost.Add(int64(len(spans)))
	level := zap.DebugLevel
	if !t.failing.Swap(true) {
		level = zap.WarnLevel
	}
	t.log.Log(level, "traces cannot be exported; work goes on without them",
		zap.Int("spans", len(spans)), zap.String("hint", t.hint()), zap.Error(err))
	return nil
}

func (t *Tracing) hint() string {
	if s := t.client.settings; s.implied && s.target.Port() == "4317" {
		return "port 4317 usually speaks gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
	}
	return "check OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL and the collector"
}

// counting knows how many spans there were: beyond its bound the queue drops them in silence.
type counting struct {
	sdktrace.SpanProcessor
	ended *atomic.Int64
}

// OnEnd implements [sdktrace.SpanProcessor].
func (c counting) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		c.ended.Add(1)
	}
	c.SpanProcessor.OnEnd(s)
}
