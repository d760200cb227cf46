//go:build unix

package main

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"batchterminator/cmd/internal/app"
	"batchterminator/worker/servicebustest"
)

// process is the command as a process of its own, whose log is read line by line.
type process struct {
	*exec.Cmd
	log *bufio.Scanner
	all strings.Builder
}

// start re-enters the test binary under the command's name, as TestMain provides for.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(t.Context(), self)}
	p.Args = append([]string{name}, args...)
	p.Env = append(os.Environ(), env...)
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.log = bufio.NewScanner(stderr)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// until reads the log to the first line with the text.
func (p *process) until(t *testing.T, text string) {
	t.Helper()
	for p.log.Scan() {
		p.all.WriteString(p.log.Text() + "\n")
		if strings.Contains(p.log.Text(), text) {
			return
		}
	}
	t.Fatalf("the log ended before %q:\n%s", text, p.all.String())
}

// end reads the rest of the log and returns the exit code.
func (p *process) end(t *testing.T) int {
	t.Helper()
	for p.log.Scan() {
		p.all.WriteString(p.log.Text() + "\n")
	}
	err := p.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return exitOK
}

// held is a process with one request under way that never ends by itself.
func held(t *testing.T) *process {
	t.Helper()
	arrived := make(chan struct{}, 1)
	// A Batch that accepts the call and does not answer until its client has gone.
	batch := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case arrived <- struct{}{}:
		default:
		}
		<-r.Context().Done()
	}))
	t.Cleanup(batch.Close)
	b := servicebustest.New(t, servicebustest.WithQueue(app.DefaultQueue, servicebustest.QueueConfig{}))
	if _, err := b.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Queue(app.DefaultQueue).Send(servicebustest.Message{ID: "m", Body: []byte(`{"jobId":"j","taskId":"t"}`)}); err != nil {
		t.Fatal(err)
	}
	p := start(t, []string{"SERVICEBUS_CONNECTION_STRING=" + b.ConnectionString(), "BATCH_ENDPOINT=" + batch.URL, "LISTEN=127.0.0.1:0", "CONTROL=off", "GRACE=7s"}, "run")
	<-arrived
	return p
}

// Promise P8: the first signal drains within the grace period, and hands back what does not finish.
func TestFirstSignalDrains(t *testing.T) {
	t.Parallel()
	p := held(t)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != exitOK || !strings.Contains(p.all.String(), `"msg":"drained","finished":0,"handed_back":1,"left_to_their_locks":0`) {
		t.Errorf("exit code %d:\n%s", code, p.all.String())
	}
}

func TestSecondSignalExitsAtOnce(t *testing.T) {
	t.Parallel()
	p := held(t)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.until(t, "draining")
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != exitFailed || strings.Contains(p.all.String(), `"msg":"drained"`) {
		t.Errorf("exit code %d:\n%s", code, p.all.String())
	}
}
