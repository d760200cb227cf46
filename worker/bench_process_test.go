package worker_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// process is another process of a benchmark: this test binary in one of its roles.
type process struct {
	b   *testing.B
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	end sync.Once
}

// startProcess starts a role and reads what it says first into hello. It ends with the benchmark.
func startProcess(b *testing.B, role string, hello any, env ...string) *process {
	b.Helper()
	p := &process{b: b, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(append(os.Environ(), roleVariable+"="+role), env...)
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	p.in, p.out = in, bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	b.Cleanup(p.stop)
	p.read(hello)
	return p
}

// ask gives a command and reads the answer into it.
func (p *process) ask(answer any, command string, args ...any) {
	p.b.Helper()
	if _, err := fmt.Fprintln(p.in, append([]any{command}, args...)...); err != nil {
		p.b.Fatal(err)
	}
	p.read(answer)
}

func (p *process) read(answer any) {
	p.b.Helper()
	if !p.out.Scan() {
		p.b.Fatalf("the other process is gone: %v", p.out.Err())
	}
	if err := json.Unmarshal(p.out.Bytes(), answer); err != nil {
		p.b.Fatalf("%v: %s", err, p.out.Bytes())
	}
}

// stop may be called before the benchmark ends, which stops all.
func (p *process) stop() {
	p.end.Do(func() {
		if err := p.in.Close(); err != nil {
			p.b.Error(err)
		}
		if err := p.cmd.Wait(); err != nil {
			p.b.Error(err)
		}
	})
}

func startServices(b *testing.B) (p *process, at addresses) {
	b.Helper()
	p = startProcess(b, "services", &at)
	return p, at
}
