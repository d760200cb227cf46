package batchapi

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// pool counts the open connections of a transport where they are made.
type pool struct {
	mu            sync.Mutex
	open, highest int           // under mu
	closed        chan struct{} // one for each
}

func (p *pool) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	p.open++
	p.highest = max(p.highest, p.open)
	p.mu.Unlock()
	conn, err := newDialer().DialContext(ctx, network, address)
	if err != nil {
		p.give()
		return nil, err
	}
	return &pooledConn{Conn: conn, give: sync.OnceFunc(p.give)}, nil
}

func (p *pool) give() {
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
	p.closed <- struct{}{}
}

func (p *pool) left() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

type pooledConn struct {
	net.Conn
	give func()
}

func (c *pooledConn) Close() error {
	defer c.give()
	return c.Conn.Close()
}

// A service that takes few connections gets no more, however many calls there are and however they end; and all of them are
// closed in the end.
//
// Scorecard: H11.
func TestConnectionsAreBoundedAndNoneIsLeftOpen(t *testing.T) {
	t.Parallel()
	const most, calls = 10, 400
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/drop":
			panic(http.ErrAbortHandler)
		case "/large":
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(make([]byte, 1<<20))
		case "/silent":
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(server.Close)
	p := &pool{closed: make(chan struct{}, 2*calls)}
	transport := newTransport(most)
	transport.DialContext = p.dial
	ways := []string{"/", "/drop", "/large", "/silent"}
	var callers sync.WaitGroup
	for i := range calls {
		callers.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			way := ways[i%len(ways)]
			if way == "/silent" {
				defer time.AfterFunc(time.Millisecond, cancel).Stop()
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+way, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if resp, err := transport.RoundTrip(req); err == nil {
				readAnswer(resp)
			}
		})
	}
	callers.Wait()
	transport.CloseIdleConnections()
	for p.left() > 0 {
		<-p.closed // or the test's own time limit
	}
	if p.highest > 2*most { // net/http gives a place away a moment before it closes its connection
		t.Errorf("%d connections at once, want at most %d", p.highest, most)
	}
}
