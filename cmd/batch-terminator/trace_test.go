//go:build unix

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"batchterminator/cmd/internal/app"
	"batchterminator/worker/servicebustest"
)

// collector takes traces over OTLP/HTTP and counts the times that a text is in them.
func collector(t *testing.T, text string) (env app.Environment, seen *atomic.Int64) {
	t.Helper()
	seen = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		seen.Add(int64(strings.Count(string(body), text))) // in protobuf text is as it is
	}))
	t.Cleanup(server.Close)
	return app.Environment{"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL}, seen
}

func TestSentMessagesNameTheSpanTheyComeFrom(t *testing.T) {
	t.Parallel()
	const parent = "4bf92f3577b34da6a3ce929d0e0e4736"
	b, env := broker(t)
	traces, seen := collector(t, "send "+app.DefaultQueue)
	for i, env := range []app.Environment{env, append(append(env, traces...), "TRACEPARENT=00-"+parent+"-00f067aa0ba902b7-01")} {
		var r recorded
		if code := runWith(t.Context(), []string{"send", "--job=j", "--task=t"}, env, r.streams(""), app.Deps{Dial: b.Dial}); code != exitOK || r.err.Len() > 0 {
			t.Fatalf("exit code %d: %s", code, r.err.String())
		}
		properties := b.Queue(app.DefaultQueue).Messages()[i].Properties
		traceparent, _ := properties["traceparent"].(string)
		switch {
		case i == 0 && len(properties) != 0:
			t.Errorf("without a collector the message has %v", properties)
		case i == 1 && (!strings.HasPrefix(traceparent, "00-"+parent+"-") || strings.Contains(traceparent, "00f067aa0ba902b7") || properties["Diagnostic-Id"] != traceparent):
			t.Errorf("the message has %v", properties)
		}
	}
	if n := seen.Load(); n != 1 {
		t.Errorf("the collector has %d spans of a sending, want 1", n)
	}
}

// Whatever becomes of the collector, work goes on and ends in time; and the OTEL_ variables are never a reason not to start.
func TestWorkIsTracedAndNeedsNoCollector(t *testing.T) {
	t.Parallel()
	good, seen := collector(t, "process "+app.DefaultQueue)
	for name, c := range map[string]struct {
		env  app.Environment
		want string
	}{
		"collector":   {good, `"msg":"tracing","to":"http://127.0.0.1`},
		"none there":  {app.Environment{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, "traces cannot be exported; work goes on without them"},
		"gRPC, none":  {app.Environment{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, `"msg":"some spans never left this process","spans":60,"of":60}`},
		"nonsense":    {app.Environment{"OTEL_EXPORTER_OTLP_ENDPOINT=nonsense"}, "nothing is traced, for the OTEL_ variables are not understood"},
		"bad sampler": {append(good, "OTEL_TRACES_SAMPLER=nonsense"), "a complaint of OpenTelemetry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, servicebustest.QueueConfig{}, c.env...)
			for i := range 20 {
				s.send(t, fmt.Sprint("t", i))
			}
			r := s.start(t)
			s.until(t, "an empty queue", empty)
			r.stop(t)
			s.holds(t)
			log := r.log.String()
			if !strings.Contains(log, c.want) || strings.Count(log, `"outcome":"terminated"`) != 20 || strings.Count(log, "\n") != strings.Count(log, "{\"level\"") {
				t.Errorf("want %q, 20 deliveries and nothing but JSON in\n%s", c.want, log)
			}
			if traced := strings.Count(log, `"trace_id":`); traced != 20 && name != "nonsense" || traced != 0 && name == "nonsense" {
				t.Errorf("%d lines name a trace", traced)
			}
		})
	}
	t.Cleanup(func() {
		if n := seen.Load(); n < 20 {
			t.Errorf("the collector has %d spans of deliveries, want 20 or more", n)
		}
	})
}
