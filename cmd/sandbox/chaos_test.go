//go:build unix

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"batchterminator/cmd/sandbox/verdict"
)

func chaosRun(t *testing.T, args ...string) (int, chaosReport, string) {
	t.Helper()
	code, stdout, stderr := sandbox(t, append([]string{"chaos", "-o", "json"}, args...)...)
	var r chaosReport
	if err := json.Unmarshal([]byte(stdout), &r, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%v in\n%s\n%s", err, stdout, stderr)
	}
	return code, r, stderr
}

// P1 to P10 over sockets and processes that are killed, stopped and frozen; a longer run is a step of CI.
//
// Scorecard: S1, S2, S3, F18.
func TestChaosHoldsEveryPromise(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a quarter of a minute of real time")
	}
	// A seed that kills, stops and freezes early on, and has no call hang for as long as calls may.
	code, r, stderr := chaosRun(t, "--for", "6s", "--rate", "50", "--every", "250ms", "--lock", "10s", "--idle", "2s", "--seed", "60")
	if code != 0 || r.Problem != "" {
		t.Errorf("exit code %d, %s\n%s", code, r.Problem, stderr)
	}
	for _, p := range r.Promises {
		if !p.Holds {
			t.Errorf("%s %s: %s", p.ID, p.Name, p.Detail)
		}
	}
	if r.Requests != 300 || r.Lost != 0 || r.BurnedDeliveries != 0 || r.Struck < 10 || r.Kills == 0 || len(r.Promises) != 16 || len(r.Idle) == 0 {
		t.Errorf("%+v; want 300 requests, a storm with kills, and nothing lost or burned", r)
	}
}

// The same seed is the same storm; another one is another.
func TestStormIsDrawnFromItsSeed(t *testing.T) {
	t.Parallel()
	first := drawn(1)
	if again := drawn(1); again != first {
		t.Errorf("%s\n%s", first, again)
	}
	if other := drawn(2); other == first {
		t.Errorf("seeds 1 and 2 draw %s", first)
	}
}

func drawn(seed uint64) string {
	order, faults := newOrder(seed), weighted(stormFaults())
	var names []string
	for range 50 {
		names = append(names, faults[order.IntN(len(faults))].name)
	}
	return strings.Join(names, ", ")
}

// What the ledgers do not show is seen from outside of the processes, and each line can fail.
func TestChaosNoticesWhatAProcessTakes(t *testing.T) {
	t.Parallel()
	healthy := func() *chaos {
		return &chaos{
			chaosCommand: chaosCommand{Concurrency: 10, Lock: 10 * time.Second}, memory: 64 << 20, fleet: &fleet{},
			watch:     watch{most: vitals{goroutines: 100, resident: 60 << 20}},
			survivors: []survivor{{Name: "a", CPU: 0.01, Goroutines: 50}, {Name: "b", CPU: 0.01, Goroutines: 50}},
		}
	}
	for name, doctor := range map[string]struct {
		breaks string
		do     func(*chaos) time.Duration
	}{
		"nothing":                       {"", func(*chaos) time.Duration { return time.Minute }},
		"too many goroutines":           {"I7", func(c *chaos) time.Duration { c.watch.most.goroutines = 1000; return 0 }},
		"too much memory":               {"I7", func(c *chaos) time.Duration { c.watch.most.resident = 65 << 20; return 0 }},
		"the pace did not come back":    {"I9", func(*chaos) time.Duration { return time.Minute + time.Second }},
		"a worker ended by itself":      {"I9", func(c *chaos) time.Duration { c.fleet.trouble("ended"); return 0 }},
		"a worker spins":                {"I10", func(c *chaos) time.Duration { c.survivors[0].CPU = 0.99; return 0 }},
		"goroutines stay":               {"I10", func(c *chaos) time.Duration { c.survivors[0].Goroutines = 500; return 0 }},
		"nobody was left to be watched": {"I10", func(c *chaos) time.Duration { c.survivors = nil; return 0 }},
	} {
		c := healthy()
		recovery := doctor.do(c)
		for _, l := range []verdict.Line{c.bounded(), c.live(recovery), c.quiet()} {
			if broken := l.ID == doctor.breaks; l.Holds == broken {
				t.Errorf("%s: %s holds: %t, %s", name, l.ID, l.Holds, l.Detail)
			}
		}
	}
}
