package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"batchterminator/batchapi/batchtest"
	"batchterminator/metrics"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

func TestReadinessNamesEachCheck(t *testing.T) {
	t.Parallel()
	const acme, other = "https://acme", "https://other"
	for name, c := range map[string]struct {
		status  worker.Status
		noToken []string
		want    map[string]Check // that differ from those of a worker at work
		code    int
	}{
		"working":  {worker.Status{Attached: true}, nil, nil, 200},
		"starting": {worker.Status{}, nil, map[string]Check{"receiver": {false, "not connected yet"}}, 503},
		"unauthorized": {worker.Status{Detached: errors.New("unauthorized\nand more"), Refused: true}, nil,
			map[string]Check{"receiver": {false, "unauthorized"}, "credential": {false, "Service Bus refuses it"}}, 503},
		"no token": {worker.Status{Attached: true}, []string{"no token for x: refused"}, map[string]Check{"credential": {false, "no token for x: refused"}}, 503},
		"one of two accounts": {worker.Status{Attached: true, ClosedGates: []string{acme + ": auth", acme + ": outage"}}, nil,
			map[string]Check{"credential": {false, "https://acme refuses it"}, "gates": {true, "closed: https://acme: auth, https://acme: outage"}}, 200},
		"both accounts": {worker.Status{Attached: true, ClosedGates: []string{acme + ": throttle", other + ": outage"}}, nil,
			map[string]Check{"gates": {false, "closed: https://acme: throttle, https://other: outage"}}, 503},
		"draining": {worker.Status{Attached: true, Draining: true}, nil, map[string]Check{"intake": {false, "draining"}}, 503},
	} {
		h := newAdmin(prometheus.NewRegistry(), newScrapes(), func() Health { return health(c.status) }, func() Readiness { return readiness(c.status, 2, c.noToken) })
		code, body := get(h, "/readyz")
		var got struct {
			Ready  bool
			Checks map[string]Check
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]Check{"receiver": {true, "attached"}, "credential": {true, "usable"}, "gates": {true, "open"}, "intake": {true, "open"}}
		maps.Copy(want, c.want)
		if diff := cmp.Diff(want, got.Checks); diff != "" || code != c.code || got.Ready != (code == 200) {
			t.Errorf("%s: %d, ready %v, want %d (-want +got):\n%s", name, code, got.Ready, c.code, diff)
		}
		if code, body := get(h, "/healthz"); code != http.StatusOK || body != `{"alive":true,"checks":{"worker":{"ok":true,"detail":"alive"}}}`+"\n" {
			t.Errorf("%s: healthz %d %s", name, code, body)
		}
	}
}

func TestAStuckWorkerIsNotAlive(t *testing.T) {
	t.Parallel()
	h := newAdmin(prometheus.NewRegistry(), newScrapes(), func() Health { return health(worker.Status{Stuck: worker.ErrStuck}) }, nil)
	if code, body := get(h, "/healthz"); code != http.StatusServiceUnavailable || body != `{"alive":false,"checks":{"worker":{"ok":false,"detail":"the worker got stuck"}}}`+"\n" {
		t.Errorf("%d %s", code, body)
	}
}

// What the series of state show, and what a scrape by Prometheus gets.
func TestTheStateOfTheProcessIsAMetric(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  worker.Status
		noToken []string
		want    metrics.State
	}{
		"starting":               {worker.Status{}, nil, metrics.State{CredentialUsable: true}},
		"working":                {worker.Status{Attached: true}, nil, metrics.State{Attached: true, CredentialUsable: true}},
		"without a token":        {worker.Status{Attached: true}, []string{"refused"}, metrics.State{Attached: true}},
		"refused by Service Bus": {worker.Status{Refused: true}, nil, metrics.State{}},
		"refused by Batch":       {worker.Status{Attached: true, ClosedGates: []string{"https://acme: auth"}}, nil, metrics.State{Attached: true}},
		"throttled":              {worker.Status{Attached: true, ClosedGates: []string{"https://acme: throttle"}}, nil, metrics.State{Attached: true, CredentialUsable: true}},
	} {
		if diff := cmp.Diff(c.want, state(c.status, readiness(c.status, 1, c.noToken), 0, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	d := deps()
	d.LogLinesDropped = func() int64 { return 7 }
	a, err := Build(emulated(), d)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	if kind := w.Header().Get("Content-Type"); !strings.HasPrefix(kind, "application/openmetrics-text") {
		t.Errorf("asked for OpenMetrics, got %s", kind)
	}
	for _, want := range []string{"batch_terminator_log_lines_dropped_total 7.0\n", "batch_terminator_credential_usable 1.0\n", "batch_terminator_receiver_attached 0.0\n", "# EOF\n"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q", want)
		}
	}
}

// What is read at a scrape comes from the worker that runs.
func TestAProcessAtWorkShowsItsState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, err := servicebustest.Start(servicebustest.WithQueue(DefaultQueue, servicebustest.QueueConfig{}))
		if err != nil {
			t.Fatal(err)
		}
		account := batchtest.New(batchtest.AutoCreate())
		account.OnNext(batchtest.Delay(10*time.Second), batchtest.Keep())
		d := deps()
		d.Dial, d.Transport = bus.Dial, func(string) policy.Transporter { return account.Client() }
		s := emulated()
		s.ServiceBus.ConnectionString = Secret(bus.ConnectionString())
		a, err := Build(s, d)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if _, err := bus.Queue(DefaultQueue).Send(servicebustest.Message{ID: fmt.Sprint(i), Body: fmt.Appendf(nil, `{"jobId":"j","taskId":"t%d"}`, i)}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if _, err := a.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(5 * time.Second)
		_, page := get(a.Handler(), "/metrics")
		for _, want := range []string{"receiver_attached 1", "demand_seconds 5", "in_flight 5", `messages_held{state="working"} 5`, "credential_usable 1"} {
			if !strings.Contains(page, "\nbatch_terminator_"+want+"\n") {
				t.Errorf("no %s", want)
			}
		}
		time.Sleep(time.Minute)
		if _, page = get(a.Handler(), "/metrics"); !strings.Contains(page, "\nbatch_terminator_demand_seconds 0\n") {
			t.Error("there is a demand with nothing to do")
		}
		if code, _ := get(a.Handler(), "/readyz"); code != http.StatusOK {
			t.Errorf("readyz %d", code)
		}
		go func() {
			time.Sleep(5 * time.Second)
			get(a.Handler(), "/metrics")
		}()
		stop()
		<-ended
		account.Close()
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
}
