package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/app"
	"batchterminator/worker/servicebustest"
)

// A person at a terminal beside a worker: what waits while it is paused is done once it is resumed, and nothing is burned.
func TestControlPausesAndResumesAWorker(t *testing.T) {
	t.Parallel()
	b, env := broker(t)
	queue := b.Queue(app.DefaultQueue)
	account := batchtest.New(batchtest.AutoCreate())
	t.Cleanup(account.Close)
	deps := app.Deps{Dial: b.Dial, Transport: func(string) policy.Transporter { return account.Client() }}
	log, lines := io.Pipe()
	addresses := make(chan string, 1)
	audit := make(chan []string, 1)
	go func() {
		var found []string
		for scanner := bufio.NewScanner(log); scanner.Scan(); {
			var line struct{ Msg, Address, Action, By string }
			switch err := json.Unmarshal(scanner.Bytes(), &line); {
			case err == nil && line.Msg == "serving control":
				addresses <- line.Address
			case err == nil && line.Msg == "control: changed":
				found = append(found, line.Action+" by "+line.By)
			}
		}
		audit <- found
	}()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- runWith(ctx, []string{"run"}, append(env, "BATCH_ENDPOINT=http://localhost:5681", "LISTEN=127.0.0.1:0", "CONTROL=127.0.0.1:0"), streams{strings.NewReader(""), io.Discard, lines}, deps)
		_ = lines.Close()
	}()
	address := <-addresses
	control := func(args ...string) string {
		t.Helper()
		var r recorded
		if code := runWith(t.Context(), append([]string{"control", "--control=" + address, "--by=ada"}, args...), nil, r.streams(""), app.Deps{}); code != exitOK {
			t.Fatalf("control %q: exit code %d: %s", args, code, r.err.String())
		}
		return r.out.String()
	}
	if out := control("pause"); !strings.HasPrefix(out, "pause: yes, was no\nintake        paused by ada since 20") {
		t.Errorf("pause says %s", out)
	}
	for _, id := range []string{"a", "b", "c"} {
		if _, err := queue.Send(servicebustest.Message{ID: id, Body: []byte(`{"jobId":"j","taskId":"` + id + `"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	var status app.ControlStatus
	if err := json.Unmarshal([]byte(control("status", "-o", "json")), &status); err != nil || !status.Paused || status.PausedBy != "ada" || status.LogLevel != "info" {
		t.Errorf("%+v %v", status, err)
	}
	if out := control("concurrency", "8"); !strings.HasPrefix(out, "concurrency: 8, was 64\n") || !strings.Contains(out, "8 of 64") {
		t.Errorf("concurrency says %s", out)
	}
	control("log-level", "error")
	control("reset-gates")
	if n := queue.Counts(); n.Completed > 0 {
		t.Errorf("worked on while paused: %+v", n)
	}
	control("resume")
	patient, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := queue.Wait(patient, func(c servicebustest.Counts) bool { return c.Completed == 3 }); err != nil {
		t.Error(err)
	}
	if err := json.Unmarshal([]byte(control("status", "-o", "json")), &status); err != nil || !status.Ready || status.Checks.Receiver != (app.Check{OK: true, Detail: "attached"}) || len(status.Checks.Failed()) != 0 {
		t.Errorf("%+v %v", status, err)
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if got := strings.Join(<-audit, ", "); got != "pause by ada, concurrency by ada, log-level by ada, reset-gates by ada, resume by ada" {
		t.Errorf("the audit lines are %s", got)
	}
	for _, m := range queue.Ledger() {
		for _, e := range m.Events {
			if e.Kind == servicebustest.EventAbandoned || e.Kind == servicebustest.EventLockExpired {
				t.Errorf("%v: %v", m, e.Kind)
			}
		}
	}
}

// Whoever looks at a worker that is not well wants to know what is not.
func TestControlStatusSaysWhatIsNotWell(t *testing.T) {
	t.Parallel()
	var status app.ControlStatus
	status.Checks.Receiver = app.Check{Detail: "refused\x1b[31m"}
	status.Checks.Credential = app.Check{OK: true, Detail: "usable"}
	status.Checks.Gates = app.Check{Detail: "closed: https://acme: outage"}
	status.Checks.Intake = app.Check{Detail: "draining"}
	status.Draining = true
	var text, program strings.Builder
	if err := (controlCommand{Output: "text"}).print(&text, status, "", status); err != nil {
		t.Fatal(err)
	}
	want := `intake        draining
ready         no
  receiver    refused\u001b[31m
  gates       closed: https://acme: outage
  intake      draining
concurrency   0 of 0
log level     -
closed gates  -
`
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
	if err := (controlCommand{Output: "json"}).print(&program, status, "", status); err != nil || !strings.Contains(program.String(), `"detail": "closed: https://acme: outage"`) {
		t.Errorf("%s %v", program.String(), err)
	}
}

func TestControlRefusesAChangeWithoutAName(t *testing.T) {
	t.Parallel()
	for _, env := range []app.Environment{nil, {"USER="}} {
		var r recorded
		code := runWith(t.Context(), []string{"control", "pause", "--control=127.0.0.1:1"}, env, r.streams(""), app.Deps{})
		if want := "batch-terminator: --by (USER): say who makes the change, for the worker's log\n"; code != exitSettings || !strings.HasPrefix(r.err.String(), want) {
			t.Errorf("%q: exit code %d: %s", env, code, r.err.String())
		}
	}
}
