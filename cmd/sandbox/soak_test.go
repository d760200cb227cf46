package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"batchterminator/cmd/sandbox/verdict"
)

// A leak shows through the noise of what an idle worker takes, and noise alone is no leak.
func TestTrendTellsGrowthFromNoise(t *testing.T) {
	t.Parallel()
	const rounds = 48 // of ten minutes
	noise := func(i, size int) int { return (i*7919%11 - 5) * size / 5 }
	for name, c := range map[string]struct {
		worker func(i int) survivor // after round i
		rounds int
		broken []string
	}{
		"steady": {worker: func(i int) survivor {
			return survivor{HeapBytes: 20<<20 + noise(i, 3<<20), Goroutines: 100 + noise(i, 10), Descriptors: 40 + noise(i, 4)}
		}},
		"two mebibytes an hour": {worker: func(i int) survivor { return survivor{HeapBytes: 20<<20 + i<<20/3 + noise(i, 3<<20)} }, broken: []string{"the heap does not grow"}},
		"half a mebibyte":       {worker: func(i int) survivor { return survivor{HeapBytes: 20<<20 + i<<20/12 + noise(i, 1<<20)} }},
		"a goroutine a round":   {worker: func(i int) survivor { return survivor{Goroutines: 100 + i + noise(i, 10)} }, broken: []string{"goroutines do not grow"}},
		"a file an hour":        {worker: func(i int) survivor { return survivor{Descriptors: 40 + i/6 + noise(i, 2)} }, broken: []string{"open files do not grow"}},
		"it shrinks": {worker: func(i int) survivor {
			return survivor{HeapBytes: 90<<20 - i<<20, Goroutines: 200 - i, Descriptors: 90 - i}
		}},
		"nobody is left": {rounds: -rounds, broken: []string{"the heap does not grow", "goroutines do not grow", "open files do not grow"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tr trend
			for i := range rounds + c.rounds {
				w := c.worker(i)
				w.Name = "worker-001"
				tr.note(time.Duration(i)*10*time.Minute, []survivor{w})
			}
			var broken []string
			for _, l := range tr.lines() {
				if !l.Holds {
					broken = append(broken, l.Name)
				}
			}
			if !slices.Equal(broken, c.broken) {
				t.Errorf("broken: %q, want %q\n%+v", broken, c.broken, tr.lines())
			}
		})
	}
}

// What ends no process is what a soak draws from, and there is some of every other sort.
func TestSoakKillsNobody(t *testing.T) {
	t.Parallel()
	names := bloodless()
	for _, deadly := range []string{"kill", "stop and start", "freeze beyond the lock", "scale out or in"} {
		if slices.Contains(names, deadly) {
			t.Errorf("a soak draws %q", deadly)
		}
	}
	if len(names) != len(stormFaults())-len(processFaults()) {
		t.Errorf("%d faults to draw from: %q", len(names), names)
	}
}

func TestTotalAddsUpReports(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	write := func(name string, r chaosReport) string {
		path := filepath.Join(directory, name)
		if err := r.keep(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.json", chaosReport{Seed: 7, Requests: 100, Messages: 110, Struck: 3, Kills: 1, BatchCalls: 500_000, RepeatedCalls: 1, Recovery: 2, LongestStop: 1.5,
		Promises: []verdict.Line{{ID: "I2", Holds: true}}})
	better := write("better.json", chaosReport{Seed: 8, Requests: 200, Messages: 220, Struck: 4, Kills: 2, BatchCalls: 500_000, Recovery: 1, LongestStop: 2.5})
	bad := write("bad.json", chaosReport{Seed: 9, Lost: 1, Promises: []verdict.Line{{ID: "I2"}}})
	fields := func(stdout, row string) string {
		for line := range strings.Lines(stdout) {
			if f := strings.Fields(line); len(f) > 0 && f[0] == row {
				return strings.Join(f, " ")
			}
		}
		return ""
	}
	code, stdout, _ := sandbox(t, "total", good, better)
	if got, want := fields(stdout, "all"), "all 300 330 7 3 0 0 1 1.0 0 2.0 s 2.5 s"; code != 0 || got != want {
		t.Errorf("exit code %d, %q; want %q\n%s", code, got, want, stdout)
	}
	code, stdout, _ = sandbox(t, "total", good, bad)
	if got, want := fields(stdout, "9"), "9 0 0 0 0 1 1 0 0.0 0 0.0 s 0.0 s"; code != 1 || got != want {
		t.Errorf("exit code %d, %q; want %q\n%s", code, got, want, stdout)
	}
	if err := os.WriteFile(bad, []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := sandbox(t, "total", bad); code != 1 || !strings.Contains(stderr, "bad.json") {
		t.Errorf("exit code %d, %q; want the file named", code, stderr)
	}
}
