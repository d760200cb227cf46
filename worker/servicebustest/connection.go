package servicebustest

import (
	"crypto/tls"
	"net"

	"batchterminator/worker/servicebustest/internal/front"
	"batchterminator/worker/servicebustest/internal/transport"
)

// connection is one socket, whatever is spoken on it.
type connection struct {
	nc net.Conn // as it was accepted

	// amqp is nil until the client has said that it speaks AMQP; the goroutine of serve, under Server.mu.
	amqp *transport.Conn
}

// id is the number that faults and traces have for the connection; 0 if it never spoke AMQP.
func (c *connection) id() uint64 {
	if c.amqp == nil {
		return 0
	}
	return c.amqp.ID()
}

// start serves nc on a goroutine of its own; false when the server is closed and so is nc.
func (s *Server) start(nc net.Conn, certificates *tls.Config, met Fault) bool {
	c := &connection{nc: nc}
	if met.wrap != nil {
		c.nc = met.wrap(nc)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = nc.Close() // the client notices by reading
		return false
	}
	s.conns[c] = struct{}{}
	s.serving.Go(func() {
		err := s.serve(c, nc, certificates, met.action)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.logger.Info("connection ended", "connection", c.id(), "remote", nc.RemoteAddr().String(), "reason", err)
	})
	return true
}

// serve speaks what the client speaks until the connection is over. The error says why it ended; nil means that the
// client ended it. raw is the socket, below any fault.
func (s *Server) serve(c *connection, raw net.Conn, certificates *tls.Config, action transport.Action) error {
	err := wait(s.ctx, action.Delay)
	if action.Kind == transport.ResetConn {
		transport.Abort(raw)
		return err
	}
	if err != nil || action.Kind == transport.Fail || action.Kind == transport.DropConn {
		_ = c.nc.Close() // the client notices by reading
		return err
	}
	nc, protocol, err := front.Open(s.ctx, c.nc, certificates)
	if err != nil {
		return err
	}
	if protocol == front.HTTP {
		if nc = s.web.Serve(s.ctx, nc); nc == nil {
			return nil
		}
	}
	wire := s.wire
	wire.Socket = raw
	conn := transport.NewConn(nc, wire)
	defer s.claims.Forget(conn.ID())
	conn.Mute(action.Kind == transport.Swallow || action.Kind == transport.MuteConn)
	s.mu.Lock()
	c.amqp = conn
	s.mu.Unlock()
	return conn.Serve(s.ctx)
}
