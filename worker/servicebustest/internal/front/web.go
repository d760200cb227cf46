package front

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// webSocketPath is where Service Bus upgrades to AMQP over WebSocket; .NET asks with a slash at the end.
const webSocketPath = "/$servicebus/websocket"

// subprotocols are the names that clients have for AMQP over WebSocket: Go and Java, and the other SDKs.
var subprotocols = []string{"amqp", "AMQPWSB10"}

const (
	requestPatience = 30 * time.Second // for a request with its body
	answerPatience  = 30 * time.Second // for the client to take the answer
	idlePatience    = 2 * time.Minute  // between requests
	maxHeader       = 64 << 10
)

// Web serves HTTP on connections that it is handed.
type Web struct{ server http.Server }

// NewWeb returns a Web whose requests go to handler, but for upgrades to AMQP over WebSocket.
func NewWeb(handler http.Handler, logger *slog.Logger) *Web {
	w := &Web{}
	w.server = http.Server{
		ReadHeaderTimeout: Patience, ReadTimeout: requestPatience, WriteTimeout: answerPatience, IdleTimeout: idlePatience,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, visitKey{}, c)
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(c.(*visit).closed)
			}
		},
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			v := r.Context().Value(visitKey{}).(*visit)
			if strings.EqualFold(strings.TrimSuffix(r.URL.Path, "/"), webSocketPath) {
				v.upgrade(rw, r, logger)
				return
			}
			r = r.WithContext(r.Context())
			r.TLS = v.tls // net/http looks for it on a connection of its own kind
			handler.ServeHTTP(rw, r)
		}),
	}
	return w
}

// Serve answers requests on nc, which Open has returned. It returns when nothing of that is left: with nil when the
// connection is over, or else with the connection that the client upgraded to, which speaks AMQP. The end of ctx ends
// it.
func (w *Web) Serve(ctx context.Context, nc net.Conn) (upgraded net.Conn) {
	v := &visit{Conn: nc, closed: make(chan struct{}), upgraded: make(chan net.Conn, 1)}
	if opened, ok := nc.(*replayed); ok {
		v.tls = opened.state()
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	defer stop()
	l := &visitor{visit: v}
	_ = w.server.Serve(l) // with the error of Accept below
	return l.upgraded
}

type visitKey struct{}

// visit is one connection while it speaks HTTP.
type visit struct {
	net.Conn
	tls      *tls.ConnectionState
	closed   chan struct{} // closed when net/http has ended the connection and its goroutine
	upgraded chan net.Conn // takes the WebSocket, once
}

// upgrade hands the connection to whom Serve returns it; the request is over then, the connection is not.
func (v *visit) upgrade(rw http.ResponseWriter, r *http.Request, logger *slog.Logger) {
	ws, err := websocket.Accept(rw, r, &websocket.AcceptOptions{
		Subprotocols:       subprotocols,
		InsecureSkipVerify: true, // not about TLS: a page of any origin may connect, as to Service Bus
	})
	if err != nil {
		logger.Warn("websocket", "remote", r.RemoteAddr, "error", err)
		return // Accept has answered
	}
	v.upgraded <- &tunnel{Conn: websocket.NetConn(context.Background(), ws, websocket.MessageBinary), ws: ws}
}

// tunnel is a WebSocket as a connection. AMQP has said its own goodbye when it closes one; a second goodbye could take
// ten seconds with a client that does not answer.
type tunnel struct {
	net.Conn
	ws *websocket.Conn
}

func (t *tunnel) Close() error { return t.ws.CloseNow() }

// visitor is a listener with one visit to accept. That keeps one http.Server for all, and its goroutines in the hands
// of whoever calls Serve.
type visitor struct {
	visit    *visit
	accepted bool     // only the goroutine of http.Server.Serve, like the next
	upgraded net.Conn // set before Serve returns
}

// Accept implements net.Listener.
func (l *visitor) Accept() (net.Conn, error) {
	if !l.accepted {
		l.accepted = true
		return l.visit, nil
	}
	select {
	case <-l.visit.closed:
	case l.upgraded = <-l.visit.upgraded:
	}
	return nil, io.EOF
}

// Close implements net.Listener; the connection has an owner already.
func (l *visitor) Close() error { return nil }

// Addr implements net.Listener.
func (l *visitor) Addr() net.Addr { return l.visit.LocalAddr() }
