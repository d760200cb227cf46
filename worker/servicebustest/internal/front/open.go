package front

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// Patience is the time a client has until it is clear what it speaks, a TLS handshake included.
const Patience = 10 * time.Second

// ErrNoTLS refuses a TLS client where no certificate is.
var ErrNoTLS = errors.New("TLS is not served here")

// Open finds out what the client at the other end of nc speaks, AMQP or HTTP, and returns the connection to speak it
// on. With an error nc is closed. It is closed too when ctx ends first. Without certificates TLS is refused.
func Open(ctx context.Context, nc net.Conn, certificates *tls.Config) (net.Conn, Protocol, error) {
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	opened, protocol, err := open(ctx, nc, certificates)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = nc.Close() // the error says why
		return nil, Undecided, fmt.Errorf("open: %w", err)
	}
	return opened, protocol, nil
}

func open(ctx context.Context, nc net.Conn, certificates *tls.Config) (net.Conn, Protocol, error) {
	if err := nc.SetDeadline(time.Now().Add(Patience)); err != nil {
		return nil, Undecided, err
	}
	opened, protocol, err := sniff(nc)
	if err == nil && protocol == secure {
		opened, protocol, err = unwrap(ctx, opened, certificates)
	}
	if err != nil {
		return nil, Undecided, err
	}
	return opened, protocol, nc.SetDeadline(time.Time{})
}

// unwrap takes the TLS off. TLS inside TLS is nobody's protocol.
func unwrap(ctx context.Context, nc net.Conn, certificates *tls.Config) (net.Conn, Protocol, error) {
	if certificates == nil {
		return nil, Undecided, ErrNoTLS
	}
	inner := tls.Server(nc, certificates)
	if err := inner.HandshakeContext(ctx); err != nil {
		return nil, Undecided, err
	}
	opened, protocol, err := sniff(inner)
	if err == nil && protocol == secure {
		err = errors.New("TLS inside TLS")
	}
	return opened, protocol, err
}

// sniff reads until the protocol is clear.
func sniff(nc net.Conn) (net.Conn, Protocol, error) {
	first := make([]byte, 0, len(protocolName))
	for {
		n, err := nc.Read(first[len(first):cap(first)])
		first = first[:len(first)+n]
		if protocol := detect(first); protocol != Undecided {
			return &replayed{Conn: nc, first: first}, protocol, nil
		}
		if err != nil {
			return nil, Undecided, fmt.Errorf("after %d bytes: %w", len(first), err)
		}
	}
}

// replayed gives its reader what was read already. Reading has one goroutine at a time, as on any connection.
type replayed struct {
	net.Conn
	first []byte
}

func (c *replayed) Read(p []byte) (int, error) {
	if len(c.first) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.first)
	c.first = c.first[n:]
	return n, nil
}

// state is the connection's TLS, nil without.
func (c *replayed) state() *tls.ConnectionState {
	inner, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	state := inner.ConnectionState()
	return &state
}
