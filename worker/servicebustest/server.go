package servicebustest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/transport"
)

// TB is what New needs of a test; *testing.T and *testing.B have it. It is declared here so that a program that
// embeds the server does not link package testing.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// ErrClosed is returned by what is asked of a closed server.
var ErrClosed = errors.New("servicebustest: server closed")

// Server is an embedded Service Bus namespace. All methods may be called from any goroutine.
type Server struct {
	broker *broker.Namespace
	wire   transport.Config
	logger *slog.Logger
	faults faults
	fatalf func(format string, args ...any) // how a misuse by the test is reported

	ctx     context.Context // ends when Close begins
	cancel  context.CancelFunc
	serving sync.WaitGroup // accept loops and connections; Go under mu while open, Close waits

	mu sync.Mutex
	// Below: any goroutine, under mu.
	listeners []net.Listener
	conns     map[*transport.Conn]net.Conn
	closed    bool
}

// Start returns a running namespace with the queues it is told to have. It listens nowhere yet: connect with Dial, or
// call Listen. The caller closes it.
func Start(opts ...Option) (*Server, error) {
	set := settings{logger: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(&set)
	}
	s := &Server{
		broker: broker.NewNamespace(!set.noHistory),
		logger: set.logger,
		fatalf: func(format string, args ...any) { panic(fmt.Sprintf(format, args...)) },
		conns:  make(map[*transport.Conn]net.Conn),
	}
	for _, q := range set.queues {
		if _, err := s.broker.CreateQueue(q.name, q.cfg.broker()); err != nil {
			return nil, fmt.Errorf("servicebustest: %w", err)
		}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.faults.messageID = s.messageID
	s.wire = transport.Config{
		Namespace: newNamespace(s.broker, set.keys), Interceptor: s.faults.intercept, IdleTimeout: set.idleTimeout,
	}
	if set.trace != nil {
		s.wire.Tracer = set.trace.record
	}
	return s, nil
}

// New is Start for a test: it ends the test if the server does not start, closes it afterwards, and reports what
// Close has to say.
func New(t TB, opts ...Option) *Server {
	t.Helper()
	s, err := Start(opts...)
	if err != nil {
		t.Fatalf("%v", err)
	}
	s.fatalf = t.Fatalf
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return s
}

// Listen serves TCP on an address, like "127.0.0.1:0", and returns the one it got. It may be called more than once.
func (s *Server) Listen(address string) (net.Addr, error) {
	l, err := new(net.ListenConfig).Listen(s.ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("servicebustest: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = l.Close() // nothing was accepted
		return nil, ErrClosed
	}
	s.listeners = append(s.listeners, l)
	s.serving.Go(func() { s.acceptLoop(l) })
	return l.Addr(), nil
}

// acceptLoop ends when Close closes the listener.
func (s *Server) acceptLoop(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.ctx.Err() == nil {
				s.logger.Error("accept", "address", l.Addr(), "error", err)
			}
			return
		}
		s.start(nc, s.faults.connect())
	}
}

// Dial returns an in-memory connection to the server. It is what runs a client in virtual time: give it to the SDK as
// ClientOptions.NewWebSocketConn.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	action := s.faults.connect()
	if err := wait(ctx, action.Delay); err != nil {
		return nil, fmt.Errorf("servicebustest: dial: %w", err)
	}
	action.Delay = 0
	if action.Kind == transport.Fail {
		return nil, fmt.Errorf("servicebustest: dial: %w", action.Err)
	}
	client, server := net.Pipe()
	if !s.start(server, action) {
		return nil, ErrClosed
	}
	return client, nil
}

func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// start serves nc on a goroutine of its own; false when the server is closed and so is nc.
func (s *Server) start(nc net.Conn, action transport.Action) bool {
	conn := transport.NewConn(nc, s.wire)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = nc.Close() // the client notices by reading
		return false
	}
	s.conns[conn] = nc
	s.serving.Go(func() { s.serve(conn, nc, action) })
	return true
}

func (s *Server) serve(conn *transport.Conn, nc net.Conn, action transport.Action) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	switch err := wait(s.ctx, action.Delay); {
	case err != nil, action.Kind == transport.Fail, action.Kind == transport.DropConn:
		_ = nc.Close() // the client notices by reading
		return
	case action.Kind == transport.Swallow:
		conn.Mute(true)
	}
	err := conn.Serve(s.ctx)
	s.logger.Info("connection ended", "connection", conn.ID(), "remote", nc.RemoteAddr().String(), "reason", err)
}

// ConnectionString returns what an official SDK needs to connect: the first listener's address, or localhost when
// there is none, since a client with a dialer of its own does not look at it.
func (s *Server) ConnectionString() string {
	host := "localhost"
	s.mu.Lock()
	if len(s.listeners) > 0 {
		host = s.listeners[0].Addr().String()
	}
	s.mu.Unlock()
	return "Endpoint=sb://" + host + ";SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"
}

// Queue returns the test's view of a queue. An unknown name ends the test, or panics for a server made by Start.
func (s *Server) Queue(name string) *Queue {
	q, err := s.broker.Resolve(name)
	if err != nil {
		s.fatalf("servicebustest: queue %v; add it with WithQueue", err)
		return nil
	}
	return &Queue{main: q}
}

const (
	closeGrace    = 5 * time.Second // for clients to read their close
	closePatience = 5 * time.Second // for cut connections to end
)

// Close ends every connection, with amqp:connection:forced where the client still reads, and returns when nothing of
// the server runs any more. If that does not happen it says what is left. Queues stay readable.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	listeners := s.listeners
	s.mu.Unlock()

	for _, l := range listeners {
		_ = l.Close() // its loop reports anything odd
	}
	s.cancel()
	ended := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(ended)
	}()
	if !within(ended, closeGrace) {
		s.logger.Warn("clients do not close their connections, cutting them", "connections", s.DropConnections())
		if !within(ended, closePatience) {
			return fmt.Errorf("servicebustest: close: %d connections did not end", s.Connections())
		}
	}
	s.broker.Close()
	return nil
}

func within(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
