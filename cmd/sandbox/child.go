package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"batchterminator/cmd/sandbox/verdict"
)

// child is one process.
type child struct {
	name    string
	cmd     *exec.Cmd
	stdin   io.Closer // open while this program lives
	started time.Time
	ended   chan struct{} // closed when nothing of it runs any more

	mu      sync.Mutex
	stopped time.Time // when it was told to drain, under mu
	killed  bool      // under mu
	frozen  bool      // under mu
	address string    // of its metrics, "" before it has said so; under mu
}

// follow reads the log of one worker to its end, and notes how that came.
func (f *fleet) follow(c *child, stderr io.Reader, log io.WriteCloser) {
	defer close(c.ended)
	last := ""
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadBytes('\n')
		if log != nil {
			_, _ = log.Write(line) // a log that cannot be kept is no reason to stop
		}
		switch {
		case bytes.Contains(line, []byte(`"msg":"delivery"`)):
			f.record()
		case err == nil:
			last = c.hear(line, last)
		}
		if err != nil {
			break
		}
	}
	if log != nil {
		_ = log.Close()
	}
	err := c.cmd.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lives = append(f.lives, verdict.Worker{Started: c.started, Stopped: c.stopped, Ended: time.Now(), Said: last})
	if !c.killed && (err != nil || c.stopped.IsZero()) {
		f.problems = append(f.problems, fmt.Sprintf("%s ended by itself (%v): %s", c.name, c.cmd.ProcessState, last))
	}
}

// hear takes what it needs from a line of the log, and returns the last that is worth repeating.
func (c *child) hear(line []byte, last string) string {
	var said struct {
		Message    string `json:"msg"`
		Address    string `json:"address"`
		Finished   int    `json:"finished"`
		HandedBack int    `json:"handed_back"`
		Left       int    `json:"left_to_their_locks"`
	}
	if json.Unmarshal(line, &said) != nil {
		return string(bytes.TrimSpace(line)) // a panic, or a complaint about the settings
	}
	if said.Address != "" {
		c.mu.Lock()
		c.address = said.Address
		c.mu.Unlock()
	}
	if said.Message == "drained" {
		return fmt.Sprintf("%d finished, %d handed back, %d left", said.Finished, said.HandedBack, said.Left)
	}
	return last
}

// freeze has one stand still until thaw, as a machine that is moved does.
func (c *child) freeze(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = on
	signal := thaw
	if on {
		signal = freeze
	}
	_ = c.cmd.Process.Signal(signal)
}
