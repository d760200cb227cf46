package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// environment is a process environment.
type environment map[string]string

func (e environment) get(name string) (string, bool) { return e[name], e[name] != "" }

// received is what a collector was sent.
type received struct {
	mu       sync.Mutex
	requests []*collector.ExportTraceServiceRequest
	headers  []string // of the name "key"
	refuse   []error  // answers to the first requests; nil accepts
	partial  int64
}

func (r *received) Export(key string, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.headers = append(r.headers, key)
	if len(r.refuse) > 0 {
		err := r.refuse[0]
		r.refuse = r.refuse[1:]
		if err != nil {
			return nil, err
		}
	}
	r.requests = append(r.requests, request)
	answer := &collector.ExportTraceServiceResponse{}
	if r.partial > 0 {
		answer.PartialSuccess = &collector.ExportTracePartialSuccess{RejectedSpans: r.partial, ErrorMessage: "too old"}
	}
	return answer, nil
}

// names returns "service: span" of all spans.
func (r *received) names() (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, request := range r.requests {
		for _, of := range request.ResourceSpans {
			service := ""
			for _, a := range of.Resource.Attributes {
				if a.Key == "service.name" {
					service = a.Value.GetStringValue()
				}
			}
			for _, scope := range of.ScopeSpans {
				for _, span := range scope.Spans {
					names = append(names, service+": "+span.Name)
				}
			}
		}
	}
	return names
}

// service is a collector that others have written: gRPC for Go.
type service struct {
	collector.UnimplementedTraceServiceServer
	*received
}

func (s service) Export(ctx context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	return s.received.Export(strings.Join(md.Get("key"), ","), request)
}

func overGRPC(t *testing.T, r *received) (endpoint string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, service{received: r})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

// overHTTP is OTLP/HTTP by its specification.
func overHTTP(t *testing.T, r *received) (endpoint string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body := io.Reader(q.Body)
		if q.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(q.Body); err != nil {
				t.Error(err)
			}
		}
		b, err := io.ReadAll(body)
		request := &collector.ExportTraceServiceRequest{}
		if err = errors.Join(err, proto.Unmarshal(b, request)); err != nil || q.URL.Path != "/v1/traces" || q.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s: %v", q.URL, q.Header.Get("Content-Type"), err)
		}
		answer, err := r.Export(q.Header.Get("Key"), request)
		switch status.Code(err) {
		case codes.OK:
		case codes.Unavailable:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.WriteHeader(http.StatusBadRequest)
		}
		reply, _ := proto.Marshal(answer)
		_, _ = w.Write(reply)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

var protocols = map[string]func(*testing.T, *received) string{protocolGRPC: overGRPC, protocolHTTP: overHTTP}

// start is a process that traces to r.
func start(t *testing.T, protocol string, r *received, more environment) (*Tracing, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	env := environment{"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": protocols[protocol](t, r)}
	for k, v := range more {
		env[k] = v
	}
	tracing := Start(env.get, "v1", zap.New(core))
	if tracing == nil {
		t.Fatal("nothing is traced: ", logs.All())
	}
	return tracing, logs
}

func TestSpansReachACollector(t *testing.T) {
	t.Parallel()
	for protocol := range protocols {
		for _, compression := range []string{"none", "gzip"} {
			t.Run(protocol+" "+compression, func(t *testing.T) {
				t.Parallel()
				r := &received{}
				tracing, logs := start(t, protocol, r, environment{"OTEL_EXPORTER_OTLP_COMPRESSION": compression, "OTEL_EXPORTER_OTLP_HEADERS": "key=s%20ecret, other=1"})
				for i := range 3 {
					_, span := tracing.Tracer().Start(t.Context(), fmt.Sprint("span ", i), trace.WithAttributes(attribute.String("long", strings.Repeat("x", 100<<10))))
					span.End()
				}
				if err := tracing.provider.ForceFlush(t.Context()); err != nil {
					t.Error(err)
				}
				tracing.Close(time.Minute)
				if got, want := fmt.Sprint(r.names()), "[batch-terminator: span 0 batch-terminator: span 1 batch-terminator: span 2]"; got != want {
					t.Errorf("the collector has %s, want %s\n%v", got, want, logs.All())
				}
				if r.headers[0] != "s ecret" {
					t.Errorf("header %q", r.headers)
				}
				if log := fmt.Sprint(logs.All()); strings.Contains(log, "ecret") || strings.Contains(log, "never left") {
					t.Errorf("the log says %s", log)
				}
			})
		}
	}
}

