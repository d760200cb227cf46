package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

const (
	producerTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	producer      = "00-" + producerTrace + "-00f067aa0ba902b7-01"
)

// traced is the whole process between both doubles, with its spans kept.
type traced struct {
	bus     *servicebustest.Server
	queue   *servicebustest.Queue
	account *batchtest.Account
	spans   *tracetest.InMemoryExporter
	logs    *observer.ObservedLogs
	app     *App
}

func newTraced(t *testing.T, tracer func(*trace.TracerProvider) api.Tracer) *traced {
	t.Helper()
	bus, err := servicebustest.Start(servicebustest.WithQueue(DefaultQueue, servicebustest.QueueConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	x := &traced{bus: bus, queue: bus.Queue(DefaultQueue), account: batchtest.New(), spans: tracetest.NewInMemoryExporter()}
	x.account.AddTask("j", "t", batchtest.TaskRunning)
	s := emulated()
	s.ServiceBus.ConnectionString = Secret(bus.ConnectionString())
	d := deps()
	core, logs := observer.New(zap.InfoLevel)
	d.Log, x.logs, d.Dial = zap.New(core), logs, bus.Dial
	d.Transport = func(string) policy.Transporter { return x.account.Client() }
	d.Tracer = tracer(trace.NewTracerProvider(trace.WithSyncer(x.spans)))
	if x.app, err = Build(s, d); err != nil {
		t.Fatal(err)
	}
	return x
}

// works until the queue is empty, or as long as there is patience.
func (x *traced) works(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		_, err := x.app.Run(ctx)
		ended <- err
	}()
	limit, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	if err := x.queue.Wait(limit, func(c servicebustest.Counts) bool { return c.Completed == c.Accepted }); err != nil {
		t.Errorf("waiting for an empty queue: %v", err)
	}
	synctest.Wait()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	x.account.Close()
	if err := x.bus.Close(); err != nil {
		t.Error(err)
	}
}

// named returns the spans of that name, oldest first.
func (x *traced) named(name string) (all []tracetest.SpanStub) {
	for _, s := range x.spans.GetSpans() {
		if s.Name == name {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	return all
}

func value(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.String()
		}
	}
	return ""
}

// A request that comes back is two traces, one for each delivery: both are linked to the producer's, the second to the first
// as well, and the calls are children of their delivery, told to Batch by header.
func TestTraceGoesOnAcrossARedelivery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newTraced(t, func(p *trace.TracerProvider) api.Tracer { return p.Tracer("test") })
		x.account.OnNext(batchtest.Status(500, "InternalError", -1)) // tried again at once,
		x.account.OnNext(batchtest.Status(409, "JobDisabled", -1))   // and this one later, whatever the jitter
		if _, err := x.queue.Send(servicebustest.Message{ID: "m", Body: []byte(`{"jobId":"j","taskId":"t"}`),
			Properties: map[string]any{"Diagnostic-Id": producer, "baggage": "user=root", "traceparent": int32(7)}}); err != nil {
			t.Fatal(err)
		}
		x.works(t)
		deliveries, calls := x.named("process "+DefaultQueue), x.named("POST /jobs/{jobId}/tasks/{taskId}/terminate")
		if len(deliveries) != 2 || len(calls) != 3 || len(x.named("settle "+DefaultQueue)) != 2 {
			t.Fatalf("%d deliveries and %d calls in %d spans", len(deliveries), len(calls), len(x.spans.GetSpans()))
		}
		first, second := deliveries[0], deliveries[1]
		if first.SpanContext.TraceID() == second.SpanContext.TraceID() || first.Parent.IsValid() || second.Parent.IsValid() {
			t.Error("the deliveries are not traces of their own")
		}
		links := func(s tracetest.SpanStub) (ids []string) {
			for _, l := range s.Links {
				ids = append(ids, l.SpanContext.TraceID().String())
			}
			return ids
		}
		if got := links(first); !slices.Equal(got, []string{producerTrace}) {
			t.Errorf("the first is linked to %v", got)
		}
		if got := links(second); !slices.Equal(got, []string{producerTrace, first.SpanContext.TraceID().String()}) {
			t.Errorf("the second is linked to %v", got)
		}
		x.judgeCalls(t, calls, first, second)
		x.judgeLines(t, first, second)
		x.judgeExemplars(t, second)
		if got := value(first, "batch_terminator.outcome") + " " + value(second, "batch_terminator.outcome") + " " + value(second, "batch_terminator.attempts"); got != "job_disabled terminated 3" {
			t.Errorf("outcomes and attempts: %s", got)
		}
	})
}

