package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// sandbox runs the program and returns what it wrote.
func sandbox(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, nil, &out, &errs)
	return code, out.String(), errs.String()
}

func demoReport(t *testing.T, args ...string) (int, report) {
	t.Helper()
	code, stdout, stderr := sandbox(t, append([]string{"demo", "-o", "json"}, args...)...)
	var r report
	if err := json.Unmarshal([]byte(stdout), &r, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%v in\n%s\n%s", err, stdout, stderr)
	}
	return code, r
}

// P1 to P10 over sockets, with a restart of the worker in the middle and faults on the way.
func TestDemoHoldsEveryPromise(t *testing.T) {
	t.Parallel()
	code, r := demoReport(t, "--requests", "300")
	if code != 0 || len(r.Promises) < 10 {
		t.Errorf("exit code %d with %d promises", code, len(r.Promises))
	}
	for _, p := range r.Promises {
		if !p.Holds {
			t.Errorf("%s %s: %s", p.ID, p.Name, p.Detail)
		}
	}
	want := 0 // dead letters that the plan asks for
	for _, q := range plan(kinds, 300, 1) {
		if q.deadLetter != "" {
			want++
		}
	}
	if r.Requests != 300 || r.DeadLettered != want || r.Lost != 0 || r.BurnedDeliveries != 0 || r.MaxInFlight == 0 || r.BatchCalls == 0 || r.Seconds <= 0 {
		t.Errorf("%+v; want %d dead letters and nothing lost or burned", r, want)
	}
}

// A demo that cannot fail proves nothing.
func TestDemoNoticesEachBrokenPromise(t *testing.T) {
	t.Parallel()
	for _, s := range sabotages() {
		if s.breaks == "" {
			continue
		}
		t.Run(s.breaks, func(t *testing.T) {
			t.Parallel()
			requests := "200"
			if s.breaks == "P7" { // more than the sabotaged worker can lock, so that it is not the queue that holds it to its bound
				requests = "1000"
			}
			args := []string{"--requests", requests, "--sabotage", s.breaks}
			if s.breaks != "P3" { // which needs a second attempt to show
				args = append(args, "--no-faults")
			}
			code, r := demoReport(t, args...)
			if code != 1 || r.holds() {
				t.Errorf("exit code %d; want 1", code)
			}
			for _, p := range r.Promises {
				if p.ID == s.breaks && p.Holds {
					t.Errorf("%s is said to hold: %s", p.ID, p.Detail)
				}
			}
		})
	}
}

func TestDemoTableIsForPeople(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := sandbox(t, "demo", "--requests", "50", "--no-faults")
	for _, want := range []string{"OUTCOME", "terminated", "PROMISE", "P10", "All promises hold."} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the table lacks %q:\n%s", want, stdout)
		}
	}
	if code != 0 || !strings.Contains(stderr, "terminating: 50 of 50") {
		t.Errorf("exit code %d, progress:\n%s", code, stderr)
	}
}
