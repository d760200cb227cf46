package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// controlled is a process that does not run, with its log.
func controlled(t *testing.T, level string) (*App, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	log, adjustable, err := NewAdjustableLogger(level, "json", &out)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Build(emulated(), Deps{Log: log, LogLevel: adjustable, Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return a, &out
}

// asked sends what the command sends, with changes to it.
func asked(a *App, method, path, body string, change func(r *http.Request)) (int, string) {
	r := httptest.NewRequest(method, "http://127.0.0.1:9092"+path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:50000"
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	a.control.handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestControlChangesTheProcessAndSaysWhoDidIt(t *testing.T) {
	t.Parallel()
	a, log := controlled(t, "error") // audit lines are written even so
	for _, step := range []struct {
		path, body, before, after string
		holds                     func(ControlStatus) bool
	}{
		{"pause", `{"by":"ada"}`, `false`, `true`, func(s ControlStatus) bool { return s.Paused && s.PausedBy == "ada" && s.PausedSince != nil }},
		{"pause", ``, `true`, `true`, func(s ControlStatus) bool { return s.PausedBy == "ada" }},
		{"concurrency", `{"concurrency":5}`, `64`, `5`, func(s ControlStatus) bool { return s.Concurrency == LimitedNumber{Now: 5, Most: 64} }},
		{"log-level", `{"logLevel":"debug"}`, `"error"`, `"debug"`, func(s ControlStatus) bool { return s.LogLevel == "debug" }},
		{"reset-gates", `{"endpoint":"http://localhost:5681"}`, `[]`, `[]`, func(s ControlStatus) bool { return s.ClosedGates != nil }},
		{"resume", `{"by":"grace"}`, `true`, `false`, func(s ControlStatus) bool { return !s.Paused }},
		{"resume", `{}`, `false`, `false`, func(s ControlStatus) bool { return !s.Paused }},
	} {
		log.Reset()
		code, body := asked(a, http.MethodPost, "/control/"+step.path, step.body, nil)
		var got struct {
			Action        string
			Before, After json.RawMessage
			Status        ControlStatus
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK || got.Action != step.path || string(got.Before) != step.before || string(got.After) != step.after || !step.holds(got.Status) {
			t.Errorf("%s %s: %d %s %v", step.path, step.body, code, body, err)
		}
		var line map[string]any
		if err := json.Unmarshal(log.Bytes(), &line); err != nil && step.path != "reset-gates" && step.path != "log-level" {
			t.Errorf("%s: the log is not one line: %s", step.path, log.String())
		}
		if text := log.String(); !strings.Contains(text, `"action":"`+step.path+`"`) || !strings.Contains(text, `"remote":"127.0.0.1:50000"`) || !strings.Contains(text, `"before":`+step.before+`,"after":`+step.after) {
			t.Errorf("%s: the audit line says %s", step.path, text)
		}
	}
	code, body := asked(a, http.MethodGet, "/control", "", nil)
	var now ControlStatus
	if err := json.Unmarshal([]byte(body), &now); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s %v", code, body, err)
	}
	if diff := cmp.Diff(ControlStatus{Readiness: a.Status(), Concurrency: LimitedNumber{Now: 5, Most: 64}, LogLevel: "debug", ClosedGates: []string{}}, now); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestAPauseIsToldButDoesNotMakeTheProcessUnready(t *testing.T) {
	t.Parallel()
	a, _ := controlled(t, "info")
	asked(a, http.MethodPost, "/control/pause", `{"by":"ada"}`, nil)
	if intake := a.Status().Checks.Intake; !intake.OK || !strings.HasPrefix(intake.Detail, "paused by ada since 20") {
		t.Errorf("%+v", intake)
	}
	if _, body := get(a.Handler(), "/metrics"); !strings.Contains(body, "\nbatch_terminator_intake_paused 1\n") {
		t.Error("the metric does not say so")
	}
	asked(a, http.MethodPost, "/control/resume", `{}`, nil)
	if _, body := get(a.Handler(), "/metrics"); !strings.Contains(body, "\nbatch_terminator_intake_paused 0\n") {
		t.Error("the metric still says so")
	}
}

func TestControlRefusesWhatIsNotOfThisMachine(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"another machine":        func(r *http.Request) { r.RemoteAddr = "10.1.2.3:5" },
		"a name that resolves":   func(r *http.Request) { r.Host = "attacker.example:9092" },
		"no host":                func(r *http.Request) { r.Host = "" },
		"a web page":             func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:9092") },
		"a page without origin":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") },
		"a link":                 func(r *http.Request) { r.Header.Set("Referer", "http://localhost/") },
		"a form":                 func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		"a form without a type":  func(r *http.Request) { r.Header.Del("Content-Type") },
		"an address of no shape": func(r *http.Request) { r.RemoteAddr = "@" },
	} {
		a, log := controlled(t, "info")
		if code, body := asked(a, http.MethodPost, "/control/pause", `{}`, change); code != http.StatusForbidden || a.worker.Status().Paused != nil || !strings.Contains(body, `"error"`) {
			t.Errorf("%s: %d %s", name, code, body)
		}
		if log.Len() > 0 {
			t.Errorf("%s: %s", name, log.String())
		}
	}
	a, _ := controlled(t, "info")
	for _, host := range []string{"localhost:9092", "LOCALHOST", "[::1]:9092", "127.0.0.1"} {
		if code, body := asked(a, http.MethodPost, "/control/pause", `{}`, func(r *http.Request) { r.Host = host }); code != http.StatusOK {
			t.Errorf("%s: %d %s", host, code, body)
		}
	}
}

func TestControlRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	a, log := controlled(t, "info")
	for _, c := range []struct {
		method, path, body string
		code               int
	}{
		{http.MethodGet, "/control/pause", ``, http.StatusMethodNotAllowed},
		{http.MethodPost, "/control/explode", `{}`, http.StatusNotFound},
		{http.MethodPost, "/control/pause", `{"unti":"tomorrow"}`, http.StatusBadRequest},
		{http.MethodPost, "/control/pause", `{} {}`, http.StatusBadRequest},
		{http.MethodPost, "/control/pause", `[`, http.StatusBadRequest},
		{http.MethodPost, "/control/pause", `{"by":"` + strings.Repeat("x", mostControlBody) + `"}`, http.StatusBadRequest},
		{http.MethodPost, "/control/pause", `{"by":"` + strings.Repeat("é", longestBy+1) + `"}`, http.StatusBadRequest},
		{http.MethodPost, "/control/concurrency", `{}`, http.StatusBadRequest},
		{http.MethodPost, "/control/concurrency", `{"concurrency":65}`, http.StatusBadRequest},
		{http.MethodPost, "/control/concurrency", `{"concurrency":-1}`, http.StatusBadRequest},
		{http.MethodPost, "/control/concurrency", `{"concurrency":1e99}`, http.StatusBadRequest},
		{http.MethodPost, "/control/log-level", `{"logLevel":"panic"}`, http.StatusBadRequest},
		{http.MethodPost, "/control/reset-gates", `{"endpoint":"https://other.example"}`, http.StatusBadRequest},
	} {
		if code, body := asked(a, c.method, c.path, c.body, nil); code != c.code {
			t.Errorf("%s %s %.40s: %d %s, want %d", c.method, c.path, c.body, code, body, c.code)
		}
	}
	if s := a.control.status(); s.Paused || s.Concurrency.Now != 64 || s.LogLevel != "info" {
		t.Errorf("changed by what was refused: %+v", s)
	}
	if n := strings.Count(log.String(), "control: refused"); n != 5 {
		t.Errorf("%d refusals in the log, want those that were understood:\n%s", n, log.String())
	}
}

func TestWhoIsPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"ada": "ada", " ada\n": "ada", "": "", "a\nb\x1b[31m\x00\u202e": "ab[31m", "\xff\xfe": "", strings.Repeat("é", longestBy): strings.Repeat("é", longestBy),
	} {
		if got := printable(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// A second worker on a machine works, uncontrolled.
func TestATakenControlAddressKeepsNobodyFromWork(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	a, log := controlled(t, "info")
	a.controlAddress = taken.Addr().String()
	a.serveControl()()
	if a.ControlAddr() != "" || !strings.Contains(log.String(), "no control endpoint") {
		t.Errorf("address %q, log %s", a.ControlAddr(), log.String())
	}
}

// The setting is checked already; this is for a mistake in the check.
func TestControlIsNeverServedToOtherMachines(t *testing.T) {
	t.Parallel()
	for _, wide := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		a, log := controlled(t, "info")
		a.controlAddress = wide
		a.serveControl()()
		if a.ControlAddr() != "" || !strings.Contains(log.String(), "no control endpoint") {
			t.Errorf("%s: served on %q", wide, a.ControlAddr())
		}
		s := emulated()
		s.Operation.Control = wide
		if _, err := Build(s, deps()); err == nil || !strings.HasPrefix(err.Error(), "--control (CONTROL): want a port of this machine alone") {
			t.Errorf("%s: %v", wide, err)
		}
	}
}

func TestTheControlClientSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	a, _ := controlled(t, "info")
	a.controlAddress = "127.0.0.1:0"
	stop := a.serveControl()
	client := ControlSettings{Address: a.ControlAddr(), By: "ada\n"}
	answer, err := client.Change(t.Context(), "pause", ControlRequest{})
	if err != nil || !answer.Status.Paused || answer.Status.PausedBy != "ada" {
		t.Errorf("%+v %v", answer, err)
	}
	if _, err := client.Change(t.Context(), "concurrency", ControlRequest{Concurrency: 99}); err == nil || err.Error() != "control: the worker refused: concurrency: 99; want 1 to 64, as configured" {
		t.Errorf("error %v", err)
	}
	stop()
	if _, err := client.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "no worker answers on "+client.Address) {
		t.Errorf("error %v", err)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	client.Address = other.Listener.Addr().String()
	if _, err := client.Status(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "answers 404: it is no worker") {
		t.Errorf("error %v", err)
	}
	client.Address = "10.0.0.1:9092"
	if problems, ok := errors.AsType[Problems](client.Validate()); !ok || len(problems) != 1 {
		t.Errorf("%v", client.Validate())
	}
}

// The audit line is worth as much as its name, so a change without one does not reach the worker.
func TestAChangeNeedsANameThatFits(t *testing.T) {
	t.Parallel()
	for by, want := range map[string]string{
		"":                                "--by (USER): say who makes the change, for the worker's log",
		" \n":                             "--by (USER): say who makes the change, for the worker's log",
		strings.Repeat("é", longestBy+1):  "--by (USER): 65 characters; want at most 64",
		strings.Repeat("x", 20*longestBy): "--by (USER): 1280 characters; want at most 64",
		strings.Repeat("é", longestBy):    "", // which nobody answers
	} {
		_, err := ControlSettings{Address: "127.0.0.1:1", By: by}.Change(t.Context(), "pause", ControlRequest{})
		problems, refused := errors.AsType[Problems](err)
		if refused != (want != "") || refused && problems.Error() != want {
			t.Errorf("%.70q: %v, want %q", by, err, want)
		}
	}
}
