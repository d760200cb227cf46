package worker_test

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"batchterminator/worker/servicebustest"
)

// Dialling fails in every way it can, at the start and amid work; what is dialled in the end is what there is by then.
// Scorecard: A12.
func TestBrokerThatCannotBeDialledIsFoundOnceItCan(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]func(context.Context) (net.Conn, error){
		"name does not resolve": func(context.Context) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "contoso.servicebus.windows.net", IsNotFound: true}
		},
		"port refuses":  refused,
		"dial vanishes": blackHole,
		"peer hangs up": func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			return ours, theirs.Close()
		},
		"peer says nothing": func(ctx context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			context.AfterFunc(ctx, func() { _ = theirs.Close() })
			go func() { _, _ = theirs.Read(make([]byte, 8)) }()
			return ours, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				heal := s.dialTo(dial)
				s.bus.DropConnections()
				s.task(t, "a", "b", "c")
				time.Sleep(20 * time.Minute)
				equal(t, "calls meanwhile", s.account.CallCount(), 0)
				heal()
				s.until(t, time.Minute, "an empty queue", empty)
				equal(t, "calls", s.account.CallCount(), 3)
				equal(t, "burned", s.burned(), 0)
			}, func(s *stack) { s.config.Concurrency = 1 })
		})
	}
}

// Scorecard: F4, A5, A11.
func TestTokenThatIsNotTakenIsShownAgain(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]servicebustest.Fault{
		"refused":    servicebustest.Fail("amqp:unauthorized-access", "40103: no valid token"),
		"unanswered": servicebustest.Swallow(),
		"late":       servicebustest.Delay(10 * time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				heal := s.strike(servicebustest.CBS, fault)
				s.bus.DropConnections()
				s.task(t, "a", "b", "c")
				time.Sleep(20 * time.Minute)
				heal()
				s.until(t, time.Minute, "an empty queue", empty)
				equal(t, "calls", s.account.CallCount(), 3)
				equal(t, "burned", s.burned(), 0)
			}, func(s *stack) { s.config.Concurrency = 1 })
		})
	}
}

// oddFrames are what no broker sends. More of it would be found by fuzzing, but not about the worker: go-amqp itself panics,
// on a goroutine of its own, over a disposition of a message that was sent that tells no outcome. Peek-lock makes the
// end of the process safe, and TLS makes such frames the broker's own.
var oddFrames = map[string][]byte{
	"garbage":            bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, 64),
	"a huge length":      {0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0},
	"a length below 8":   {0, 0, 0, 4, 2, 0, 0, 0},
	"an unknown type":    {0, 0, 0, 12, 2, 9, 0, 0, 0, 0x53, 0x10, 0x45},
	"an unknown channel": {0, 0, 0, 12, 2, 0, 0x7f, 0xff, 0, 0x53, 0x13, 0x45},
	"an unknown body":    {0, 0, 0, 12, 2, 0, 0, 0, 0, 0x53, 0x77, 0x45},
	"a cut body":         {0, 0, 0, 14, 2, 0, 0, 0, 0, 0x53, 0x14, 0xd0, 0xff, 0xff},
	"a doff beyond it":   {0, 0, 0, 12, 200, 0, 0, 0, 0, 0x53, 0x10, 0x45},
	"HTTP":               []byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
	"an old protocol":    []byte("AMQP\x00\x00\x09\x01"),
	"nothing":            {},
}

// injecting puts bytes into what the worker reads, after so many of the broker's, at the end of a frame or anywhere.
func injecting(odd []byte, after int) *stream {
	s := &stream{}
	s.onRead = func(s *stream, p []byte) (int, error) {
		if at := after - int(s.read.Load()); at >= 0 && at <= len(p) {
			n := copy(p[at:cap(p)], odd)
			return at + n, nil
		}
		return len(p), nil
	}
	return s
}

// Scorecard: A13.
func TestFramesThatNoBrokerSendsCostAClient(t *testing.T) {
	t.Parallel()
	for name, odd := range oddFrames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, after := range []int{0, 8, 700, 2500, 4000} {
				oneSession(t, injecting(odd, after))
			}
		})
	}
}
