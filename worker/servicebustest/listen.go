package servicebustest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"batchterminator/worker/servicebustest/internal/certificate"
	"batchterminator/worker/servicebustest/internal/transport"
)

// Listen serves TCP on an address, like "127.0.0.1:0", and returns the one it got: AMQP, AMQP over WebSocket, and HTTP
// for health and administration. It may be called more than once.
func (s *Server) Listen(address string) (net.Addr, error) {
	return s.listen(address, func(net.Addr) (*tls.Config, error) { return nil, nil })
}

// ListenTLS is Listen with TLS, for clients that come with it; others are served as by Listen. Without certificates it
// makes one for this machine and the names given, signed by the authority that CertificateAuthority returns.
func (s *Server) ListenTLS(address string, names []string, certificates ...tls.Certificate) (net.Addr, error) {
	return s.listen(address, func(got net.Addr) (*tls.Config, error) {
		if len(certificates) == 0 {
			made, err := s.issue(got, names)
			if err != nil {
				return nil, err
			}
			certificates = append(certificates, made)
		}
		return &tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS12}, nil
	})
}

// listen adds a listener; secured makes its TLS from the address, nil for none.
func (s *Server) listen(address string, secured func(net.Addr) (*tls.Config, error)) (net.Addr, error) {
	l, err := new(net.ListenConfig).Listen(s.ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("servicebustest: %w", err)
	}
	config, err := secured(l.Addr())
	if err != nil {
		_ = l.Close() // nothing was accepted
		return nil, fmt.Errorf("servicebustest: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = l.Close() // nothing was accepted
		return nil, ErrClosed
	}
	s.listeners = append(s.listeners, l)
	if config != nil {
		s.secure = append(s.secure, l.Addr())
	}
	s.serving.Go(func() { s.acceptLoop(l, config) })
	return l.Addr(), nil
}

// issue makes a certificate, and first the authority if there is none.
func (s *Server) issue(address net.Addr, names []string) (tls.Certificate, error) {
	authority, err := s.ownAuthority()
	if err != nil {
		return tls.Certificate{}, err
	}
	return authority.Issue(address, names...)
}

func (s *Server) ownAuthority() (*certificate.Authority, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.authority == nil {
		made, err := certificate.NewAuthority()
		if err != nil {
			return nil, err
		}
		s.authority = made
	}
	return s.authority, nil
}

// CertificateAuthority returns the certificate that a client has to trust for the certificates that ListenTLS makes, in
// PEM, as SSL_CERT_FILE and NODE_EXTRA_CA_CERTS take it.
func (s *Server) CertificateAuthority() ([]byte, error) {
	authority, err := s.ownAuthority()
	if err != nil {
		return nil, fmt.Errorf("servicebustest: %w", err)
	}
	return authority.PEM(), nil
}

// acceptLoop ends when Close closes the listener.
func (s *Server) acceptLoop(l net.Listener, certificates *tls.Config) {
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.ctx.Err() == nil {
				s.logger.Error("accept", "address", l.Addr(), "error", err)
			}
			return
		}
		s.start(nc, certificates, s.faults.connect())
	}
}

// Dial returns an in-memory connection to the server, for AMQP or HTTP. It is what runs a client in virtual time: give
// it to the SDK as ClientOptions.NewWebSocketConn, or to an http.Transport as DialContext.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	met := s.faults.connect()
	if err := wait(ctx, met.action.Delay); err != nil {
		return nil, fmt.Errorf("servicebustest: dial: %w", err)
	}
	met.action.Delay = 0
	if met.action.Kind == transport.Fail {
		return nil, fmt.Errorf("servicebustest: dial: %w", met.action.Err)
	}
	client, server := net.Pipe()
	if !s.start(server, nil, met) {
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

// account is what every connection string ends in; WithSharedAccessRule can give the rule another key.
const account = ";SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE"

// ConnectionString returns what an official SDK needs to connect: the first listener's address, or localhost when
// there is none, since a client with a dialer of its own does not look at it.
func (s *Server) ConnectionString() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	host := "localhost"
	if len(s.listeners) > 0 {
		host = s.listeners[0].Addr().String()
	}
	return "Endpoint=sb://" + host + account + ";UseDevelopmentEmulator=true"
}

// SecureConnectionString returns what an official SDK needs to connect with TLS, to the first listener that has a
// certificate; "" when none has.
func (s *Server) SecureConnectionString() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.secure) == 0 {
		return ""
	}
	return "Endpoint=sb://" + s.secure[0].String() + "/" + account
}
