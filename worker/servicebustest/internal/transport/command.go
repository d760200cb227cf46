package transport

import (
	"io"
	"net"
	"time"

	"batchterminator/worker/servicebustest/internal/frames"
)

// Detach detaches every link that match accepts, and every link to an entity if
// match is nil. Like all of these it returns at once; the connection does it as
// soon as it can.
func (c *Conn) Detach(match func(Link) bool, why *Error) {
	c.post(func() {
		for _, l := range c.names {
			if match == nil && !l.toNode || match != nil && match(l.info) {
				l.detach(why)
			}
		}
	})
}

// End ends every session with why.
func (c *Conn) End(why *Error) {
	c.post(func() {
		for _, s := range c.sessions {
			s.end(why)
		}
	})
}

// Close closes the connection with why.
func (c *Conn) Close(why *Error) { c.post(func() { c.closeWith(why) }) }

// Drop cuts the connection without a word, not even one already in the buffer.
func (c *Conn) Drop() { c.post(c.drop) }

// Reset is Drop with an RST, where the transport is TCP: what the client has not read
// is lost too.
func (c *Conn) Reset() { c.post(c.reset) }

func (c *Conn) reset() {
	c.out = c.out[:0]
	Abort(c.cfg.Socket)
	c.drop()
}

// Abort closes a socket, with an RST where it is TCP.
func Abort(socket net.Conn) {
	if tcp, ok := socket.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the cut is a FIN
	}
	_ = socket.Close() // whoever reads notices
}

func (c *Conn) drop() {
	c.out = c.out[:0]
	_ = c.nc.Close() // wakes reader and writer, whose errors end the loop
	c.stop(io.ErrClosedPipe)
}

// Mute makes the connection half-open: what the client sends is swallowed and
// nothing is written any more, heartbeats included, until Mute(false).
func (c *Conn) Mute(on bool) { c.post(func() { c.deaf, c.dumb = on, on }) }

// Deafen is the first half of Mute, Silence the second.
func (c *Conn) Deafen(on bool)  { c.post(func() { c.deaf = on }) }
func (c *Conn) Silence(on bool) { c.post(func() { c.dumb = on }) }

// MuteLinks has the links that match accepts send nothing to their receiver while on.
// Afterwards what they have acquired meanwhile goes back, and they start afresh.
func (c *Conn) MuteLinks(match func(Link) bool, on bool) {
	c.post(func() {
		for _, l := range c.names {
			switch {
			case l.out == nil || !match(l.info):
			case on:
				l.mute()
			default:
				l.out.unmute()
			}
		}
	})
}

// intercept asks the interceptor about ev and does what it says: proceed is the
// usual, fail the usual way to report an error. Without an interceptor callers take
// a shorter way that builds no closures.
func (c *Conn) intercept(l *link, ev Event, proceed func(), fail func(*Error)) {
	c.carryOut(c.cfg.Interceptor(ev), l, proceed, fail)
}

// carryOut does what an action says, after its delay.
func (c *Conn) carryOut(a Action, l *link, proceed func(), fail func(*Error)) {
	c.later(a.Delay, l, func() { c.act(l, a, proceed, fail) })
}

// later calls do after d, now if d is zero, unless the link is gone by then.
func (c *Conn) later(d time.Duration, l *link, do func()) {
	if d <= 0 {
		do()
		return
	}
	c.after(d, func() {
		if c.phase != phaseClosed && (l == nil || l.alive()) {
			do()
		}
	})
}

// act carries out an action; l is nil for OpOpen.
func (c *Conn) act(l *link, a Action, proceed func(), fail func(*Error)) {
	switch a.Kind {
	case Pass:
		proceed()
	case Fail:
		fail(orForced(a.Err, condInternal))
	case DetachLink:
		if l != nil {
			l.detach(orForced(a.Err, condDetachForced))
		}
	case EndSession:
		if l != nil {
			l.s.end(orForced(a.Err, condInternal))
		}
	case CloseConn:
		c.closeWith(orForced(a.Err, condConnForced))
	case DropConn:
		c.drop()
	case ResetConn:
		c.reset()
	case MuteConn:
		c.deaf, c.dumb = true, true
	case MuteLink:
		l.mute()
		proceed()
	case Swallow, Duplicate:
	}
}

// opened runs once the client's open may be answered.
func (c *Conn) opened(o frames.Open) {
	proceed := func() { c.answerOpen(o) }
	if c.cfg.Interceptor == nil {
		proceed()
		return
	}
	c.intercept(nil, Event{Op: OpOpen, Link: Link{Conn: c.id}}, proceed, func(e *Error) {
		proceed()
		c.closeWith(e)
	})
}
