package tracing

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestNothingIsTracedUnlessTheEnvironmentAsksForIt(t *testing.T) {
	t.Parallel()
	const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	for _, c := range []struct {
		env environment
		on  bool
		bad string
	}{
		{environment{}, false, ""},
		{environment{"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"}, false, ""},
		{environment{endpoint: "http://localhost:4318"}, true, ""},
		{environment{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318"}, true, ""},
		{environment{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		{environment{"OTEL_TRACES_EXPORTER": "console, otlp"}, true, ""},
		{environment{"OTEL_TRACES_EXPORTER": "none", endpoint: "http://localhost:4318"}, false, ""},
		{environment{"OTEL_SDK_DISABLED": "TRUE", endpoint: "http://localhost:4318"}, false, ""},
		{environment{"OTEL_SDK_DISABLED": "false", endpoint: "http://localhost:4318"}, true, ""},
		{environment{"OTEL_TRACES_EXPORTER": "zipkin"}, false, `OTEL_TRACES_EXPORTER: want otlp or none, got "zipkin"`},
		{environment{endpoint: "localhost:4318"}, false, endpoint + ": want a URL such as"},
		{environment{endpoint: "http://u:secret@h\x7f"}, false, endpoint + ": want a URL such as"},
		{environment{endpoint: "http://h", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, false, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: want grpc or http/protobuf"},
		{environment{endpoint: "http://h", "OTEL_EXPORTER_OTLP_HEADERS": "secret"}, false, "OTEL_EXPORTER_OTLP_HEADERS: want name=value"},
		{environment{endpoint: "http://h", "OTEL_EXPORTER_OTLP_HEADERS": "a=secret%0d%0ab"}, false, "OTEL_EXPORTER_OTLP_HEADERS: want name=value"},
		{environment{endpoint: "http://h", "OTEL_EXPORTER_OTLP_HEADERS": "a b=secret"}, false, "OTEL_EXPORTER_OTLP_HEADERS: want name=value"},
		{environment{endpoint: "http://h", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, false, "OTEL_EXPORTER_OTLP_TIMEOUT: want milliseconds"},
		{environment{endpoint: "http://h", "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, false, "OTEL_EXPORTER_OTLP_COMPRESSION: want gzip or none"},
		{environment{endpoint: "http://h", "OTEL_EXPORTER_OTLP_CERTIFICATE": "/does/not/exist"}, false, "OTEL_EXPORTER_OTLP_CERTIFICATE: open /does/not/exist"},
		{environment{endpoint: "http://h", "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/does/not/exist"}, false, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: open"},
	} {
		core, logs := observer.New(zap.InfoLevel)
		tracing := Start(c.env.get, "v1", zap.New(core))
		if (tracing != nil) != c.on || (tracing.Tracer() != nil) != c.on {
			t.Errorf("%v: traced: %v, want %v", c.env, tracing != nil, c.on)
		}
		tracing.Close(Farewell)
		warnings := logs.FilterLevelExact(zap.WarnLevel).All()
		if (len(warnings) == 1) != (c.bad != "") || c.bad != "" && !strings.HasPrefix(warnings[0].ContextMap()["error"].(string), c.bad) {
			t.Errorf("%v: warnings %v, want %q", c.env, warnings, c.bad)
		}
		for _, entry := range logs.All() {
			if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, "secret") {
				t.Errorf("%v: a secret is in %s", c.env, text)
			}
		}
	}
}

func TestVariablesForTracesWinOverThoseForAllSignals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  environment
		want string // URL
	}{
		{environment{}, "http://localhost:4318/v1/traces"},
		{environment{"PROTOCOL": "grpc"}, "http://localhost:4317" + grpcPath},
		{environment{"ENDPOINT": "https://c.example.org/otlp/"}, "https://c.example.org/otlp/v1/traces"},
		{environment{"ENDPOINT": "http://general", "TRACES_ENDPOINT": "http://traces/as/it/is"}, "http://traces/as/it/is"},
		{environment{"TRACES_ENDPOINT": "http://traces"}, "http://traces/"},
		{environment{"PROTOCOL": "http/protobuf", "TRACES_PROTOCOL": "grpc", "ENDPOINT": "http://h:1/ignored"}, "http://h:1" + grpcPath},
		{environment{"PROTOCOL": "grpc", "ENDPOINT": "h.example.org:4317"}, "https://h.example.org:4317" + grpcPath},
		{environment{"PROTOCOL": "grpc", "ENDPOINT": "h:4317", "INSECURE": "true"}, "http://h:4317" + grpcPath},
	} {
		env := environment{}
		for k, v := range c.env {
			env["OTEL_EXPORTER_OTLP_"+k] = v
		}
		s, err := read(env.get)
		if err != nil || s.target.String() != c.want {
			t.Errorf("%v: %v, %v; want %s", c.env, s.target, err, c.want)
		}
	}
	s, err := read(environment{"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "2500", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip"}.get)
	if err != nil || s.timeout != 2500*time.Millisecond || !s.gzip {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestACertificateFileWithoutACertificateIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := read(environment{"OTEL_EXPORTER_OTLP_CERTIFICATE": file}.get); err == nil || !strings.Contains(err.Error(), "no certificate in") {
		t.Errorf("error %v", err)
	}
}
