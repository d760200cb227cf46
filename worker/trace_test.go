package worker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"batchterminator/handler"
)

const (
	exampleTrace  = "4bf92f3577b34da6a3ce929d0e0e4736" // of W3C Trace Context
	exampleSpan   = "00f067aa0ba902b7"
	exampleParent = "00-" + exampleTrace + "-" + exampleSpan + "-01"
	otherParent   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

// A property holds what its sender put there. What is not understood is passed over; an earlier Diagnostic-Id is shown.
func TestProducersSpanIsReadFromEitherDialect(t *testing.T) {
	t.Parallel()
	long := exampleParent + strings.Repeat("x", maxTraceparent)
	for _, c := range []struct {
		traceparent, diagnosticID any
		want, legacy              string // trace/span
	}{
		{nil, nil, "", ""},
		{exampleParent, nil, exampleTrace + "/" + exampleSpan, ""},
		{nil, exampleParent, exampleTrace + "/" + exampleSpan, ""},
		{exampleParent, otherParent, exampleTrace + "/" + exampleSpan, ""},
		{"nonsense", exampleParent, exampleTrace + "/" + exampleSpan, ""},
		{[]byte(exampleParent), exampleParent, exampleTrace + "/" + exampleSpan, ""},
		{"|" + exampleTrace + "." + exampleSpan + ".", nil, "", ""},
		{nil, "|" + exampleTrace + "." + exampleSpan + ".", exampleTrace + "/" + exampleSpan, ""},
		{nil, "|7dd490b7-4fc19a5ccaa0d7bc.bcec871c_1.", "", "|7dd490b7-4fc19a5ccaa0d7bc.bcec871c_1."},
		{nil, "\xff|a", "", "?|a"},
		{nil, long, "", ""},
		{long, nil, "", ""},
		{"00-" + strings.Repeat("0", 32) + "-" + exampleSpan + "-01", nil, "", ""},
		{strings.ToUpper(exampleParent), nil, "", ""},
		{"ff" + exampleParent[2:], nil, "", ""},
		{exampleParent + "-more", nil, "", ""},
		{"", "", "", ""},
		{int64(7), 3.5, "", ""},
		{true, map[string]any{"a": nil}, "", ""},
		{[]any{exampleParent}, time.Now(), "", ""},
		{[16]byte{1}, struct{}{}, "", ""},
	} {
		got, legacy := producerOf(map[string]any{propTraceparent: c.traceparent, propDiagnosticID: c.diagnosticID})
		text := ""
		if got.IsValid() {
			text = got.TraceID().String() + "/" + got.SpanID().String()
		}
		if text != c.want || legacy != c.legacy {
			t.Errorf("traceparent %v, Diagnostic-Id %v: %q and %q, want %q and %q", c.traceparent, c.diagnosticID, text, legacy, c.want, c.legacy)
		}
	}
}

func FuzzProducer(f *testing.F) {
	f.Add(exampleParent, "|a.b.")
	f.Fuzz(func(t *testing.T, traceparent, diagnosticID string) {
		if _, legacy := producerOf(map[string]any{propTraceparent: traceparent, propDiagnosticID: diagnosticID}); !utf8.ValidString(legacy) || len(legacy) > maxTraceparent {
			t.Errorf("%q", legacy)
		}
	})
}

func TestWithoutATracerNothingIsAllocatedForTraces(t *testing.T) {
	d := newDelivery(nil, message("m", 1))
	d.msg.ApplicationProperties = map[string]any{propTraceparent: exampleParent, propDiagnosticID: exampleParent}
	properties := map[string]any{}
	if n := testing.AllocsPerRun(100, func() {
		if d.traceID() != "" {
			t.Error("a trace")
		}
		d.inscribe(properties)
	}); n != 0 || len(properties) != 0 {
		t.Errorf("%v allocations, properties %v", n, properties)
	}
}

// traced runs the queue's messages with a tracer, and returns what was recorded.
func traced(t *testing.T, queue *scripted, h Handler, of time.Duration) (tracetest.SpanStubs, *rig) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithSampler(sdktrace.AlwaysSample()))
	r := run(t, queue, h, func(c *Config) { c.Tracer = provider.Tracer("test") })
	time.Sleep(of)
	r.end()
	return spans.GetSpans(), r
}

func attributesOf(s tracetest.SpanStub) map[string]any {
	all := map[string]any{}
	for _, a := range s.Attributes {
		all[string(a.Key)] = a.Value.AsInterface()
	}
	return all
}

// What others write reaches a span as text that can be sent: OTLP takes UTF-8 only, and would refuse all spans of a batch.
func TestSpanHoldsOnlyText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := message("\xff\xfe"+strings.Repeat("x", 10<<10), 1)
		m.ApplicationProperties = map[string]any{propTraceparent: []byte{1}, propDiagnosticID: "\xff", propDelivery: 7}
		spans, _ := traced(t, newScripted(m), decisions(func(context.Context, handler.Message) handler.Result {
			return handler.Result{Outcome: handler.Refused, Detail: "\xff"}
		}), time.Minute)
		if len(spans) != 2 {
			t.Fatalf("%d spans", len(spans))
		}
		for _, s := range spans {
			for k, v := range attributesOf(s) {
				if text := fmt.Sprint(v); !utf8.ValidString(text) || len(text) > 2<<10 {
					t.Errorf("%s: %d bytes, %.40q", k, len(text), text)
				}
			}
			if !utf8.ValidString(s.Status.Description) || len(s.Links) != 0 {
				t.Errorf("%s: %q, %v", s.Name, s.Status.Description, s.Links)
			}
		}
	})
}

// A message that is abandoned or dead-lettered says which delivery did that.
func TestMessageNamesTheDeliveryThatWroteOnIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcome handler.Outcome
		kind    string
	}{"dead letter": {handler.InvalidMessage, "dead-letter"}, "abandoned": {handler.Panic, "abandon"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(1)...)
				spans, r := traced(t, queue, always(c.outcome), time.Minute)
				settle, process := spans[0], spans[1]
				written := queue.written[0][propDelivery]
				if want := "00-" + process.SpanContext.TraceID().String() + "-" + process.SpanContext.SpanID().String() + "-01"; written != want {
					t.Errorf("the message says %v, want %s", written, want)
				}
				a := attributesOf(settle)
				if process.Status.Code != codes.Error || process.SpanKind != trace.SpanKindConsumer || settle.Parent.SpanID() != process.SpanContext.SpanID() || a["messaging.operation.name"] != c.kind {
					t.Errorf("process %+v, settle %+v", process, settle)
				}
				line := r.logs.FilterMessage("delivery").All()[0].ContextMap()
				if line["trace_id"] != process.SpanContext.TraceID().String() || line["span_id"] != process.SpanContext.SpanID().String() {
					t.Errorf("the line names trace %v, span %v", line["trace_id"], line["span_id"])
				}
			})
		})
	}
}

// A trace that nobody recorded is not to be found: neither the log nor an exemplar names it.
func TestTraceThatIsNotSampledIsNotLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
		r := run(t, newScripted(messages(1)...), always(handler.Terminated), func(c *Config) { c.Tracer = provider.Tracer("test") })
		time.Sleep(time.Minute)
		r.end()
		line := r.logs.FilterMessage("delivery").All()[0].ContextMap()
		if _, ok := line["trace_id"]; ok || line["outcome"] != "terminated" {
			t.Errorf("the line is %v", line)
		}
	})
}
