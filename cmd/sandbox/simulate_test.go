package main

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"batchterminator/cmd/sandbox/simulate"
)

func TestSimulationReportsForMachinesAndForPeople(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := sandbox(t, "simulate", "--hours", "3", "--seed", "3", "-o", "json")
	var r simulate.Result
	if err := json.Unmarshal([]byte(stdout), &r, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%v in\n%s", err, stdout)
	}
	if code != 0 || !r.Holds() || r.Requests == 0 || r.Calls == 0 || r.Workers == 0 || len(r.Lines) != 13 {
		t.Errorf("exit code %d, %+v", code, r)
	}
	if !strings.Contains(stderr, "simulating hours: 2 of 3") {
		t.Errorf("progress: %q", stderr)
	}
	code, stdout, stderr = sandbox(t, "simulate", "--hours", "3", "--seed", "3", "--verbose")
	for _, want := range []string{"Seed 3: 3 hours", "PROMISE", "All promises hold."} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the table lacks %q:\n%s", want, stdout)
		}
	}
	if code != 0 || !strings.Contains(stderr, "a worker starts") {
		t.Errorf("exit code %d, told: %q", code, stderr)
	}
}
