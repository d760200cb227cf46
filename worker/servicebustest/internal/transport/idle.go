package transport

import (
	"fmt"
	"time"
)

// IdleLimits says when the server gives up what nobody uses. Zero: never.
type IdleLimits struct {
	// Link bounds the time a link may carry no flow, transfer or settlement. It is
	// detached then; heartbeats and flows of the session do not count.
	Link time.Duration
	// Linkless bounds the time a connection may have no link any more.
	Linkless time.Duration
	// FirstLink bounds the time from open to the first link.
	FirstLink time.Duration
}

// idleWatch is the loop's memory for IdleLimits. One timer serves all links: it is
// set to the earliest end any of them can have, because use only moves an end away.
type idleWatch struct {
	sweeping bool      // a timer for links runs
	waiting  bool      // a timer for a connection without links runs
	ever     bool      // the connection had a link
	since    time.Time // when it had none any more
}

// linked notes a link that was just attached.
func (c *Conn) linked(l *link) {
	l.used = time.Now()
	c.idle.ever = true
	if c.cfg.Idle.Link > 0 && !c.idle.sweeping {
		c.idle.sweeping = true
		c.after(c.cfg.Idle.Link, c.sweepLinks)
	}
}

// sweepLinks detaches the links whose time is over and waits for the next.
func (c *Conn) sweepLinks() {
	c.idle.sweeping = false
	if c.phase != phaseUp {
		return
	}
	next := time.Duration(0)
	for _, l := range c.names {
		left := c.cfg.Idle.Link - time.Since(l.used)
		if l.state != attached {
			left = c.cfg.Idle.Link
		}
		if left <= 0 {
			l.detach(idleLink(l, c.cfg.Idle.Link))
			continue
		}
		if next == 0 || left < next {
			next = left
		}
	}
	if next > 0 {
		c.idle.sweeping = true
		c.after(next, c.sweepLinks)
	}
}

// idleLink is what Service Bus says to a link that nobody uses.
func idleLink(l *link, limit time.Duration) *Error {
	role, timer := "consumer", "AmqpMessageConsumer"
	switch {
	case l.toNode:
		timer = "AmqpControlProtocolClient"
	case l.info.Sender:
		role, timer = "publisher", "AmqpMessagePublisher"
	}
	return refusef(condDetachForced, "The link '%s' is force detached. Code: %s(link%d). Details: %s.IdleTimerExpired: Idle timeout: %s.",
		l.info.Name, role, l.local, timer, clockTime(limit))
}

// clockTime spells a duration as .NET does.
func clockTime(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

// awaitFirstLink gives a fresh connection its time to attach something.
func (c *Conn) awaitFirstLink() {
	limit := c.cfg.Idle.FirstLink
	if limit == 0 {
		return
	}
	c.after(limit, func() {
		if !c.idle.ever {
			c.closeWith(idleConn(limit))
		}
	})
}

// unlinked notes that a link has gone.
func (c *Conn) unlinked() {
	if c.cfg.Idle.Linkless == 0 || len(c.names) > 0 {
		return
	}
	c.idle.since = time.Now()
	if !c.idle.waiting {
		c.idle.waiting = true
		c.after(c.cfg.Idle.Linkless, c.awaitLink)
	}
}

// awaitLink closes a connection that has had no link for too long.
func (c *Conn) awaitLink() {
	c.idle.waiting = false
	if len(c.names) > 0 {
		return
	}
	if left := c.cfg.Idle.Linkless - time.Since(c.idle.since); left > 0 {
		c.idle.waiting = true
		c.after(left, c.awaitLink)
		return
	}
	c.closeWith(idleConn(c.cfg.Idle.Linkless))
}

// idleConn is what Service Bus says to a connection that carries no link.
func idleConn(limit time.Duration) *Error {
	return refusef(condConnForced, "The connection was inactive for more than the allowed %d milliseconds and is closed by container 'LinkTracker'.",
		limit.Milliseconds())
}
