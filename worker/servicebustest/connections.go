package servicebustest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/claims"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/transport"
)

// Connections is the number of live connections, whatever is spoken on them.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// DropConnections cuts every live connection without a word, as a network failure would, and returns their number.
func (s *Server) DropConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.amqp == nil {
			_ = c.nc.Close() // whoever reads from it ends
			continue
		}
		c.amqp.Drop()
	}
	return len(s.conns)
}

// CloseConnections closes every live connection with an AMQP error, as Service Bus does for maintenance
// (amqp:connection:forced), and returns their number.
func (s *Server) CloseConnections(condition, description string) int {
	why := &transport.Error{Condition: condition, Description: description}
	return s.eachConnection(func(c *transport.Conn) { c.Close(why) })
}

// DetachLinks detaches every link to the entity with an AMQP error, as Service Bus does when the entity is updated
// (amqp:link:detach-forced) or disabled (com.microsoft:entity-disabled).
func (s *Server) DetachLinks(entity, condition, description string) {
	why := &transport.Error{Condition: condition, Description: description}
	match := func(l transport.Link) bool { return sameEntity(l.Address, entity) }
	s.eachConnection(func(c *transport.Conn) { c.Detach(match, why) })
}

// ResetConnections is DropConnections with an RST, where a connection is TCP.
func (s *Server) ResetConnections() int {
	return s.eachConnection(func(c *transport.Conn) { c.Reset() })
}

// MuteLinks has the links over which clients receive from an entity send nothing while on, whatever credit they are
// given: no message, no detach, no word. Settlements and other links go on. Of a queue and its "/$management" each is
// an entity of its own here. Once muted no more, a link gives back what it had locked, and starts afresh.
func (s *Server) MuteLinks(entity string, on bool) {
	match := func(l transport.Link) bool { return sameEntity(l.Address, entity) }
	s.eachConnection(func(c *transport.Conn) { c.MuteLinks(match, on) })
}

// SkewClock has the server's clock run ahead of the client's by d, or behind it: the times it tells (until when a message
// is locked, and when one was enqueued since) are off, and nothing else is.
func (s *Server) SkewClock(d time.Duration) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.skews = append(s.faults.skews, skew{time.Now().Truncate(time.Millisecond), d})
	s.faults.arm()
}

// ExpireTokens has every token that a client has shown run out now: links are detached with amqp:unauthorized-access,
// and come back after a new put-token. Without WithClaims nobody asks for one.
func (s *Server) ExpireTokens() {
	why := &transport.Error{Condition: dialect.Unauthorized, Description: string(claims.Expired(time.Now()))}
	match := func(l transport.Link) bool { return !strings.EqualFold(l.Address, cbsAddress) }
	s.eachConnection(func(c *transport.Conn) {
		s.claims.Forget(c.ID())
		c.Detach(match, why)
	})
}

// MuteConnections makes every live connection half-open while on: nothing is answered, heartbeats included, and
// nothing is closed, as behind a network that swallows packets. A connection hears of it after what it is doing: in a
// bubble, synctest.Wait makes sure.
func (s *Server) MuteConnections(on bool) int {
	return s.eachConnection(func(c *transport.Conn) { c.Mute(on) })
}

// DeafenConnections is MuteConnections for one direction: while on, what clients send is swallowed, and they still hear.
func (s *Server) DeafenConnections(on bool) int {
	return s.eachConnection(func(c *transport.Conn) { c.Deafen(on) })
}

// SilenceConnections is MuteConnections for the other direction: while on, clients hear nothing, and are still heard.
func (s *Server) SilenceConnections(on bool) int {
	return s.eachConnection(func(c *transport.Conn) { c.Silence(on) })
}

// entityChanged detaches the links that a change of an entity concerns, those to its sub-queues and management node
// included. Service Bus: an update detaches too, and the clients come back; but who holds a session keeps it, for a
// client could not come back to that (so the Go SDK's own live tests expect it).
func (s *Server) entityChanged(c broker.Change) {
	updated := errors.Is(c.Err, broker.ErrEntityUpdated)
	why := dialect.Error(fmt.Errorf("entity %s: %w", c.Path, c.Err))
	match := func(l transport.Link) bool {
		path := strings.ToLower(broker.EntityPath(l.Address))
		rest, below := strings.CutPrefix(path, strings.ToLower(c.Path))
		concerned := c.Receive
		if l.Sender {
			concerned = c.Send
		}
		if updated && l.Session != nil {
			return false
		}
		return concerned && below && (rest == "" || strings.HasPrefix(rest, "/$"))
	}
	s.eachConnection(func(conn *transport.Conn) { conn.Detach(match, why) })
}

func (s *Server) eachConnection(do func(*transport.Conn)) int {
	s.mu.Lock()
	conns := make([]*transport.Conn, 0, len(s.conns))
	for c := range s.conns {
		if c.amqp != nil {
			conns = append(conns, c.amqp)
		}
	}
	s.mu.Unlock()
	for _, c := range conns {
		do(c)
	}
	return len(conns)
}

// sameEntity compares addresses as Service Bus does.
func sameEntity(a, b string) bool {
	return strings.EqualFold(broker.EntityPath(a), broker.EntityPath(b))
}

// lockBook answers what faults ask about locks.
type lockBook struct{ *broker.Namespace }

// MessageID implements tokenBook.
func (b lockBook) MessageID(address string, token codec.UUID) string {
	q, err := b.Resolve(address)
	if err != nil {
		return ""
	}
	return q.MessageID(broker.Token(token))
}

// EndLock implements tokenBook.
func (b lockBook) EndLock(address string, token codec.UUID, at time.Time) {
	if q, err := b.Resolve(address); err == nil {
		q.EndLock(broker.Token(token), at)
	}
}
