package batchtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// server is an http.Server whose goroutines can be awaited.
type server struct {
	http    *http.Server
	closing atomic.Bool    // set by close before it ends the connections it knows
	serve   sync.WaitGroup // Serve itself
	conns   sync.WaitGroup // one per open connection
}

// newServer serves listener until close.
func newServer(h http.Handler, listener net.Listener) *server {
	s := &server{}
	s.http = &http.Server{ //nolint:gosec // G112: a double that is slow to its tests only
		Handler:  h,
		ErrorLog: log.New(io.Discard, "", 0), // dropped connections are the point
		ConnState: func(c net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				s.conns.Add(1)
				if s.closing.Load() {
					// Accepted while http.Server.Close was going through its
					// list: nobody else would close it.
					_ = c.Close()
				}
			case http.StateClosed, http.StateHijacked:
				s.conns.Done()
			}
		},
	}
	s.serve.Go(func() { _ = s.http.Serve(listener) }) // returns ErrServerClosed
	return s
}

func (s *server) close() {
	s.closing.Store(true)
	_ = s.http.Close()
	s.serve.Wait()
	s.conns.Wait()
}

// Server is the account on a real listener.
type Server struct {
	*server
	endpoint string
	roots    *x509.CertPool
}

// Endpoint returns the listener's URL.
func (s *Server) Endpoint() string { return s.endpoint }

// RootCAs returns the authority that signed the listener's certificate; nil
// without TLS.
func (s *Server) RootCAs() *x509.CertPool { return s.roots }

// Close ends the listener and its connections and waits for their goroutines. A
// request that hangs in a fault ends when its connection does.
func (s *Server) Close() { s.close() }

// Start serves the account in plain text, on an address such as 127.0.0.1:0.
func (a *Account) Start(address string) (*Server, error) { return a.start(address, false) }

// StartTLS is Start with TLS, and a certificate for localhost, 127.0.0.1, ::1
// and the account's host that was made for this listener alone.
func (a *Account) StartTLS(address string) (*Server, error) { return a.start(address, true) }

func (a *Account) start(address string, secure bool) (*Server, error) {
	var roots *x509.CertPool
	var config *tls.Config
	if secure {
		cert, pool, err := newCertificate(a.host)
		if err != nil {
			return nil, fmt.Errorf("batch account: certificate: %w", err)
		}
		roots, config = pool, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("batch account: %w", err)
	}
	s := &Server{roots: roots, endpoint: "http://" + listener.Addr().String()}
	if secure {
		s.endpoint = "https://" + listener.Addr().String()
		listener = tls.NewListener(listener, config)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		_ = listener.Close()
		return nil, errors.New("batch account: closed")
	}
	s.server = newServer(a, listener)
	a.servers = append(a.servers, s)
	return s, nil
}

// Endpoint returns the URL of the first listener, or, if there is none, the
// address that the in-memory client knows the account by.
func (a *Account) Endpoint() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.servers) > 0 {
		return a.servers[0].endpoint
	}
	return "https://" + a.host
}

// Client returns a real HTTP client whose connections, to whatever host and
// scheme, are pipes to the account. There is no TLS in them: an https URL works,
// and says nothing about certificates. Each client has a pool of its own, which
// Close empties with the account.
func (a *Account) Client() *http.Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.memory == nil && !a.closed {
		a.memory = newServer(a, a.pipes)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return a.pipes.dial(ctx) }
	transport := &http.Transport{DialContext: dial, DialTLSContext: dial, MaxIdleConnsPerHost: 1024}
	a.transports = append(a.transports, transport)
	return &http.Client{Transport: transport}
}

// Close ends everything the account has started, hanging requests included, and
// waits for it. Its memory stays readable.
func (a *Account) Close() {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return
	}
	a.closed = true
	close(a.closing)
	servers, transports, memory := a.servers, a.transports, a.memory
	a.mu.Unlock()
	_ = a.pipes.Close() // for clients of an account whose server never started
	for _, s := range servers {
		s.Close()
	}
	if memory != nil {
		memory.close()
	}
	for _, t := range transports {
		t.CloseIdleConnections()
	}
	a.handlers.Wait()
}
