package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"batchterminator/worker"
)

func deps() Deps { return Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()} }

func TestBuildDialsNothingAndAsksForNoToken(t *testing.T) {
	t.Parallel()
	d := deps()
	d.Dial = func(context.Context) (net.Conn, error) {
		t.Error("dialled")
		return nil, errors.New("no network")
	}
	asked := 0
	d.Transport = func(endpoint string) policy.Transporter {
		asked++
		if endpoint != "http://localhost:5681" {
			t.Errorf("transport for %q", endpoint)
		}
		return nil
	}
	if _, err := Build(emulated(), d); err != nil || asked != 1 {
		t.Errorf("error %v, %d transports", err, asked)
	}
}

func TestBuildTakesTheAzureIdentityWhereOneIsNeeded(t *testing.T) {
	t.Parallel()
	s := emulated()
	if c, err := s.credential([]endpoint{{canonical: "http://localhost:5681", loopback: true}}); c != nil || err != nil {
		t.Errorf("an emulator alone: credential %v, error %v", c, err)
	}
	s, lines := parse(t, valid)
	if lines != nil {
		t.Fatal(lines)
	}
	if _, err := Build(s, deps()); err != nil {
		t.Errorf("a namespace and an account: %v", err)
	}
}

func TestBuildRefusesWhatValidateDoes(t *testing.T) {
	t.Parallel()
	_, err := Build(Defaults(), deps())
	if _, ok := errors.AsType[Problems](err); !ok {
		t.Errorf("error %v, want Problems", err)
	}
	if _, err := Build(emulated(), Deps{}); err == nil {
		t.Error("no log and no registry: accepted")
	}
}

// The host that cannot be reached is Service Bus. It is worth waiting for: a process that exits would only be started again.
func TestRunRetriesAnUnreachableServiceBusUntilItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := deps()
		var err error
		if d.Log, err = NewLogger("info", "json", &log); err != nil {
			t.Fatal(err)
		}
		var dials []time.Time
		d.Dial = func(context.Context) (net.Conn, error) {
			dials = append(dials, time.Now())
			return nil, errors.New("no route to host")
		}
		a, err := Build(emulated(), d)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
		defer stop()
		report, err := a.Run(ctx)
		if err != nil || report.Finished+report.HandedBack+report.Left != 0 {
			t.Errorf("report %+v, error %v", report, err)
		}
		// 30 s at most between two, but for the SDK's own.
		if len(dials) < 20 {
			t.Errorf("%d dials in ten minutes", len(dials))
		}
		text := log.String()
		for _, want := range []string{"connection to Service Bus failed; trying again", "no route to host", `"hint":"check the host name`, `"msg":"drained"`} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in the log", want)
			}
		}
		if strings.Contains(text, testKey) {
			t.Error("the key is in the log")
		}
		if a.AdminAddr() != "" {
			t.Errorf("an admin server at %q although none was asked for", a.AdminAddr())
		}
		status, body := get(a.Handler(), "/readyz")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, "draining") || strings.Contains(body, testKey) {
			t.Errorf("after the end: %d %s", status, body)
		}
	})
}

func TestRunEndsWhenTheAdminAddressIsTaken(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	s := emulated()
	s.Operation.Listen = taken.Addr().String()
	a, err := Build(s, deps())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "--listen (LISTEN): listen tcp "+taken.Addr().String()) {
		t.Errorf("error %v", err)
	}
}

func TestAdminServerAnswersWhileTheWorkerRunsAndEndsWithIt(t *testing.T) {
	t.Parallel()
	s := emulated()
	s.Operation.Listen = "127.0.0.1:0"
	dialled := make(chan struct{}, 1)
	d := deps()
	d.Dial = func(ctx context.Context) (net.Conn, error) {
		select {
		case dialled <- struct{}{}:
		default:
		}
		return nil, errors.New("no route to host")
	}
	a, err := Build(s, d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := a.Run(ctx)
		ended <- err
	}()
	<-dialled // the address is bound before the worker begins
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + a.AdminAddr() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), `{"alive":true`) {
		t.Errorf("healthz: %d %q %v", resp.StatusCode, body, err)
	}
	_ = resp.Body.Close()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := client.Get("http://" + a.AdminAddr() + "/healthz"); err == nil {
		t.Error("it still answers")
	}
}

func get(h http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestMetricsAreServedFromTheStart(t *testing.T) {
	t.Parallel()
	d := deps()
	d.Version = "1.2.3"
	a, err := Build(emulated(), d)
	if err != nil {
		t.Fatal(err)
	}
	code, body := get(a.Handler(), "/metrics")
	for _, want := range []string{`batch_terminator_deliveries_total{outcome="terminated"} 0`, `batch_terminator_batch_requests_total{code="204",endpoint="http://localhost:5681"} 0`, `version="1.2.3"`} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d, no %s", code, want)
		}
	}
	if code, _ := get(a.Handler(), "/"); code != http.StatusNotFound {
		t.Errorf("/: %d", code)
	}
}

func TestLogNamesTheReplica(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := NewLogger("warn", "json", &out)
	if err != nil {
		t.Fatal(err)
	}
	log = log.With(PlatformFields(Environment{"CONTAINER_APP_REPLICA_NAME=r-1", "CONTAINER_APP_REVISION=v7", "OTHER=x"})...)
	log.Info("below the level")
	log.Warn("hello", zap.Duration("in", 1500*time.Millisecond))
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if _, err := time.Parse(time.RFC3339Nano, line["time"].(string)); err != nil {
		t.Error(err)
	}
	delete(line, "time")
	delete(line, "ts")
	if diff := cmp.Diff(map[string]any{"level": "warn", "msg": "hello", "in": "1.5s", "replica": "r-1", "revision": "v7"}, line); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if fields := PlatformFields(nil); fields != nil {
		t.Errorf("outside a platform: %v", fields)
	}
	for _, wrong := range [][2]string{{"loud", "json"}, {"info", "xml"}, {"", ""}} {
		if _, err := NewLogger(wrong[0], wrong[1], io.Discard); err == nil {
			t.Errorf("%q: accepted", wrong)
		}
	}
}

// Here the log holds up the one who connects, and nobody else.
func TestRunReturnsWhatTheWorkerGotStuckOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		forever := make(chan struct{})
		d := deps()
		d.Log = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.WarnLevel), zap.Hooks(func(e zapcore.Entry) error {
			if strings.HasPrefix(e.Message, "connection to Service Bus failed") {
				<-forever
			}
			return nil
		}))
		d.Dial = func(context.Context) (net.Conn, error) { return nil, errors.New("no route to host") }
		a, err := Build(emulated(), d)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		if _, err := a.Run(ctx); !errors.Is(err, worker.ErrStuck) {
			t.Errorf("error %v", err)
		}
		if code, body := get(a.Handler(), "/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "connecting to Service Bus") {
			t.Errorf("healthz: %d %s", code, body)
		}
		close(forever)
	})
}
