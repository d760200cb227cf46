package main

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A demo of chosen faults: the promises hold, and what it breaks shows in the outcomes.
func TestStoryTellsOfItsFaultsAndHoldsEveryPromise(t *testing.T) {
	t.Parallel()
	code, r := demoReport(t, "--requests", "90", "--faults", "bad-messages", "--fault-for", "500ms")
	if code != 0 || !r.holds() || r.Problem != "" {
		t.Errorf("exit code %d: %+v", code, r)
	}
	// A third of the thirty that come while it lasts, but those whose task has a twin or does not exist.
	if bad := r.Outcomes["invalid_message"]; bad == 0 || bad > 10 || r.DeadLettered != bad {
		t.Errorf("%d bad messages, %d dead letters; want some of at most 10", bad, r.DeadLettered)
	}
}

// What a Prometheus beside the demo reads, while it goes on and while it holds.
func TestStoryServesItsMetrics(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	read, write := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"demo", "--requests", "10", "--faults", "bad-messages", "--fault-for", "500ms", "--hold", "1h"}, nil, io.Discard, write)
		_ = write.Close()
	}()
	var said strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(said.String(), "the metrics stay for 1h") {
		n, err := read.Read(buffer)
		said.Write(buffer[:n])
		if err != nil {
			t.Fatalf("it said %q and ended: %v", said.String(), err)
		}
	}
	address := regexp.MustCompile(`http://\S+/metrics`).FindString(said.String())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	scrape := func() (string, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			return "", err
		}
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	if body, err := scrape(); err != nil || !strings.Contains(body, `batch_terminator_deliveries_total{outcome="terminated"}`) {
		t.Errorf("%s: %v, and no deliveries in %d bytes", address, err, len(body))
	}
	stop()
	go func() { _, _ = io.Copy(io.Discard, read) }()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case code := <-ended:
			if code != 1 {
				t.Errorf("interrupted: exit code %d, want 1", code)
			}
			return
		case <-again.C:
			_, _ = scrape() // the worker stays until its last counts have been read
		}
	}
}

func TestStoryRefusesWhatItCannotTell(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]struct {
		code int
		says string
	}{
		"--faults lightning":                 {2, `--faults: there is no fault "lightning"; want some of throttle, outage, auth, unreachable, bad-messages`},
		"--faults auth --no-faults":          {2, "contradict"},
		"--faults auth --fault-for 1ms":      {2, "--fault-for: 1ms; want 500ms to 10m"},
		"--faults auth --listen 256.0.0.0:1": {1, "256.0.0.0"},
	} {
		code, _, stderr := sandbox(t, append([]string{"demo"}, strings.Fields(args)...)...)
		if code != want.code || !strings.Contains(stderr, want.says) {
			t.Errorf("%s: exit code %d, %s", args, code, stderr)
		}
	}
}

// spoil must not touch a request whose task another one needs, nor one that could not be called for anyway.
func TestSpoiledRequestsAreThoseThatNobodyElseNeeds(t *testing.T) {
	t.Parallel()
	requests := plan(ordinary(), 3000, 1)
	spoil(requests)
	spoiled, tasks := 0, map[string]int{}
	for _, q := range requests {
		tasks[q.task]++
	}
	for i, q := range requests {
		if q.deadLetter == "" {
			continue
		}
		spoiled++
		if i%3 != 0 || tasks[q.task] != 1 || !q.kind.hostile || q.body == plain(q.task) {
			t.Errorf("%d: %+v", i, q)
		}
	}
	if spoiled < 700 || spoiled > 1000 {
		t.Errorf("%d of 3000 spoiled, want most of 1000", spoiled)
	}
}