func (x *traced) judgeCalls(t *testing.T, calls []tracetest.SpanStub, first, second tracetest.SpanStub) {
	t.Helper()
	heard := x.account.Calls()
	for i, call := range calls {
		parent := first
		if i == 2 {
			parent = second
		}
		if call.Parent.SpanID() != parent.SpanContext.SpanID() || call.SpanContext.TraceID() != parent.SpanContext.TraceID() {
			t.Errorf("call %d is no child of its delivery", i)
		}
		want := "00-" + call.SpanContext.TraceID().String() + "-" + call.SpanContext.SpanID().String() + "-01"
		if got := heard[i].Header.Get("traceparent"); got != want {
			t.Errorf("Batch was told %q, want %q", got, want)
		}
		if id := heard[i].Header.Get("client-request-id"); id == "" || id != heard[0].Header.Get("client-request-id") || value(call, "batch_terminator.client_request_id") != id {
			t.Errorf("P3: call %d has client-request-id %q", i, id)
		}
		if code := value(call, "http.response.status_code"); code != fmt.Sprint(heard[i].Status) {
			t.Errorf("call %d has the code %s, Batch answered %d", i, code, heard[i].Status)
		}
		if heard[i].Header.Get("baggage") != "" {
			t.Error("the sender's baggage reached Batch")
		}
	}
}

func (x *traced) judgeLines(t *testing.T, deliveries ...tracetest.SpanStub) {
	t.Helper()
	lines := x.logs.FilterMessage("delivery").All()
	if len(lines) != len(deliveries) {
		t.Fatalf("%d lines", len(lines))
	}
	for i, d := range deliveries {
		line := lines[i].ContextMap()
		if line["trace_id"] != d.SpanContext.TraceID().String() || line["span_id"] != d.SpanContext.SpanID().String() || line["producer_trace_id"] != producerTrace {
			t.Errorf("line %d names %v, %v, %v", i, line["trace_id"], line["span_id"], line["producer_trace_id"])
		}
	}
}

// judgeExemplars wants the last delivery's trace where a graph shows how long things took.
func (x *traced) judgeExemplars(t *testing.T, last tracetest.SpanStub) {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text")
	x.app.Handler().ServeHTTP(w, r)
	for _, series := range []string{"batch_terminator_end_to_end_seconds", "batch_terminator_batch_request_duration_seconds"} {
		found := false
		for line := range strings.Lines(w.Body.String()) {
			found = found || strings.HasPrefix(line, series) && strings.Contains(line, `trace_id="`+last.SpanContext.TraceID().String()+`"`)
		}
		if !found {
			t.Errorf("%s has no exemplar of the last delivery", series)
		}
	}
}

// Off is off: what senders write about traces stays on the message, and goes nowhere.
func TestWithoutATracerNothingIsTraced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newTraced(t, func(*trace.TracerProvider) api.Tracer { return nil })
		x.account.OnNext(batchtest.Status(503, "ServerBusy", 0), batchtest.Times(4))
		if _, err := x.queue.Send(servicebustest.Message{ID: "m", Body: []byte(`{"jobId":"j","taskId":"t"}`), Properties: map[string]any{"traceparent": producer}}); err != nil {
			t.Fatal(err)
		}
		x.works(t)
		for _, call := range x.account.Calls() {
			if call.Header.Get("traceparent") != "" {
				t.Error("Batch was told of a trace")
			}
		}
		for _, line := range x.logs.FilterMessage("delivery").All() {
			if fields := fmt.Sprint(line.ContextMap()); strings.Contains(fields, "trace_id") {
				t.Errorf("the line is %s", fields)
			}
		}
		if n := len(x.spans.GetSpans()); n != 0 {
			t.Errorf("%d spans", n)
		}
	})
}
