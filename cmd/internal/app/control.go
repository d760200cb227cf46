package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"batchterminator/worker"
)

const (
	// ControlOff is the address of no control endpoint.
	ControlOff = "off"
	// mostControlBody bounds a request to the control endpoint, and its answer.
	mostControlBody = 64 << 10
	// longestBy bounds who says that they did it, in characters.
	longestBy = 64
)

// ControlStatus is what the control endpoint tells of the process.
type ControlStatus struct {
	Readiness
	Paused      bool          `json:"paused"`
	PausedBy    string        `json:"pausedBy,omitempty"`
	PausedSince *time.Time    `json:"pausedSince,omitempty"`
	Draining    bool          `json:"draining"`
	Concurrency LimitedNumber `json:"concurrency"`
	LogLevel    string        `json:"logLevel"`
	ClosedGates []string      `json:"closedGates"`
}

// LimitedNumber is a setting that can be changed up to what is configured.
type LimitedNumber struct {
	Now  int `json:"now"`
	Most int `json:"most"`
}

// ControlRequest is the body of a change. By says who makes it; the rest belongs to one change each.
type ControlRequest struct {
	By          string `json:"by,omitempty"`
	Concurrency int    `json:"concurrency,omitempty"`
	LogLevel    string `json:"logLevel,omitempty"`
	Endpoint    string `json:"endpoint,omitempty"`
}

// ControlAnswer is the answer to a change: what was, what is, and how the process stands now.
type ControlAnswer struct {
	Action string        `json:"action"`
	Before any           `json:"before"`
	After  any           `json:"after"`
	Status ControlStatus `json:"status"`
}

// control changes a process while it runs. It is reached from this machine only, by nobody's browser, and every change leaves a
// line in the log, whatever the level.
type control struct {
	worker *worker.Worker
	gates  *worker.Gates
	level  *zap.AtomicLevel // nil: cannot be changed
	audit  *zap.Logger
	ready  func() Readiness

	mu sync.Mutex // one change at a time, so that before and after are true
}

func newControl(w *worker.Worker, g *worker.Gates, level *zap.AtomicLevel, log *zap.Logger, ready func() Readiness) *control {
	audit := log.Named("control").WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return always{c} }))
	return &control{worker: w, gates: g, level: level, audit: audit, ready: ready}
}

// always writes every entry.
type always struct{ zapcore.Core }

func (always) Enabled(zapcore.Level) bool { return true }

func (a always) With(fields []zapcore.Field) zapcore.Core { return always{a.Core.With(fields)} }

func (a always) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return ce.AddCore(e, a)
}

// handler serves the endpoint.
func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /control", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, c.status()) })
	for path, change := range map[string]func(ControlRequest) (before, after any, err error){
		"pause": c.pause, "resume": c.resume, "concurrency": c.concurrency, "log-level": c.logLevel, "reset-gates": c.resetGates,
	} {
		mux.HandleFunc("POST /control/"+path, func(w http.ResponseWriter, r *http.Request) { c.change(w, r, path, change) })
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := ours(r); err != nil {
			answer(w, http.StatusForbidden, refusal{err.Error()})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// ours keeps other machines and web pages out: a page that somebody on this machine happens to visit can send requests to it,
// under a name of its own that resolves to it.
func ours(r *http.Request) error {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err != nil || !isLoopback(host) {
		return errors.New("the control endpoint serves this machine only")
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	if !strings.EqualFold(host, "localhost") && !isLoopback(host) {
		return errors.New("the Host header names another machine; use 127.0.0.1")
	}
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Referer") != "" {
		return errors.New("the control endpoint does not serve browsers")
	}
	if r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/json" {
		return errors.New("want Content-Type: application/json")
	}
	return nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

type refusal struct {
	Error string `json:"error"`
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // who asked has gone: nobody is left to tell
}

// change makes one change and writes its audit line.
func (c *control) change(w http.ResponseWriter, r *http.Request, action string, change func(ControlRequest) (before, after any, err error)) {
	var request ControlRequest
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostControlBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&request)
	if err == nil && decoder.More() {
		err = errors.New("more than one value")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		answer(w, http.StatusBadRequest, refusal{"body: " + err.Error()})
		return
	}
	request.By = printable(request.By)
	if n := utf8.RuneCountInString(request.By); n > longestBy {
		answer(w, http.StatusBadRequest, refusal{fmt.Sprintf("by: %d characters; want at most %d", n, longestBy)})
		return
	}
	who := []zap.Field{zap.String("action", action), zap.String("by", request.By), zap.String("remote", r.RemoteAddr)}
	c.mu.Lock()
	defer c.mu.Unlock()
	before, after, err := change(request)
	if err != nil {
		c.audit.Warn("control: refused", append(who, zap.Error(err))...)
		answer(w, http.StatusBadRequest, refusal{err.Error()})
		return
	}
	c.audit.Warn("control: changed", append(who, zap.Any("before", before), zap.Any("after", after))...)
	answer(w, http.StatusOK, ControlAnswer{Action: action, Before: before, After: after, Status: c.status()})
}

// printable is what somebody calls himself, without anything that could act on a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.TrimSpace(strings.ToValidUTF8(s, "")))
}

