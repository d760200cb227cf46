package worker

// The connection that the SDK speaks AMQP on is ours: it is dialled within a bound, which the SDK's own is not; a peer that
// has vanished is found in seconds, where the SDK waits for a minute; and its frames are watched (framewatch.go).

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

const (
	dialLimit      = 5 * time.Second
	handshakeLimit = 5 * time.Second
	// peerSilent is how long a peer may leave our bytes or keep-alive probes unanswered.
	peerSilent = 20 * time.Second
)

// The ports of AMQP (OASIS AMQP 1.0 part 2 §2.1; part 5 §5.2.1 for TLS).
const (
	portTLS   = "5671"
	portPlain = "5672"
)

// errDialled refuses the SDK a second connection.
var errDialled = &finalError{errors.New("this client had its connection")}

// finalError has the mark by which the SDK knows that trying again is in vain. Without it the goroutines that renew its
// claims try at once and for ever, when a connection ends that nobody is using: while a gate is closed, for one.
type finalError struct{ error }

// NonRetriable is the mark, as azidentity's errors have it.
func (*finalError) NonRetriable() {}

// transport dials the one connection of one SDK client, and remembers why the watch ended it. One, because the SDK would
// dial again for whoever calls next, before the client is given up: such a call builds links that nobody closes, with
// goroutines that renew their claims.
type transport struct {
	dial   func(ctx context.Context, host string) (net.Conn, error)
	credit withdrawal
	node   *nodeWatch

	gone    chan struct{} // closed at the end of the connection, whoever ends it
	end     func()        // closes gone, once
	dialled atomic.Bool
	arrived atomic.Uint64 // reads from the connection that brought something; one for the connection itself
	mu      sync.Mutex
	wedge   error    // any goroutine, under mu
	conn    net.Conn // the one connection, under mu
	over    bool     // there is to be none any more, under mu
}

func newTransport(dial func(ctx context.Context, host string) (net.Conn, error)) *transport {
	gone := make(chan struct{})
	return &transport{dial: dial, node: newNodeWatch(), gone: gone, end: sync.OnceFunc(func() { close(gone) })}
}

// connect is the SDK's hook for connections of another kind. It is meant for WebSocket; any net.Conn is taken.
func (t *transport) connect(ctx context.Context, args azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
	if t.dialled.Swap(true) {
		return nil, errDialled
	}
	target, err := url.Parse(args.Host)
	if err != nil {
		return nil, fmt.Errorf("dial Service Bus: %w", err)
	}
	conn, err := t.dial(ctx, target.Host)
	if err != nil {
		return nil, fmt.Errorf("dial Service Bus: %w", err)
	}
	t.arrived.Add(1)
	gathered := newGatheredConn(conn)
	t.credit.write = func(p []byte) error { return gathered.interject(p, recallLimit) }
	return t.keep(&watchedConn{Conn: &drainableConn{gathered, &t.credit}, watch: frameWatch{other: t.watch}, arrived: &t.arrived, tell: t.remember, over: t.end})
}

// keep remembers the connection for its end, which may have been before.
func (t *transport) keep(conn net.Conn) (net.Conn, error) {
	t.mu.Lock()
	t.conn = conn
	over := t.over
	t.mu.Unlock()
	if over {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	return conn, nil
}

// sever ends the connection if the SDK has not: a handshake that is given up leaves it open, and nobody else has it.
func (t *transport) sever() {
	t.mu.Lock()
	t.over = true
	conn := t.conn
	t.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
}

// closing is how a client is closed whose connection this is.
func (t *transport) closing(client func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, t.sever)
		defer stop()
		defer t.sever()
		return client(ctx)
	}
}

// watch looks at each frame that comes in.
func (t *transport) watch(frame []byte) {
	t.credit.incoming(frame)
	t.node.incoming(frame)
}

func (t *transport) remember(wedge error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wedge = wedge
}

// ended returns why the watch ended a connection; nil if it did not.
func (t *transport) ended() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wedge
}

// dialTLS connects to a namespace.
func dialTLS(ctx context.Context, host string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit+handshakeLimit)
	defer cancel()
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	dialer := tls.Dialer{NetDialer: newDialer(), Config: &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}}
	return dialer.DialContext(ctx, "tcp", withPort(host, portTLS))
}

// dialPlain connects to an emulator.
func dialPlain(ctx context.Context, host string) (net.Conn, error) {
	return newDialer().DialContext(ctx, "tcp", withPort(host, portPlain))
}

func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

func newDialer() *net.Dialer {
	return &net.Dialer{
		Timeout:         dialLimit,
		Control:         limitUnacknowledged,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: peerSilent / 2, Interval: peerSilent / 4, Count: 2},
	}
}

// emulated tells whether a connection string leads to an emulator, which speaks AMQP without TLS.
func emulated(connectionString string) bool {
	for pair := range strings.SplitSeq(connectionString, ";") {
		key, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.TrimSpace(key), "UseDevelopmentEmulator") {
			return strings.EqualFold(strings.TrimSpace(value), "true")
		}
	}
	return false
}
