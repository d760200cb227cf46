//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// morgue is a site with dead letters of two jobs: wanted ones, and others in the way of each tenth.
func morgue(t *testing.T, wanted int, queue servicebustest.QueueConfig) *site {
	t.Helper()
	queue.DeadLetterOnExpiration = true
	s := newSite(t, queue)
	for i := range wanted {
		jobs := []string{"wanted"}
		if i%10 == 0 {
			jobs = []string{"other", "wanted"}
		}
		for _, job := range jobs {
			body := fmt.Appendf(nil, `{"jobId":%q,"taskId":"t-%d"}`, job, i)
			if _, err := s.queue.Send(servicebustest.Message{ID: fmt.Sprintf("%s-%d", job, i), Body: body, TTL: time.Millisecond}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.until(t, "dead letters", func(c servicebustest.Counts) bool { return c.DeadLettered == wanted+(wanted+9)/10 })
	return s
}

// resubmit is the command that takes the wanted ones back, as a process.
func (s *site) resubmit(t *testing.T, flags ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = append([]string{name, "dlq", "resubmit", "--job=wanted", "--rate=0", "-o", "json"}, flags...)
	cmd.Env, cmd.Stdout = append(os.Environ(), s.env...), &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended, unless the test failed
	})
	return cmd, &out
}

// tally ends a run that has to go well, and returns what it says.
func tally(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer) (r worker.Tally) {
	t.Helper()
	if err := cmd.Wait(); err != nil {
		t.Errorf("resubmit ended with %v: %s", err, out)
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

// free tells whether nothing in the dead-letter queue is locked.
func (s *site) free() bool {
	return !slices.ContainsFunc(s.queue.DeadLettered(), func(m servicebustest.StoredMessage) bool { return m.State == servicebustest.Locked })
}

// accounted checks the ledger of the broker: each wanted request is in the queue once, under its own id, and the others are
// where they were.
func (s *site) accounted(t *testing.T, wanted int) {
	t.Helper()
	requests := map[any]int{}
	for _, m := range s.queue.Messages() {
		requests[m.Properties["bt-request-id"]]++
	}
	for i := range wanted {
		if n := requests[fmt.Sprintf("wanted-%d", i)]; n != 1 {
			t.Errorf("request wanted-%d is in the queue %d times", i, n)
		}
	}
	if len(requests) != wanted {
		t.Errorf("%d requests in the queue, want %d", len(requests), wanted)
	}
	dead := s.queue.DeadLettered()
	for _, m := range dead {
		if !strings.HasPrefix(m.ID, "other-") || m.DeliveryCount != 0 {
			t.Errorf("%s is still in the dead-letter queue, after %d deliveries", m.ID, m.DeliveryCount)
		}
	}
	if len(dead) != (wanted+9)/10 {
		t.Errorf("%d dead letters, want %d", len(dead), (wanted+9)/10)
	}
}

// step is where a run is held until it is killed.
type step struct {
	op    servicebustest.Op
	match func(servicebustest.Call) bool
	skip  int64 // how often it may pass before
	sent  bool  // copies are in the queue whose dead letters are still there
}

func settling(kind string) func(servicebustest.Call) bool {
	return func(c servicebustest.Call) bool { return c.Settlement == kind }
}

func operation(name string) func(servicebustest.Call) bool {
	return func(c servicebustest.Call) bool { return strings.HasSuffix(c.Operation, name) }
}

var steps = map[string]step{
	"while it looks":                    {servicebustest.Reply, operation("peek-message"), 3, false},
	"while it opens the receiver":       {servicebustest.Flow, nil, 0, false},
	"after a receive":                   {servicebustest.Send, nil, 0, false},
	"while copies are sent":             {servicebustest.Send, nil, 500, false},
	"between copy and completion":       {servicebustest.Settle, settling("complete"), 500, true},
	"between completion and its answer": {servicebustest.SettleEcho, settling("complete"), 500, false},
	"with nearly all done":              {servicebustest.SettleEcho, settling("complete"), 990, false},
	"while it hands back":               {servicebustest.Management, operation("update-disposition"), 20, false},
}

// P1: a resubmit of a thousand is killed at each of its steps, and the next run makes the count right: what went in came
// out, once, whether or not the queue detects duplicates.
//
// Scorecard: F18, S2, R29.
func TestKilledResubmitLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for name, at := range steps {
		for _, detection := range []bool{false, true} {
			all.Go(func() {
				t.Run(fmt.Sprintf("%s, duplicate detection %v", name, detection), func(t *testing.T) {
					const wanted = 1000
					s := morgue(t, wanted, servicebustest.QueueConfig{RequiresDuplicateDetection: detection})
					at.kill(t, s)
					second, out := s.resubmit(t)
					r := tally(t, second, out)
					if r.Found != r.Resubmitted+r.SentBefore || r.Left != 0 || r.Unverified || at.sent && r.SentBefore == 0 {
						t.Errorf("the second run says %+v", r)
					}
					s.accounted(t, wanted)
					eventually(t, "the end of the locks of who was killed", s.free)
				})
			})
		}
	}
	all.Wait()
}

// kill runs a resubmit into the step, where its calls go unanswered, and kills it there.
func (at step) kill(t *testing.T, s *site) {
	t.Helper()
	var passed atomic.Int64
	rule := s.keep(at.op, servicebustest.Swallow(), servicebustest.When(func(c servicebustest.Call) bool {
		return (at.match == nil || at.match(c)) && passed.Add(1) > at.skip
	}))
	first, _ := s.resubmit(t)
	eventually(t, at.op.String(), func() bool { return rule.Fired() > 0 })
	_ = first.Process.Signal(syscall.SIGKILL)
	_ = first.Wait() // which says that it was killed
	eventually(t, "the end of its connections", func() bool { return s.bus.Connections() == 0 })
	rule.Remove()
}

// A person presses Ctrl-C twice over: each run says exactly what it did, and the sum is what there was.
func TestInterruptedResubmitCountsExactly(t *testing.T) {
	t.Parallel()
	const wanted = 300
	s := morgue(t, wanted, servicebustest.QueueConfig{})
	done := 0
	for range 2 {
		before := s.queue.Counts().DeadLettered
		cmd, out := s.resubmit(t, "--rate=100")
		s.until(t, "some progress", func(c servicebustest.Counts) bool { return c.DeadLettered <= before-50 })
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitFailed {
			t.Errorf("an interrupted run ended with %v", err)
		}
		var r errandReport
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		done += r.Resubmitted
		if gone := before - s.queue.Counts().DeadLettered; r.Resubmitted != gone || r.Left != wanted-done || r.LeftSent != 0 || r.Error == "" {
			t.Errorf("it says %+v, and %d have gone", r, gone)
		}
		if n := s.queue.Counts(); n.Active != done || !s.free() {
			t.Errorf("%d in the queue, want %d, and no dead letter locked", n.Active, done)
		}
	}
	cmd, out := s.resubmit(t)
	if r := tally(t, cmd, out); r.Resubmitted != wanted-done || r.Found != wanted-done {
		t.Errorf("the last run says %+v, want %d", r, wanted-done)
	}
	s.accounted(t, wanted)
}
