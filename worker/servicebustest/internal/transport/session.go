package transport

import (
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// window is the number of transfer frames we let a client have in flight per
// session. It is topped up at half.
const window = 5000

// session is one session (part 2 §2.5). It belongs to the connection's loop.
type session struct {
	c           *Conn
	remote      uint16           // the client's channel
	local       uint16           // ours
	links       map[uint32]*link // by the client's handle
	handles     []*link          // by ours, nil where free
	handleLimit uint32           // the largest handle that the client takes
	ending      bool             // our end is out: silence until the client's

	nextIncoming uint32 // transfer-id of the next frame from the client
	incoming     uint32 // transfer frames it may still send

	initialOutgoing uint32
	nextOutgoing    uint32               // transfer-id of our next frame
	outgoing        uint32               // transfer frames we may still send
	nextDelivery    uint32               // contiguous over all links of the session
	span            uint32               // how many deliveries before it a disposition may name
	unsettled       map[uint32]unsettled // by delivery-id
	blocked         []*link              // links that wait for the window to open
}

// unsettled is a delivery the client has not settled.
type unsettled struct {
	l     *link
	token codec.UUID
}

func (c *Conn) begin(channel uint16, fields []byte) error {
	var b frames.BeginSession
	if err := b.Decode(fields); err != nil {
		return err
	}
	if channel > channelMax {
		return refusef(condFraming, "channel %d exceeds channel-max %d", channel, channelMax)
	}
	if c.sessions[channel] != nil {
		return refusef(condNotAllowed, "channel %d has a session already", channel)
	}
	s := &session{
		c: c, remote: channel,
		links:        map[uint32]*link{},
		unsettled:    map[uint32]unsettled{},
		nextIncoming: b.NextOutgoingID, incoming: window,
		outgoing:    b.IncomingWindow,
		handleLimit: b.HandleMax.Or(handleMax),
	}
	local := place(&c.channels, s)
	if local > int(c.channelLimit) {
		return refusef(condNotAllowed, "a session more than the client's channel-max %d", c.channelLimit)
	}
	s.local = uint16(local)
	c.sessions[channel] = s
	send(c, s.local, frames.BeginSession{
		RemoteChannel:  codec.Some(channel),
		NextOutgoingID: s.nextOutgoing,
		IncomingWindow: s.incoming,
		OutgoingWindow: window,
		HandleMax:      codec.Some[uint32](handleMax),
	})
	return nil
}

// place puts v into the first free place of list and returns its index.
func place[T any](list *[]*T, v *T) int {
	for i, taken := range *list {
		if taken == nil {
			(*list)[i] = v
			return i
		}
	}
	*list = append(*list, v)
	return len(*list) - 1
}

func (s *session) performative(code uint64, fields []byte) error {
	if code == frames.CodeEnd {
		var e frames.EndSession
		if err := e.Decode(fields); err != nil {
			return err
		}
		s.ended()
		return nil
	}
	if s.ending {
		return nil // sent before the client saw our end
	}
	switch code {
	case frames.CodeAttach:
		return s.attach(fields)
	case frames.CodeFlow:
		return s.flow(fields)
	case frames.CodeTransfer:
		return s.transfer(fields)
	case frames.CodeDisposition:
		return s.disposition(fields)
	case frames.CodeDetach:
		return s.detach(fields)
	}
	return refusef(condNotImplemented, "performative %#02x", code)
}

// ended answers the client's end, or takes it as the answer to ours.
func (s *session) ended() {
	s.closeLinks()
	if !s.ending {
		send(s.c, s.local, frames.EndSession{})
	}
	delete(s.c.sessions, s.remote)
	s.c.channels[s.local] = nil
}

// end ends the session from our side.
func (s *session) end(why *Error) {
	if s.ending {
		return
	}
	s.closeLinks()
	s.ending = true
	send(s.c, s.local, frames.EndSession{Error: why.wire()})
}

// closeLinks drops the links without a word: an end of the session is the end of
// them all, and Go never detaches its $cbs and $management links any other way.
func (s *session) closeLinks() {
	for _, l := range s.links {
		l.close()
	}
	s.c.links -= len(s.links)
	clear(s.links)
	s.handles, s.blocked = nil, nil
}

// windows starts a flow of the session. go-amqp ends a session whose flow lacks
// next-incoming-id.
func (s *session) windows() frames.Flow {
	return frames.Flow{
		NextIncomingID: codec.Some(s.nextIncoming),
		IncomingWindow: s.incoming,
		NextOutgoingID: s.nextOutgoing,
		OutgoingWindow: window,
	}
}

func (s *session) flow(fields []byte) error {
	var f frames.Flow
	if err := f.Decode(fields); err != nil {
		return err
	}
	seen := f.NextIncomingID.Or(s.initialOutgoing)
	s.outgoing = remaining(f.IncomingWindow, seen, s.nextOutgoing)
	if s.outgoing > 0 {
		for _, l := range s.blocked {
			l.out.waiting = false
			s.c.markReady(l)
		}
		s.blocked = s.blocked[:0]
	}
	if !f.Handle.Set {
		if f.Echo {
			send(s.c, s.local, s.windows())
		}
		return nil
	}
	l := s.links[f.Handle.Value]
	if l == nil {
		s.end(refusef(condUnattached, "flow for handle %d", f.Handle.Value))
		return nil
	}
	if !l.alive() {
		return nil
	}
	l.onFlow(f)
	return nil
}

// remaining is what is left of a grant that the peer made when it had counted up to
// seen, while we have counted up to now: serial number arithmetic (RFC 1982), and
// the grant may be 2^32-1.
func remaining(grant, seen, now uint32) uint32 {
	left := int64(grant) - int64(int32(now-seen))
	return uint32(max(0, min(left, 1<<32-1)))
}
