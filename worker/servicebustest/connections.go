package servicebustest

import (
	"strings"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
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

// MuteConnections makes every live connection half-open while on: nothing is answered, heartbeats included, and
// nothing is closed, as behind a network that swallows packets. A connection hears of it after what it is doing: in a
// bubble, synctest.Wait makes sure.
func (s *Server) MuteConnections(on bool) int {
	return s.eachConnection(func(c *transport.Conn) { c.Mute(on) })
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

// messageID finds the message a lock token belongs, or belonged, to; empty when there is none.
func (s *Server) messageID(address string, token codec.UUID) string {
	q, err := s.broker.Resolve(address)
	if err != nil {
		return ""
	}
	return q.MessageID(broker.Token(token))
}
