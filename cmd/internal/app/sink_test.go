package app

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// stuck is where nothing can be written until it is released.
type stuck struct {
	bytes.Buffer
	release chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	return s.Buffer.Write(p)
}

func TestLogGoesThroughInOrder(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := NewSink(&out)
	var want strings.Builder
	for i := range sinkLines {
		line := fmt.Sprintln("line", i)
		want.WriteString(line)
		_, _ = s.Write([]byte(line))
	}
	s.Close()
	if out.String() != want.String() {
		t.Errorf("%d bytes written, want %d", out.Len(), want.Len())
	}
}

// Nobody who logs waits for a log that hangs, and what is lost by that is said.
//
// Scorecard: S7.
func TestLogThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{release: make(chan struct{})}
		s := NewSink(out)
		_, _ = s.Write([]byte("first\n"))
		synctest.Wait()
		for range sinkLines + 10 {
			_, _ = s.Write([]byte("line\n"))
		}
		s.Close() // and nobody who ends
		close(out.release)
		<-s.done
		if n := s.Dropped(); n != 10 {
			t.Errorf("%d lines dropped in all, want 10", n)
		}
		if !strings.Contains(out.String(), `"lines":10}`) || strings.Count(out.String(), "line\n") != sinkLines {
			t.Errorf("%d lines written, and %.200s", strings.Count(out.String(), "line\n"), out.String())
		}
	})
}

// failing refuses the first lines.
type failing struct {
	bytes.Buffer
	left int
}

func (f *failing) Write(p []byte) (int, error) {
	if f.left > 0 {
		f.left--
		return 0, errors.New("no space left on device")
	}
	return f.Buffer.Write(p)
}

func TestLinesThatCannotBeWrittenAreCounted(t *testing.T) {
	t.Parallel()
	out := &failing{left: 3}
	s := NewSink(out)
	for range 4 {
		_, _ = s.Write([]byte("line\n"))
	}
	s.Close()
	if out.String() != "line\n"+`{"level":"error","msg":"log lines were dropped, for they could not be written","lines":3}`+"\n" {
		t.Errorf("wrote %q", out.String())
	}
}
