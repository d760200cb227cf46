package servicebustest

import (
	"net"
	"sync"
	"time"
)

// trickle is a connection that writes in small pieces.
type trickle struct {
	net.Conn
	size   int
	pause  time.Duration
	closed chan struct{}
	once   sync.Once
}

func newTrickle(nc net.Conn, size int, pause time.Duration) *trickle {
	return &trickle{Conn: nc, size: size, pause: pause, closed: make(chan struct{})}
}

// Write implements net.Conn. A pause ends early when the connection is closed; a write deadline is not looked at
// before the next piece.
func (t *trickle) Write(b []byte) (written int, err error) {
	for len(b) > 0 {
		n, err := t.Conn.Write(b[:min(t.size, len(b))])
		written += n
		if err != nil {
			return written, err
		}
		if b = b[n:]; len(b) > 0 {
			t.rest()
		}
	}
	return written, nil
}

func (t *trickle) rest() {
	timer := time.NewTimer(t.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.closed:
	}
}

// Close implements net.Conn.
func (t *trickle) Close() error {
	t.once.Do(func() { close(t.closed) })
	return t.Conn.Close()
}
