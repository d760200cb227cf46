package app

import (
	"encoding/json"
	"fmt"
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
// fails on them would kill work in flight. /readyz is about everything that keeps messages from being worked on.
func newAdmin(registry *prometheus.Registry, status func() Readiness) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second, EnableOpenMetrics: true}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		r := status()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !r.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(r) // the prober has gone: nobody is left to tell
	})
	return mux
}

// Check is one part of readiness.
type Check struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Readiness is the body of /readyz: ready when every check is.
type Readiness struct {
	Ready  bool `json:"ready"`
	Checks struct {
		Receiver Check `json:"receiver"`
		Gates    Check `json:"gates"`
		Intake   Check `json:"intake"`
	} `json:"checks"`
}

// Status returns the readiness of the process now.
func (a *App) Status() Readiness { return readiness(a.worker.Status(), a.endpoints) }

// readiness judges a worker of so many endpoints.
func readiness(s worker.Status, endpoints int) Readiness {
	var r Readiness
	c := &r.Checks
	c.Receiver = Check{OK: s.Attached, Detail: "attached"}
	switch {
	case !s.Attached && s.Detached == nil:
		c.Receiver.Detail = "not connected yet"
	case !s.Attached:
		c.Receiver.Detail = s.Detached.Error()
	}
	c.Gates = Check{OK: accounts(s.ClosedGates) < endpoints, Detail: "open"}
	if len(s.ClosedGates) > 0 {
		c.Gates.Detail = "closed: " + strings.Join(s.ClosedGates, ", ")
	}
	c.Intake = Check{OK: !s.Draining, Detail: "open"}
	if s.Draining {
		c.Intake.Detail = "draining"
	}
	r.Ready = c.Receiver.OK && c.Gates.OK && c.Intake.OK
	return r
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