func TestPassingRefusalsAreTriedAgainAndOthersAreNot(t *testing.T) {
	t.Parallel()
	for protocol := range protocols {
		for _, c := range []struct {
			name        string
			refuse      []error
			partial     int64
			tries, kept int
			log         string
		}{
			{"passing", []error{status.Error(codes.Unavailable, "restarting")}, 0, 2, 1, ""},
			{"final", []error{status.Error(codes.InvalidArgument, "no"), nil}, 0, 1, 0, "the collector answered"},
			{"partial", nil, 1, 1, 1, "it rejected 1 spans"},
		} {
			t.Run(protocol+" "+c.name, func(t *testing.T) {
				t.Parallel()
				r := &received{refuse: c.refuse, partial: c.partial}
				tracing, logs := start(t, protocol, r, nil)
				_, span := tracing.Tracer().Start(t.Context(), "span")
				span.End()
				if err := tracing.provider.ForceFlush(t.Context()); err != nil {
					t.Error(err)
				}
				tracing.Close(Farewell)
				if len(r.headers) != c.tries || len(r.requests) != c.kept {
					t.Errorf("%d tries of which the collector took %d, want %d and %d", len(r.headers), len(r.requests), c.tries, c.kept)
				}
				warnings := logs.FilterMessageSnippet("work goes on").All()
				if (len(warnings) == 0) != (c.log == "") || c.log != "" && !strings.Contains(fmt.Sprint(warnings[0].ContextMap()["error"]), c.log) {
					t.Errorf("warnings %v, want one with %q", warnings, c.log)
				}
			})
		}
	}
}

// A collector that accepts connections and never answers is the worst one: nothing fails, and nothing ends.
func TestCollectorThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	for protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = listener.Close() }()
			core, logs := observer.New(zap.DebugLevel)
			env := environment{"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + listener.Addr().String(), "OTEL_EXPORTER_OTLP_TIMEOUT": "3600000"}
			tracing := Start(env.get, "v1", zap.New(core))
			const n = 10_000 // far beyond the queue
			for range n {
				_, span := tracing.Tracer().Start(t.Context(), "span")
				span.End()
			}
			closed := make(chan struct{})
			go func() {
				tracing.Close(Farewell)
				close(closed)
			}()
			select {
			case <-closed:
			case <-time.After(time.Minute):
				t.Fatal("closing waits for the collector")
			}
			said := logs.FilterMessage("some spans never left this process").All()
			if len(said) != 1 || said[0].ContextMap()["spans"] != int64(n) || said[0].ContextMap()["of"] != int64(n) {
				t.Errorf("the log says %v", logs.All())
			}
		})
	}
}

func TestACollectorThatIsDownIsSaidOnceAndItsReturnToo(t *testing.T) {
	t.Parallel()
	no := status.Error(codes.InvalidArgument, "no")
	r := &received{refuse: []error{no, no, no}}
	tracing, logs := start(t, protocolHTTP, r, nil)
	for range 4 {
		_, span := tracing.Tracer().Start(t.Context(), "span")
		span.End()
		if err := tracing.provider.ForceFlush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	tracing.Close(Farewell)
	said := logs.FilterMessageSnippet("work goes on")
	if n := said.FilterLevelExact(zap.WarnLevel).Len(); n != 1 || said.Len() != 3 {
		t.Errorf("%d warnings among %d lines, want 1 among 3", n, said.Len())
	}
	if back := logs.FilterMessage("traces are exported again").All(); len(back) != 1 || back[0].ContextMap()["spans_lost"] != int64(3) {
		t.Errorf("the return: %v", back)
	}
	if end := logs.FilterMessage("some spans never left this process").All(); len(end) != 1 || end[0].ContextMap()["spans"] != int64(3) {
		t.Errorf("the end: %v", end)
	}
}

// Answers come from a network: whatever they hold, they are an error or a success.
func FuzzRejected(f *testing.F) {
	for _, answer := range []*collector.ExportTraceServiceResponse{{}, {PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 3}}} {
		b, _ := proto.Marshal(answer)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		err := rejected(reply)
		answer := &collector.ExportTraceServiceResponse{}
		if proto.Unmarshal(reply, answer) != nil || bytes.Count(reply, []byte{0x0a}) > 1 {
			return // fields that come twice are merged there, and are no answer of anyone's
		}
		if n := answer.GetPartialSuccess().GetRejectedSpans(); (n > 0) != (err != nil) && n >= 0 {
			t.Errorf("%x: %v, want %d rejected", reply, err, n)
		}
	})
}
