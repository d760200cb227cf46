package app

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"batchterminator/worker"
)

// newServer bounds every step of a request: the address may be reachable by more than the platform's probes.
func newServer(h http.Handler, log *zap.Logger) *http.Server {
	errorLog, err := zap.NewStdLogAt(log, zap.DebugLevel)
	if err != nil {
		errorLog = zap.NewStdLog(log)
	}
	return &http.Server{
		Handler: h, ErrorLog: errorLog, MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
	}
}

// newAdmin answers probes and scrapes.
//
// /healthz is about the process alone: a restart cures neither an outage of Batch nor a closed gate, and a probe that
// fails on them would kill work in flight. /readyz is about everything that keeps messages from being worked on, but for
// what a person wanted.
func newAdmin(registry *prometheus.Registry, scrapes *scrapes, health func() Health, status func() Readiness) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", scrapes.of(promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true})))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		h := health()
		probed(w, h.Alive, h)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := status()
		probed(w, r.Ready, r)
	})
	return mux
}

// probed answers a probe.
func probed(w http.ResponseWriter, ok bool, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the prober has gone: nobody is left to tell
}

// Check is one part of health or readiness.
type Check struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Health is the body of /healthz: alive when every check is.
type Health struct {
	Alive  bool `json:"alive"`
	Checks struct {
		// Worker: its loops show signs of life.
		Worker Check `json:"worker"`
	} `json:"checks"`
}

// Health returns whether the process is alive. Where it is not, only a new one helps.
func (a *App) Health() Health { return health(a.worker.Status()) }

func health(s worker.Status) Health {
	var h Health
	h.Checks.Worker = Check{OK: s.Stuck == nil, Detail: "alive"}
	if s.Stuck != nil {
		h.Checks.Worker.Detail = inOneLine(s.Stuck.Error())
	}
	h.Alive = h.Checks.Worker.OK
	return h
}

// Readiness is the body of /readyz: ready when every check is, but that one account of several may refuse the credential.
type Readiness struct {
	Ready  bool            `json:"ready"`
	Checks ReadinessChecks `json:"checks"`
}

// ReadinessChecks are the parts that a worker needs.
type ReadinessChecks struct {
	// Receiver: one is connected to the queue.
	Receiver Check `json:"receiver"`
	// Credential: nobody refused the identity, or the key, when it was last used.
	Credential Check `json:"credential"`
	// Gates: of at least one account it is open.
	Gates Check `json:"gates"`
	// Intake: the process has not been told to stop.
	Intake Check `json:"intake"`
}

// FailedCheck is a part that is not well, and why.
type FailedCheck struct{ Name, Detail string }

// Failed returns the parts that are not well.
func (c ReadinessChecks) Failed() (failed []FailedCheck) {
	for _, check := range []struct {
		name string
		Check
	}{{"receiver", c.Receiver}, {"credential", c.Credential}, {"gates", c.Gates}, {"intake", c.Intake}} {
		if !check.OK {
			failed = append(failed, FailedCheck{check.name, check.Detail})
		}
	}
	return failed
}

// Status returns the readiness of the process now.
func (a *App) Status() Readiness {
	return readiness(a.worker.Status(), a.endpoints, a.identity.failing())
}

// readiness judges a worker of so many endpoints; noToken is why its identity has no tokens.
func readiness(s worker.Status, endpoints int, noToken []string) Readiness {
	var r Readiness
	c := &r.Checks
	c.Receiver = Check{OK: s.Attached, Detail: "attached"}
	switch {
	case !s.Attached && s.Detached == nil:
		c.Receiver.Detail = "not connected yet"
	case !s.Attached:
		c.Receiver.Detail = inOneLine(s.Detached.Error())
	}
	c.Credential = credentialCheck(s, noToken)
	c.Gates = Check{OK: accounts(s.ClosedGates) < endpoints, Detail: "open"}
	if len(s.ClosedGates) > 0 {
		c.Gates.Detail = "closed: " + strings.Join(s.ClosedGates, ", ")
	}
	c.Intake = Check{OK: !s.Draining, Detail: "open"}
	switch {
	case s.Draining:
		c.Intake.Detail = "draining"
	case s.Paused != nil:
		// Wanted by a person, so nothing that a platform should act on.
		c.Intake.Detail = "paused" + by(s.Paused.By) + " since " + s.Paused.Since.UTC().Format(time.RFC3339)
	}
	r.Ready = c.Receiver.OK && c.Gates.OK && c.Intake.OK && len(noToken) == 0 && !s.Refused
	return r
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return " by " + who
}

// credentialCheck names everything that was refused.
func credentialCheck(s worker.Status, noToken []string) Check {
	refusals := slices.Clone(noToken)
	if s.Refused {
		refusals = append(refusals, "Service Bus refuses it")
	}
	for _, gate := range s.ClosedGates {
		if endpoint, auth := strings.CutSuffix(gate, ": auth"); auth {
			refusals = append(refusals, endpoint+" refuses it")
		}
	}
	if len(refusals) == 0 {
		return Check{OK: true, Detail: "usable"}
	}
	return Check{Detail: strings.Join(refusals, "; ")}
}

// accounts counts the accounts in a list of "endpoint: cause", where each stands once for each cause: while one of
// several is open, work goes on.
func accounts(closed []string) int {
	var names []string
	for _, gate := range closed {
		name := gate[:strings.LastIndex(gate, ": ")]
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return len(names)
}