func (c *control) status() ControlStatus {
	s := c.worker.Status()
	most, now := c.worker.Concurrency()
	status := ControlStatus{Readiness: c.ready(), Draining: s.Draining, Concurrency: LimitedNumber{Now: now, Most: most}, ClosedGates: append([]string{}, s.ClosedGates...)}
	if s.Paused != nil {
		status.Paused, status.PausedBy, status.PausedSince = true, s.Paused.By, &s.Paused.Since
	}
	if c.level != nil {
		status.LogLevel = c.level.String()
	}
	return status
}

func (c *control) paused() bool { return c.worker.Status().Paused != nil }

func (c *control) pause(r ControlRequest) (before, after any, err error) {
	before = c.paused()
	c.worker.Pause(r.By)
	return before, true, nil
}

func (c *control) resume(ControlRequest) (before, after any, err error) {
	return c.worker.Resume(), false, nil
}

func (c *control) concurrency(r ControlRequest) (before, after any, err error) {
	before, err = c.worker.SetConcurrency(r.Concurrency)
	return before, r.Concurrency, err
}

func (c *control) logLevel(r ControlRequest) (before, after any, err error) {
	if c.level == nil {
		return nil, nil, errors.New("log level: cannot be changed in this process")
	}
	level, err := levelOf(r.LogLevel)
	if err != nil {
		return nil, nil, err
	}
	before = c.level.String()
	c.level.SetLevel(level)
	return before, r.LogLevel, nil
}

func (c *control) resetGates(r ControlRequest) (before, after any, err error) {
	opened, err := c.gates.Reset(r.Endpoint)
	return append([]string{}, opened...), append([]string{}, c.gates.Closed()...), err
}

// serveControl starts the control endpoint, if there is to be one. That its address is taken, by another worker on this machine,
// does not keep this one from its work. The returned function ends it and waits.
func (a *App) serveControl() (stop func()) {
	if a.controlAddress == "" || a.controlAddress == ControlOff {
		return func() {}
	}
	listener, err := net.Listen("tcp", a.controlAddress)
	if err == nil && !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		err = errors.Join(fmt.Errorf("%s is not this machine alone", listener.Addr()), listener.Close())
	}
	if err != nil {
		a.log.Warn("no control endpoint: this worker cannot be paused or changed while it runs", zap.String("setting", setting("control", "CONTROL")), zap.Error(err))
		return func() {}
	}
	a.mu.Lock()
	a.controlAt = listener.Addr().String()
	a.mu.Unlock()
	a.log.Info("serving control", zap.String("address", a.ControlAddr()))
	server := newServer(a.control.handler(), a.log)
	var owner sync.WaitGroup
	owner.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the control server ended", zap.Error(err))
		}
	})
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), farewell/5)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // with a request under way that nobody can answer any more
		}
		owner.Wait()
	}
}

// ControlAddr returns where control is served, "" while it is not.
func (a *App) ControlAddr() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.controlAt
}
