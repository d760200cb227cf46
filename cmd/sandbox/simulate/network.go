package simulate

import (
	"context"
	"errors"
	"net"
	"sync"
)

var errNoPower = errors.New("the machine is gone")

// network is all that one worker is connected to. When the worker is killed it ends at once, as that of a process does:
// whatever its goroutines still try reaches nobody.
type network struct {
	mu    sync.Mutex
	gone  bool              // under mu
	conns map[net.Conn]bool // open, under mu
}

// dialed is a connection of the network.
type dialed struct {
	net.Conn
	network *network
}

func (n *network) dial(ctx context.Context, next func(context.Context) (net.Conn, error)) (net.Conn, error) {
	if n.ended() {
		return nil, errNoPower
	}
	conn, err := next(ctx)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone {
		_ = conn.Close()
		return nil, errNoPower
	}
	n.conns[conn] = true
	return &dialed{conn, n}, nil
}

func (n *network) ended() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.gone
}

// Close implements [net.Conn].
func (d *dialed) Close() error {
	d.network.mu.Lock()
	delete(d.network.conns, d.Conn)
	d.network.mu.Unlock()
	return d.Conn.Close()
}

// end closes everything and lets nothing open again.
func (n *network) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone = true
	for conn := range n.conns {
		_ = conn.Close()
	}
}
