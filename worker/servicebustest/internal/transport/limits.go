package transport

import (
	"time"

	"batchterminator/worker/servicebustest/internal/frames"
)

// What one client may make us hold, and for how long. The table in the package documentation
// says what happens to who asks for more.
const (
	// channelMax and handleMax are announced: sessions per connection, links per session.
	channelMax = 4999
	handleMax  = 255
	// maxLinks is the number of links of a connection over all its sessions (Service Bus:
	// 5000 concurrent receive requests on an entity).
	maxLinks = 5000
	// maxName is the length of a link's name and of its addresses. Service Bus: a path has
	// at most 260 characters, and no client's names come near.
	maxName = 4 << 10
	// maxAssembly is what a connection keeps of messages that have begun and not ended,
	// unless one message alone is allowed more.
	maxAssembly = 64 << 20
	// maxResponses and maxResponseBytes are what a client leaves unread on a reply link.
	maxResponses     = 5000
	maxResponseBytes = 64 << 20
	// maxSpan is how many deliveries of a session may be unsettled, and so how far back a
	// disposition reaches. The oldest is forgotten beyond that: a client that never settles
	// must not choose what we keep. Its lock runs out as any other.
	maxSpan = 1 << 16
	// maxSASLFrame is the size of a frame before open (part 5 §5.3.1).
	maxSASLFrame = frames.MinMaxFrameSize

	// handshakeTimeout is the time from the first byte to open.
	handshakeTimeout = time.Minute
	// minIdleTimeout is the shortest idle timeout of a client that we keep up with: it sets
	// how often we write.
	minIdleTimeout = 100 * time.Millisecond
)

// watchHandshake ends a connection that does not get as far as open.
func (c *Conn) watchHandshake() {
	c.after(handshakeTimeout, func() {
		if c.phase < phaseOpening {
			c.closeWith(refusef(condLimit, "no open received for %v", handshakeTimeout))
		}
	})
}

// stalled says whether what the client sends has to wait: for it to read what it was sent
// before, or for a delayed answer to its open.
func (c *Conn) stalled() bool { return len(c.out) > hardLimit || c.phase == phaseOpening }

// assembly accounts for n more bytes of unfinished messages, unless that is too much. n is
// negative when one is finished or given up.
func (c *Conn) assembly(n int, limit uint64) bool {
	if n > 0 && uint64(c.assembled+n) > max(maxAssembly, limit) {
		return false
	}
	c.assembled += n
	return true
}

// fits says whether an attach is one we want to remember; if not, the session is over.
func (s *session) fits(a *frames.Attach) bool {
	switch {
	case max(len(a.Name), len(a.Source.Address), len(a.Target.Address)) > maxName:
		s.end(refusef(condInvalidField, "a name or an address is longer than %d bytes", maxName))
	case s.c.links >= maxLinks:
		s.end(refusef(condLimit, "the connection has %d links", s.c.links))
	default:
		return true
	}
	return false
}
