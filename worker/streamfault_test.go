package worker_test

// The stream of bytes between worker and broker may end at any of them.

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"batchterminator/worker/servicebustest"
)

// stream is a connection whose bytes are counted, and cut off, in either direction.
type stream struct {
	net.Conn
	read, written atomic.Int64
	onRead        func(s *stream, p []byte) (int, error)
	onWrite       func(s *stream, p []byte) (int, error)
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if s.onRead != nil && err == nil {
		n, err = s.onRead(s, p[:n])
	}
	s.read.Add(int64(n))
	return n, err
}

func (s *stream) Write(p []byte) (n int, err error) {
	if s.onWrite != nil {
		n, err = s.onWrite(s, p)
	} else {
		n, err = s.Conn.Write(p)
	}
	s.written.Add(int64(n))
	return n, err
}

// firstStream has the first connection go through a stream, and the others not.
func firstStream(made *stream) option {
	return func(s *stack) {
		dial, dialled := s.dial, false
		s.config.Concurrency = 1 // one caller at a time meets the fault, or the SDK's locks stop the clock
		s.dial = func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			if err != nil || dialled {
				return conn, err
			}
			dialled = true
			made.Conn = conn
			return made, nil
		}
	}
}

// afterIncoming and afterOutgoing end a connection as a reset does, after so many bytes.
func afterIncoming(limit int) *stream {
	return &stream{onRead: func(s *stream, p []byte) (int, error) {
		if left := limit - int(s.read.Load()); left < len(p) {
			_ = s.Close()
			return max(left, 0), net.ErrClosed
		}
		return len(p), nil
	}}
}

func afterOutgoing(limit int) *stream {
	return &stream{onWrite: func(s *stream, p []byte) (int, error) {
		left := limit - int(s.written.Load())
		if left >= len(p) {
			return s.Conn.Write(p)
		}
		n, _ := s.Conn.Write(p[:max(left, 0)])
		_ = s.Close()
		return n, net.ErrClosed
	}}
}

// Scorecard: A1, F12.
func TestConnectionIsResetAtAnyByte(t *testing.T) {
	t.Parallel()
	step := 61
	if os.Getenv("EVERY_BYTE") != "" {
		step = 1
	}
	session := &stream{}
	oneSession(t, session)
	in, out := int(session.read.Load()), int(session.written.Load())
	if in < 1000 || out < 1000 {
		t.Fatalf("a session of %d bytes in and %d out", in, out)
	}
	t.Logf("%d bytes in and %d out, each %d tried", in, out, step)
	for at := 0; at <= in; at += step {
		t.Run(fmt.Sprintf("in/%d", at), func(t *testing.T) { t.Parallel(); oneSession(t, afterIncoming(at)) })
	}
	for at := 0; at <= out; at += step {
		t.Run(fmt.Sprintf("out/%d", at), func(t *testing.T) { t.Parallel(); oneSession(t, afterOutgoing(at)) })
	}
}

// oneSession has two requests done over a connection that fails and those after it.
func oneSession(t *testing.T, first *stream) {
	t.Helper()
	inBubble(t, servicebustest.QueueConfig{LockDuration: 10 * time.Second}, func(t *testing.T, s *stack) {
		s.task(t, "a", "b")
		begun := time.Now()
		s.until(t, time.Minute, "an empty queue", empty)
		for _, id := range []string{"a", "b"} {
			equal(t, "terminations of "+id, s.account.Terminations("j", id), 1)
		}
		if took := time.Since(begun); took > 25*time.Second { // a lock that was lost on the wire, and the way back
			t.Errorf("took %v", took)
		}
	}, firstStream(first))
}
