//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/app"
	"batchterminator/worker/servicebustest"
)

// patience bounds every wait for a condition: it is for tests that fail.
const patience = time.Minute

// site is the two services on TCP loopback, for workers that are processes of their own. What is asserted comes from them.
type site struct {
	bus     *servicebustest.Server
	queue   *servicebustest.Queue
	account *batchtest.Account
	env     []string
}

// newSite has locks of 5 s, the shortest that Service Bus grants.
func newSite(t *testing.T, queue servicebustest.QueueConfig, env ...string) *site {
	t.Helper()
	queue.LockDuration = 5 * time.Second
	s := &site{account: batchtest.New()}
	s.bus = servicebustest.New(t, servicebustest.WithQueue(app.DefaultQueue, queue))
	if _, err := s.bus.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.account.Close)
	batch, err := s.account.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.queue = s.bus.Queue(app.DefaultQueue)
	s.env = append([]string{"SERVICEBUS_CONNECTION_STRING=" + s.bus.ConnectionString(), "BATCH_ENDPOINT=" + batch.Endpoint(), "LISTEN=127.0.0.1:0", "CONTROL=off"}, env...)
	return s
}

// replica is a worker in a process of its own.
type replica struct {
	*exec.Cmd
	log bytes.Buffer // to be read once it has ended
}

// start begins a worker whose log is kept.
func (s *site) start(t *testing.T) *replica {
	t.Helper()
	return s.startWith(t, nil)
}

// startWith re-enters the test binary under the command's name, as TestMain provides for. Its log goes to the file, if that
// is not nil.
func (s *site) startWith(t *testing.T, log *os.File) *replica {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{Cmd: exec.CommandContext(context.WithoutCancel(t.Context()), self)}
	r.Args, r.Env, r.Stderr = []string{name, "run"}, append(os.Environ(), s.env...), &r.log
	if log != nil {
		r.Stderr = log
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.Process.Kill() // it has ended, unless the test failed
		_ = r.Wait()
	})
	return r
}

func (r *replica) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := r.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// kill ends it as the kernel does, with everything it had in its hands.
func (r *replica) kill(t *testing.T) {
	t.Helper()
	r.signal(t, syscall.SIGKILL)
	_ = r.Wait() // which says that it was killed
}

// stop drains it, and fails the test if that goes wrong.
func (r *replica) stop(t *testing.T) {
	t.Helper()
	r.signal(t, syscall.SIGTERM)
	if err := r.Wait(); err != nil {
		t.Errorf("the worker ended with %v:\n%s", err, r.log.String())
	}
}

// send adds a running task and a request for it to the queue.
func (s *site) send(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		s.account.AddTask("j", id, batchtest.TaskRunning)
		if _, err := s.queue.Send(servicebustest.Message{ID: id, Body: fmt.Appendf(nil, `{"jobId":"j","taskId":%q}`, id)}); err != nil {
			t.Fatal(err)
		}
	}
}

// until waits for what changes with the queue.
func (s *site) until(t *testing.T, what string, reached func(servicebustest.Counts) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.queue.Wait(ctx, reached); err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// eventually waits for what nothing announces.
func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !reached() {
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, ctx.Err())
		}
	}
}

func empty(c servicebustest.Counts) bool { return c.Active+c.Locked+c.Scheduled+c.Deferred == 0 }

// count returns how many events of a kind the ledger holds.
func (s *site) count(kind servicebustest.EventKind) (n int) {
	for _, m := range s.queue.Ledger() {
		for _, e := range m.Events {
			if e.Kind == kind {
				n++
			}
		}
	}
	return n
}

// holds checks what must be true of every run: nothing lost and each message ended once (P1), one identity for all calls
// of a request (P3), no stray call (P6), and one effect for each task.
func (s *site) holds(t *testing.T) {
	t.Helper()
	for _, m := range s.queue.Ledger() {
		ends := 0
		for _, e := range m.Events {
			if e.Kind == servicebustest.EventCompleted || e.Kind == servicebustest.EventDeadLettered {
				ends++
			}
		}
		if ends != 1 {
			t.Errorf("P1: message %s ended %d times: %+v", m.MessageID, ends, m.Events)
		}
	}
	ids := map[string]string{}
	for _, c := range s.account.Calls() {
		id := c.Header.Get("client-request-id")
		if before, again := ids[c.TaskID]; again && before != id {
			t.Errorf("P3: task %s was called as %s and as %s", c.TaskID, before, id)
		}
		ids[c.TaskID] = id
		if n := s.account.Terminations("j", c.TaskID); n != 1 {
			t.Errorf("task %s was terminated %d times", c.TaskID, n)
		}
	}
	for _, c := range s.account.Strays() {
		t.Errorf("P6: stray call %s %s", c.Method, c.Path)
	}
}
