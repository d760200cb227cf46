package worker_test

import (
	"context"
	"net"
	"testing"
	"time"

	"batchterminator/worker/servicebustest"
)

// P5: whatever is on the wire at the stop signal reaches the worker before its link closes. The signal falls into every
// part of the way from the broker to the worker.
func TestDrainWaitsForWhatIsOnTheWire(t *testing.T) {
	t.Parallel()
	const oneWay = 20 * time.Millisecond
	for after := time.Duration(0); after <= 4*oneWay; after += oneWay / 4 {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				time.Sleep(10 * time.Second) // connected, with credit out on an empty queue
				s.task(t, "a", "b", "c", "d", "e")
				time.Sleep(after)
				report := s.end()
				equal(t, "locked after the drain", s.queue.Counts().Locked, 0)
				equal(t, "left", report.Left, 0)
				s.start(t)
				s.until(t, 10*time.Minute, "an empty queue", empty)
				equal(t, "burned deliveries", s.burned(), 0)
			}, func(s *stack) { s.dial = distant(s.bus.Dial, oneWay) })
		})
	}
}

// P5: what arrives after the stop signal is worked on or stays in the queue, whenever it arrives: the credit that was out
// is withdrawn before the link closes. Without that, whatever the broker sends in the link's last round trip stays locked.
//
// Scorecard: F9, R22.
func TestDrainWithdrawsItsCredit(t *testing.T) {
	t.Parallel()
	const oneWay = 20 * time.Millisecond
	for after := time.Duration(0); after < 600*time.Millisecond; after += oneWay / 2 {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				time.Sleep(10 * time.Second) // connected, with credit out on an empty queue
				s.stop()
				time.Sleep(after)
				s.task(t, "a")
				equal(t, "left", s.end().Left, 0)
				equal(t, "locked after the drain", s.queue.Counts().Locked, 0)
				s.start(t)
				s.until(t, 10*time.Minute, "an empty queue", empty)
				equal(t, "burned deliveries", s.burned(), 0)
			}, func(s *stack) { s.dial = distant(s.bus.Dial, oneWay) })
		})
	}
}

// distant puts a line of some length between client and broker: what is on it is neither here nor there.
func distant(dial func(context.Context) (net.Conn, error), oneWay time.Duration) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		far, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		near, end := net.Pipe()
		go carry(far, end, oneWay)
		go carry(end, far, oneWay)
		return near, nil
	}
}

func carry(from, to net.Conn, oneWay time.Duration) {
	type parcel struct {
		data []byte
		due  time.Time
	}
	line := make(chan parcel, 10_000)
	go func() {
		defer func() { _ = to.Close() }()
		for p := range line {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close()
			}
		}
	}()
	defer close(line)
	for {
		buf := make([]byte, 64<<10)
		n, err := from.Read(buf)
		if n > 0 {
			line <- parcel{buf[:n], time.Now().Add(oneWay)}
		}
		if err != nil {
			return
		}
	}
}
