package transport

import (
	"fmt"
	"math"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// Protocol ids (part 2 §2.2, part 5 §5.3).
const (
	protocolAMQP = 0
	protocolSASL = 3
)

// mechanisms we offer. ANONYMOUS comes first: go-amqp takes the first one it knows.
// The .NET client fails unless MSSBCBS is offered.
var mechanisms = []codec.Symbol{"ANONYMOUS", "MSSBCBS", "PLAIN", "EXTERNAL", "AMQPCBS"}

// handle takes one unit to where the connection is. An error closes it.
func (c *Conn) handle(u unit) error {
	if u.protocol != nil {
		return c.protocolHeader(u.protocol[4])
	}
	switch c.phase {
	case phaseSASL:
		return c.sasl(u)
	case phaseOpen:
		return orDecode(c.open(u))
	case phaseUp:
		return c.frame(u)
	case phaseClosed:
		if code, _, err := frames.Split(u.body); err == nil && code == frames.CodeClose {
			c.stop(c.err)
		}
		return nil
	}
	return fmt.Errorf("frame before the protocol header")
}

// protocolHeader answers a header with the same, or with the one we want and an end
// (part 2 §2.2).
func (c *Conn) protocolHeader(id byte) error {
	switch {
	case id == protocolSASL && c.phase == phaseStart:
		c.phase = phaseSASL
	case id == protocolAMQP && (c.phase == phaseStart || c.phase == phaseHeader):
		c.phase = phaseOpen
	case c.phase == phaseStart:
		c.out = append(c.out, 'A', 'M', 'Q', 'P', protocolSASL, 1, 0, 0)
		return fmt.Errorf("protocol id %d is not served", id)
	default:
		return refusef(condFraming, "protocol header in the middle of a connection")
	}
	c.out = append(c.out, 'A', 'M', 'Q', 'P', id, 1, 0, 0)
	if c.phase == phaseSASL {
		sendSASL(c, frames.SASLMechanisms{Mechanisms: mechanisms})
	}
	return nil
}

// sasl takes any init as proof enough: Service Bus authenticates through $cbs.
func (c *Conn) sasl(u unit) error {
	code, fields, err := frames.Split(u.body)
	if err != nil {
		return err
	}
	if u.header.Size > maxSASLFrame {
		return fmt.Errorf("sasl frame of %d bytes", u.header.Size)
	}
	if u.header.Type != frames.TypeSASL || code != frames.CodeSASLInit {
		return fmt.Errorf("frame %#02x where sasl-init belongs", code)
	}
	var init frames.SASLInit
	if err := init.Decode(fields); err != nil {
		return err
	}
	sendSASL(c, frames.SASLOutcome{Code: 0})
	c.phase = phaseHeader
	return nil
}

func (c *Conn) open(u unit) error {
	code, fields, err := frames.Split(u.body)
	if err != nil {
		return err
	}
	if code != frames.CodeOpen {
		return refusef(condIllegalState, "frame %#02x where open belongs", code)
	}
	var o frames.Open
	if err := o.Decode(fields); err != nil {
		return err
	}
	if size := o.MaxFrameSize; size.Set && size.Value < frames.MinMaxFrameSize {
		return refusef(condInvalidField, "max-frame-size %d", size.Value) // part 2 §2.7.1
	}
	o.Properties = nil // aliases the frame; nothing reads it
	c.phase = phaseOpening
	c.opened(o)
	return nil
}

func (c *Conn) answerOpen(o frames.Open) {
	c.channelLimit = o.ChannelMax.Or(math.MaxUint16)
	c.frameLimit = max(min(o.MaxFrameSize.Or(c.cfg.MaxFrameSize), c.cfg.MaxFrameSize), frames.MinMaxFrameSize)
	send(c, 0, frames.Open{
		ContainerID: c.cfg.ContainerID,
		// No larger than the client's own: the C library below the older Python SDK cannot write a larger frame than it
		// reads, yet takes our word for how large its frames may be.
		MaxFrameSize: codec.Some(c.frameLimit),
		ChannelMax:   codec.Some[uint16](channelMax),
		IdleTimeout:  codec.Some(uint32(c.cfg.IdleTimeout.Milliseconds())),
	})
	c.phase = phaseUp
	c.awaitFirstLink()
	switch idle := time.Duration(o.IdleTimeout.Value) * time.Millisecond; {
	case idle >= minIdleTimeout:
		c.beat(idle / 2)
	case idle > 0:
		// Part 2 §2.4.5: who cannot support a timeout closes and says why.
		c.closeWith(refusef(condNotAllowed, "an idle timeout of %v is below %v", idle, minIdleTimeout))
	}
}

// frame handles a frame of an open connection.
func (c *Conn) frame(u unit) error {
	if len(u.body) == 0 {
		return nil // heartbeat
	}
	if u.header.Type != frames.TypeAMQP {
		return refusef(condFraming, "frame of type %d", u.header.Type)
	}
	code, fields, err := frames.Split(u.body)
	if err != nil {
		return refusef(condDecode, "%v", err)
	}
	return orDecode(c.performative(u.header.Channel, code, fields))
}

func (c *Conn) performative(channel uint16, code uint64, fields []byte) error {
	switch code {
	case frames.CodeBegin:
		return c.begin(channel, fields)
	case frames.CodeClose:
		var cl frames.Close
		if err := cl.Decode(fields); err != nil {
			return err
		}
		send(c, 0, frames.Close{})
		c.phase, c.over = phaseClosed, true
		return nil
	case frames.CodeOpen:
		return refusef(condIllegalState, "a second open")
	}
	s := c.sessions[channel]
	if s == nil && code == frames.CodeEnd {
		return nil // go-amqp ends a session that it gave up before it could begin it
	}
	if s == nil {
		return refusef(condNotAllowed, "frame %#02x on channel %d, which has no session", code, channel)
	}
	return s.performative(code, fields)
}
