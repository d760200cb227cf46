package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"batchterminator/cmd/sandbox/verdict"
)

// fleet is the worker's processes. One goroutine starts and stops them.
type fleet struct {
	env     []string
	logs    string // directory for their logs, "" for none
	started int
	readers sync.WaitGroup // one for each child

	mu sync.Mutex
	// running are those that have not been told to end, by age; under mu, written by the goroutine that starts and stops.
	running  []*child
	lives    []verdict.Worker // of those that have ended, under mu; their readers write it
	recorded int              // outcomes of all, under mu
	problems []string         // under mu; likewise
}

// add starts one more worker.
func (f *fleet) add() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	f.started++
	c := &child{name: fmt.Sprintf("worker-%03d", f.started), cmd: exec.Command(self), ended: make(chan struct{})} //nolint:gosec // G204: this program itself
	c.cmd.Args, c.cmd.Env = []string{"sandbox", "worker"}, f.env
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	stderr, err := c.cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	var log io.WriteCloser
	if f.logs != "" {
		if log, err = os.Create(filepath.Join(f.logs, c.name+".log")); err != nil {
			return fmt.Errorf("--logs: %w", err)
		}
	}
	c.started = time.Now()
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start a worker: %w", err)
	}
	f.mu.Lock()
	f.running = append(f.running, c)
	f.mu.Unlock()
	f.readers.Go(func() { f.follow(c, stderr, log) })
	return nil
}

// fill starts so many workers.
func (f *fleet) fill(n int) error {
	for range n {
		if err := f.add(); err != nil {
			return err
		}
	}
	return nil
}

// all are those that have not been told to end.
func (f *fleet) all() []*child {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.running)
}

func (f *fleet) record() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recorded++
}

// records returns how many outcomes were recorded so far.
func (f *fleet) records() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.recorded
}

// alive returns the lives of all, those that go on as if they ended well just now.
func (f *fleet) alive() []verdict.Worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, now := slices.Clone(f.lives), time.Now()
	for _, c := range f.running {
		all = append(all, verdict.Worker{Started: c.started, Stopped: now, Ended: now, Said: "goes on"})
	}
	return all
}

// trouble notes what must not happen.
func (f *fleet) trouble(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.problems = append(f.problems, what)
}

// awake are the workers that a signal reaches.
func (f *fleet) awake() []*child {
	return slices.DeleteFunc(f.all(), func(c *child) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.frozen
	})
}

// stop tells one to drain.
func (f *fleet) stop(c *child) { f.end(c, syscall.SIGTERM, func() { c.stopped = time.Now() }) }

// kill ends one without a word.
func (f *fleet) kill(c *child) {
	f.end(c, os.Kill, func() { c.killed = true })
	<-c.ended
}

func (f *fleet) end(c *child, signal os.Signal, note func()) {
	f.mu.Lock()
	f.running = slices.DeleteFunc(f.running, func(other *child) bool { return other == c })
	f.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	note()
	_ = c.cmd.Process.Signal(signal) // one that has ended by itself is reported as such
}

// close has all drain and waits for them; those of an aborted run just end with their standard input.
func (f *fleet) close(drain bool) {
	for _, c := range f.all() {
		if drain {
			f.stop(c)
			continue
		}
		c.mu.Lock()
		c.killed = true
		c.mu.Unlock()
		_ = c.stdin.Close()
	}
	f.readers.Wait()
}
