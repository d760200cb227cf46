package worker

// Gathered writes. The SDK writes one frame at a time, and a settlement is a frame: each would be a system call of its own,
// a TLS record and a packet. Here frames queue, and go out together as soon as nothing else is ready to run, so a frame that
// is alone leaves at once and those of a busy moment share one write.

import (
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	// gatherLimit is how many bytes may wait for the network before a write waits for it too.
	gatherLimit = 64 << 10
	// lastWords bounds how long an end of the connection waits for what has been written before.
	lastWords = 500 * time.Millisecond
)

// gatheredConn is a connection whose writes return before their bytes are with the network. A write that fails ends the
// connection: its error is that of the next write, and the reader sees the end.
type gatheredConn struct {
	net.Conn
	more chan struct{} // has a token when pending has become something
	sent chan struct{} // has a token when pending has become less
	quit chan struct{} // closed by Close
	over chan struct{} // closed when the writer has ended
	once sync.Once

	mu       sync.Mutex
	pending  []byte    // to write, under mu
	deadline time.Time // of writes, under mu
	err      error     // of the last write, under mu
}

func newGatheredConn(conn net.Conn) *gatheredConn {
	c := &gatheredConn{Conn: conn, more: make(chan struct{}, 1), sent: make(chan struct{}, 1), quit: make(chan struct{}), over: make(chan struct{})}
	go c.run() // ends with the connection, which somebody closes
	return c
}

// Write implements net.Conn. What one call writes stays together.
func (c *gatheredConn) Write(p []byte) (int, error) {
	for waited := false; ; waited = true {
		c.mu.Lock()
		err, deadline := c.err, c.deadline
		room := len(c.pending) == 0 || len(c.pending)+len(p) <= gatherLimit
		if err == nil && room {
			c.pending = append(c.pending, p...)
		}
		c.mu.Unlock()
		switch {
		case err != nil:
			return 0, err
		case room:
			signal(c.more)
			if waited {
				signal(c.sent) // for the next one who waits
			}
			return len(p), nil
		}
		if err := c.wait(deadline); err != nil {
			return 0, err
		}
	}
}

// interject writes between the writes of the connection's owner, whose deadline may be long past.
func (c *gatheredConn) interject(p []byte, limit time.Duration) error {
	c.mu.Lock()
	if until := time.Now().Add(limit); !c.deadline.IsZero() && c.deadline.Before(until) {
		c.deadline = until
	}
	c.mu.Unlock()
	_, err := c.Write(p)
	return err
}

// wait waits until something has been sent.
func (c *gatheredConn) wait(deadline time.Time) error {
	var late <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-c.sent:
		return nil
	case <-c.over:
		return net.ErrClosed
	case <-late:
		return os.ErrDeadlineExceeded
	}
}

// run writes what is pending until the connection ends.
func (c *gatheredConn) run() {
	defer close(c.over)
	c.fail(c.write())
}

// fail is what writes come to from here on.
func (c *gatheredConn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *gatheredConn) write() error {
	var batch []byte
	for {
		select {
		case <-c.more:
		case <-c.quit:
		}
		runtime.Gosched() // whoever is about to write comes first
		c.mu.Lock()
		batch, c.pending = c.pending, batch[:0]
		deadline := c.deadline
		c.mu.Unlock()
		if len(batch) == 0 {
			if isOver(c.quit) {
				return net.ErrClosed
			}
			continue
		}
		_ = c.Conn.SetWriteDeadline(deadline) // without one the end of the connection bounds the write
		if _, err := c.Conn.Write(batch); err != nil {
			_ = c.Conn.Close()
			return err
		}
		signal(c.sent)
	}
}

// SetWriteDeadline implements net.Conn: it holds for the next write to the network.
func (c *gatheredConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return nil
}

// SetDeadline implements net.Conn.
func (c *gatheredConn) SetDeadline(t time.Time) error {
	_ = c.SetWriteDeadline(t)
	return c.SetReadDeadline(t)
}

// Close implements net.Conn. What has been written before goes first, if the network takes it soon.
func (c *gatheredConn) Close() error {
	c.once.Do(func() { close(c.quit) })
	limit := time.NewTimer(lastWords)
	defer limit.Stop()
	select {
	case <-c.over:
	case <-limit.C:
	}
	return c.Conn.Close()
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
