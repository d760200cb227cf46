package servicebustest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"batchterminator/worker/servicebustest/internal/admin"
	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/certificate"
	"batchterminator/worker/servicebustest/internal/claims"
	"batchterminator/worker/servicebustest/internal/front"
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
	web    *front.Web
	logger *slog.Logger
	faults faults
	claims *claims.Book
	admin  *admin.Namespace
	// authorize judges the tokens of HTTP requests; nil: nobody asks for them.
	authorize func(token, url string) (manage bool, err error)
	fatalf    func(format string, args ...any) // how a misuse by the test is reported

	ctx     context.Context // ends when Close begins
	cancel  context.CancelFunc
	serving sync.WaitGroup // accept loops and connections; Go under mu while open, Close waits

	mu sync.Mutex
	// Below: any goroutine, under mu.
	listeners []net.Listener
	secure    []net.Addr             // of the listeners that have a certificate
	authority *certificate.Authority // nil until a certificate was needed
	conns     map[*connection]struct{}
	closed    bool
}

// Start returns a running namespace with the queues it is told to have. It listens nowhere yet: connect with Dial, or
// call Listen. The caller closes it.
func Start(opts ...Option) (*Server, error) {
	set := settings{logger: slog.New(slog.DiscardHandler), idle: transport.IdleLimits(serviceIdleLimits)}
	for _, opt := range opts {
		opt(&set)
	}
	s := &Server{
		broker: broker.NewNamespace(!set.noHistory),
		logger: set.logger,
		fatalf: func(format string, args ...any) { panic(fmt.Sprintf(format, args...)) },
		conns:  make(map[*connection]struct{}),
	}
	for _, create := range set.entities {
		if err := create(s.broker); err != nil {
			return nil, fmt.Errorf("servicebustest: %w", err)
		}
	}
	s.admin = admin.New(s.broker, namespaceName, set.premium)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.broker.Notify(s.entityChanged)
	s.faults.tokens = lockBook{s.broker}
	s.wire = transport.Config{
		Namespace: s.admit(set), Interceptor: s.faults.intercept, IdleTimeout: set.idleTimeout, Idle: set.idle,
	}
	s.web = front.NewWeb(s.routes(set.control), s.logger)
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
	s.claims.Close()
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
