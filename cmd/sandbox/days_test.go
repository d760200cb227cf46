package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"batchterminator/cmd/sandbox/simulate"
	"batchterminator/cmd/sandbox/verdict"
)

// Each seed is a process of its own, whose result is kept: a second run only adds up.
func TestDaysAreSimulatedOnceAndAddedUp(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	command := []string{"days", "--seeds", "2", "--from", "3", "--hours", "1", "--directory", directory, "-o", "json"}
	var first, again days
	for _, sum := range []*days{&first, &again} {
		code, stdout, stderr := sandbox(t, command...)
		if err := json.Unmarshal([]byte(stdout), sum, json.RejectUnknownMembers(true)); err != nil || code != 0 {
			t.Fatalf("exit code %d, %v in\n%s\n%s", code, err, stdout, stderr)
		}
	}
	if first.Seeds != 2 || first.Passed != 2 || first.Hours != 2 || first.Calls == 0 || first.Seconds != again.Seconds {
		t.Errorf("%+v, then %+v; want two days that passed, simulated once", first, again)
	}
	if logs, _ := filepath.Glob(filepath.Join(directory, "*.log")); len(logs) > 0 {
		t.Errorf("logs of days that passed: %q", logs)
	}
	if err := os.WriteFile(filepath.Join(directory, "build"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := sandbox(t, command...); code != 1 || !strings.Contains(stderr, "holds results of another build") {
		t.Errorf("exit code %d, %q; want a refusal to mix builds", code, stderr)
	}
}

// The count is honest: what stood still is no pass, and a promise that was missed names its seeds.
func TestDaysTellApartWhatPassedStoodStillAndFailed(t *testing.T) {
	t.Parallel()
	result := func(seed uint64, build string, lines ...verdict.Line) dayResult {
		return dayResult{Result: simulate.Result{Seed: seed, Hours: 24, Requests: 10, Struck: map[string]int{"a cut": 2}, Verdict: verdict.Verdict{Lines: lines}}, Build: build}
	}
	d := days{Asked: 6, Struck: map[string]int{}, Missed: map[string][]uint64{}}
	d.add(result(1, asItIs, verdict.Line{ID: "P5", Holds: true}))
	d.add(result(2, other))
	d.add(result(3, asItIs, verdict.Line{ID: "P5"}, verdict.Line{ID: "I4"}))
	d.add(result(4, other, verdict.Line{ID: "P5"}))
	stood := result(5, other)
	stood.Standstill, stood.Problem = true, "virtual time stands still"
	d.add(stood)
	hung := result(6, asItIs)
	hung.Problem = "not everything ended"
	d.add(hung)
	if d.Seeds != 6 || d.Passed != 2 || d.PassedOther != 1 || !slices.Equal(d.StoodStill, []uint64{5}) || !slices.Equal(d.Failed, []uint64{3, 4, 6}) || d.holds() {
		t.Errorf("%+v", d)
	}
	if !slices.Equal(d.Missed["P5"], []uint64{3, 4}) || !slices.Equal(d.Missed["I4"], []uint64{3}) || !slices.Equal(d.Missed["end"], []uint64{6}) {
		t.Errorf("missed: %v", d.Missed)
	}
	if d.Hours != 5*24 || d.Requests != 50 || d.Struck["a cut"] != 10 {
		t.Errorf("%+v; want nothing of what stood still in the sums", d)
	}
	var b strings.Builder
	if err := d.write(&b, "table"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"6 seeds: 2 passed (1 of them in the other build alone), 1 stood still, 3 failed", "P5 is missed by seed 3 4", "stood still in seed 5"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}

// What says nothing is no pass.
func TestDaysHoldOnlyIfAllAreThereAndFewStoodStill(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		d     days
		holds bool
	}{
		"all passed":         {days{Asked: 100, Seeds: 100, Passed: 100}, true},
		"two stood still":    {days{Asked: 100, Seeds: 100, Passed: 98, StoodStill: []uint64{1, 2}}, true},
		"three stood still":  {days{Asked: 100, Seeds: 100, Passed: 97, StoodStill: []uint64{1, 2, 3}}, false},
		"stopped on its way": {days{Asked: 100, Seeds: 99, Passed: 99}, false},
		"no result":          {days{Asked: 100}, false},
		"one failed":         {days{Asked: 100, Seeds: 100, Passed: 99, Failed: []uint64{7}}, false},
	} {
		if got := c.d.holds(); got != c.holds {
			t.Errorf("%s: holds: %v", name, got)
		}
	}
}
