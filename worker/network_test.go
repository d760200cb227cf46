package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"batchterminator/worker/servicebustest"
)

// after lets ten requests be done under a fault that is on already, ends the fault, and lets ten more be done at the usual
// speed.
func (s *stack) after(t *testing.T, limit time.Duration, end func()) {
	t.Helper()
	for i := range 10 {
		s.task(t, fmt.Sprint("t", i))
	}
	time.Sleep(limit)
	end()
	s.until(t, 10*time.Minute, "an empty queue", empty)
	for i := 10; i < 20; i++ {
		s.task(t, fmt.Sprint("t", i))
	}
	s.until(t, time.Minute, "an empty queue", empty)
	for i := range 20 {
		equal(t, "terminations", s.account.Terminations("j", fmt.Sprint("t", i)), 1)
	}
	equal(t, "dead letters", s.deadLetters(), nil)
}

// Scorecard: A10, F13.
func TestSlowBrokerCostsTimeAlone(t *testing.T) {
	t.Parallel()
	ops := []servicebustest.Op{servicebustest.CBS, servicebustest.Attach, servicebustest.Deliver, servicebustest.Settle, servicebustest.RenewLock, servicebustest.Send}
	for _, each := range []time.Duration{200 * time.Millisecond, 1500 * time.Millisecond, 20 * time.Second} {
		t.Run("each answer "+each.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				var slow []*servicebustest.Injection
				for _, op := range ops {
					slow = append(slow, s.bus.OnNext(op, servicebustest.Delay(each), servicebustest.Keep()))
				}
				s.after(t, 5*time.Minute, func() {
					for _, injection := range slow {
						injection.Remove()
					}
				})
			})
		})
	}
	for name, fault := range map[string]servicebustest.Fault{
		"a byte at a time": servicebustest.Trickle(1, time.Millisecond), "ten bytes at a time": servicebustest.Trickle(10, 20*time.Millisecond),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				trickle := s.bus.OnNext(servicebustest.Connect, fault, servicebustest.Keep())
				s.bus.DropConnections()
				s.after(t, 5*time.Minute, func() { trickle.Remove(); s.bus.DropConnections() })
			})
		})
	}
	t.Run("transfers in pieces", func(t *testing.T) {
		t.Parallel()
		inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
			pieces := s.bus.OnNext(servicebustest.Deliver, servicebustest.SlowTransfer(5, 2*time.Second), servicebustest.Keep())
			s.after(t, 5*time.Minute, pieces.Remove)
			equal(t, "burned deliveries", s.burned(), 0)
		})
	})
}

// Scorecard: F4, A11.
func TestRefusedTokensAreWaitedOut(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]servicebustest.Fault{
		"refused": servicebustest.Fail("amqp:unauthorized-access", "401"), "not found": servicebustest.Fail("amqp:not-found", "404"),
		"failing": servicebustest.Fail("amqp:internal-error", "500"), "unanswered": servicebustest.Swallow(), "cut": servicebustest.DropConnection(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				rule := s.bus.OnNext(servicebustest.CBS, fault, servicebustest.Keep())
				s.bus.DropConnections()
				time.Sleep(time.Minute)
				equal(t, "attached", s.status().Attached, false)
				s.after(t, 5*time.Minute, func() { rule.Remove() })
				equal(t, "attached", s.status().Attached, true)
				equal(t, "burned deliveries", s.burned(), 0)
			})
		})
	}
}

// Scorecard: A12.
func TestNetworkThatLeadsNowhereIsTriedUntilItLeadsSomewhere(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]func(context.Context) (net.Conn, error){
		"unknown name": func(context.Context) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		},
		"refused":    func(context.Context) (net.Conn, error) { return nil, errors.New("connection refused") },
		"black hole": func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
		"another host": func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			_ = far.Close()
			return near, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				time.Sleep(10 * time.Second)
				var dials atomic.Int32
				elsewhere := func(ctx context.Context) (net.Conn, error) { dials.Add(1); return dial(ctx) }
				s.network.Store(&elsewhere)
				s.bus.DropConnections()
				s.after(t, 10*time.Minute, func() { s.network.Store(nil) })
				if n := dials.Load(); n < 10 || n > 100 {
					t.Errorf("%d dials in ten minutes", n)
				}
				equal(t, "burned deliveries", s.burned(), 0)
			})
		})
	}
}

// spoiled reads like its connection until it is told to read something else.
type spoiled struct {
	net.Conn
	spoil *atomic.Pointer[string]
}

func (c spoiled) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if odd := c.spoil.Swap(nil); odd != nil && err == nil {
		n = copy(p, *odd)
	}
	return n, err
}

// Fuzzing would find more, but not about the worker: go-amqp panics, on a goroutine of its own, over a disposition of what it
// sent that tells no outcome. Peek-lock makes that end of the process safe.
//
// Scorecard: A13.
func TestBytesThatAreNoFramesCostAConnection(t *testing.T) {
	t.Parallel()
	for name, odd := range map[string]string{
		"garbage":         "\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef",
		"huge length":     "\xff\xff\xff\xff\x02\x00\x00\x00\x00\x53\x14",
		"length of less":  "\x00\x00\x00\x02\x02\x00\x00\x00",
		"unknown type":    "\x00\x00\x00\x0c\x02\x77\x00\x00\x00\x53\x14\xc0",
		"unknown channel": "\x00\x00\x00\x0c\x02\x00\x7f\xff\x00\x53\x17\x45",
		"unknown frame":   "\x00\x00\x00\x0c\x02\x00\x00\x00\x00\x53\x7f\x45",
		"cut list":        "\x00\x00\x00\x0e\x02\x00\x00\x01\x00\x53\x14\xc0\xff\xff",
		"empty transfer":  "\x00\x00\x00\x0c\x02\x00\x00\x01\x00\x53\x14\x45",
		"an HTTP answer":  "HTTP/1.1 400 Bad Request\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var spoil atomic.Pointer[string]
			inBubble(t, servicebustest.QueueConfig{LockDuration: 30 * time.Second}, func(t *testing.T, s *stack) {
				time.Sleep(10 * time.Second)
				spoil.Store(&odd)
				s.after(t, 5*time.Minute, func() { spoil.Store(&odd) })
				if spoil.Load() != nil {
					t.Error("nothing was spoiled")
				}
			}, func(s *stack) {
				dial := s.dial
				s.dial = func(ctx context.Context) (net.Conn, error) {
					conn, err := dial(ctx)
					if err != nil {
						return nil, err
					}
					return spoiled{conn, &spoil}, nil
				}
			})
		})
	}
}
