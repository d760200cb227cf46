//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/sandbox/verdict"
	"batchterminator/worker/servicebustest"
)

// number returns what the environment says, for runs longer than a commit can wait for, or else the default.
func number[T int | uint64](t *testing.T, variable string, otherwise T) T {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return T(n)
}

// shift is a run of workers one after the other, by chance that can be had again.
type shift struct {
	*site
	chance   *rand.Rand
	evidence verdict.Evidence
}

func newShift(t *testing.T, env ...string) *shift {
	t.Helper()
	seed := number(t, "SEED", rand.Uint64())
	t.Logf("SEED=%d", seed)
	s := &shift{site: newSite(t, servicebustest.QueueConfig{MaxDeliveryCount: 1000}, append(env, "CONCURRENCY=16")...), chance: rand.New(rand.NewPCG(seed, seed))}
	s.evidence.Concurrency, s.evidence.Grace = 16, 30*time.Second
	return s
}

// publish sends up to n requests, whose calls take up to longest.
func (s *shift) publish(t *testing.T, n int, longest time.Duration) {
	t.Helper()
	for range s.chance.IntN(n) {
		id := fmt.Sprintf("t%05d", len(s.evidence.Requests))
		s.account.OnNext(batchtest.Delay(time.Duration(s.chance.Int64N(int64(longest)))), batchtest.ForTask("j", id))
		s.evidence.Requests = append(s.evidence.Requests, verdict.Request{ID: id, Job: "j", Task: id, Completes: true})
		s.send(t, id)
	}
}

// work has a worker make up to n calls, and ends it.
func (s *shift) work(t *testing.T, n int, end func(*replica, *verdict.Worker)) {
	t.Helper()
	life := verdict.Worker{Started: time.Now()}
	r := s.start(t)
	goal := s.account.CallCount() + s.chance.IntN(n+1)
	eventually(t, "its connection", func() bool { return s.bus.Connections() > 0 })
	eventually(t, "its calls", func() bool { return s.account.CallCount() >= goal || empty(s.queue.Counts()) })
	end(r, &life)
	life.Ended = time.Now()
	s.evidence.Workers = append(s.evidence.Workers, life)
	s.evidence.Recorded += strings.Count(r.log.String(), `"msg":"delivery"`)
	eventually(t, "the end of its connection", func() bool { return s.bus.Connections() == 0 })
}

// finish has one more worker do the rest, and judges.
func (s *shift) finish(t *testing.T) verdict.Verdict {
	t.Helper()
	s.work(t, 0, func(r *replica, life *verdict.Worker) {
		s.until(t, "an empty queue", empty)
		life.Stopped = time.Now()
		r.stop(t)
	})
	s.evidence.Read(s.queue, s.account)
	v := verdict.Judge(s.evidence)
	for _, l := range v.Lines {
		t.Logf("%-4s holds: %-5v %s: %s", l.ID, l.Holds, l.Name, l.Detail)
	}
	if !v.Holds() {
		t.Errorf("broken: %v", v.Broken())
	}
	return v
}

// P1, P2, P3, P5, P10: workers are killed at random moments under load. Longer runs: KILLS=200.
//
// Scorecard: S2, F18.
func TestKillAtRandomMoments(t *testing.T) {
	t.Parallel()
	s := newShift(t)
	for range number(t, "KILLS", 5) {
		s.publish(t, 100, 100*time.Millisecond)
		s.work(t, 60, func(r *replica, _ *verdict.Worker) { r.kill(t) })
	}
	v := s.finish(t)
	t.Logf("%d requests, %d kills, %d deliveries died with their workers", len(s.evidence.Requests), len(s.evidence.Workers)-1, v.Excused.Killed)
}

// P5, P8: SIGTERM under load, at random moments, to a process of its own, which may have little processor time.
// Longer runs: STOPS=200.
//
// Scorecard: S1, S5, F18, R19.
func TestStopAtRandomMoments(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{"as usual": {"GRACE=30s"}, "starved": {"GRACE=30s", "GOMAXPROCS=1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShift(t, env...)
			for range number(t, "STOPS", 5) {
				s.publish(t, 100, 100*time.Millisecond)
				s.work(t, 150, func(r *replica, life *verdict.Worker) {
					if name == "starved" {
						defer spin(t)()
					}
					life.Stopped = time.Now()
					s.publish(t, 20, 100*time.Millisecond) // more while it drains
					r.stop(t)
				})
			}
			if v := s.finish(t); s.count(servicebustest.EventLockExpired)+s.count(servicebustest.EventAbandoned) != 0 {
				t.Errorf("burned deliveries: %+v", v)
			}
		})
	}
}

// spin has processes take all processor time that they get, until the returned function is called.
func spin(t *testing.T) (end func()) {
	t.Helper()
	spinners := make([]*exec.Cmd, 4)
	for i := range spinners {
		spinners[i] = exec.CommandContext(t.Context(), "/bin/sh", "-c", "while :; do :; done")
		if err := spinners[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for _, c := range spinners {
			_ = c.Process.Kill()
			_ = c.Wait() // which says that it was killed
		}
	}
}
