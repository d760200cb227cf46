package transport

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// quantum is how many deliveries a link sends before the next one has its turn.
const quantum = 64

// outgoing is the sending half of a link: the client receives.
type outgoing struct {
	l       *link
	source  Source
	session SessionSource // source, if it is one
	stop    func()
	woken   atomic.Bool // set by the source's wake, cleared by the loop

	credit        uint32 // deliveries the client wants and we have not acquired
	deliveryCount uint32 // deliveries begun (part 2 §2.6.7)
	drain         bool   // unused credit is to be given up and reported

	pending []Delivery    // acquired, not wholly sent; credit for them is taken
	next    int           // the first of them
	size    int           // of the last message acquired; large at first
	rest    []byte        // of pending[next], once its first frame is out
	begun   bool          // the first frame of pending[next] is out
	asked   bool          // the interceptor has let pending[next] pass
	held    bool          // the interceptor delays pending[next]
	mute    bool          // nothing is sent, whatever the credit
	again   []Delivery    // to be sent a second time, under the lock they have
	copied  bool          // pending is from again: its lock is the original's
	part    uint32        // frame size for pending[next], 0 if it is the usual
	pause   time.Duration // between the frames of pending[next]
	queued  bool          // in Conn.ready
	waiting bool          // in session.blocked
}

// waker is what the source calls when it has news.
func (o *outgoing) waker(c *Conn) func() {
	ready := func() {
		o.woken.Store(false)
		if o.session != nil && o.l.alive() {
			if lost := o.session.Lost(); lost != nil {
				o.l.detach(asError(lost))
				return
			}
		}
		c.markReady(o.l)
	}
	return func() {
		if !o.woken.Swap(true) {
			c.post(ready)
		}
	}
}

// start begins to send once the attach is answered: a delayed attach may have
// collected credit.
func (o *outgoing) start() { o.l.s.c.markReady(o.l) }

// markReady gives the link a turn.
func (c *Conn) markReady(l *link) {
	if l.out == nil || l.out.queued || l.state != attached {
		return
	}
	l.out.queued = true
	c.ready = append(c.ready, l)
}

// pump lets ready links send, in turn, until none can or the backlog is high.
func (c *Conn) pump() {
	for len(c.ready) > 0 && len(c.out) < highWater {
		l := c.ready[0]
		c.ready = append(c.ready[:0], c.ready[1:]...)
		l.out.queued = false
		if l.state == attached && l.out.turn() {
			c.markReady(l)
		}
	}
}

// turn sends up to quantum deliveries and says whether there may be more.
func (o *outgoing) turn() bool {
	if o.mute {
		return false
	}
	for range quantum {
		if o.next == len(o.pending) && !o.acquire() {
			o.finishDrain()
			return false
		}
		if o.held || !o.admit() {
			return false
		}
		if !o.push() {
			return o.l.s.outgoing > 0 && !o.held // stopped by the backlog, not by the window
		}
	}
	return true
}

// acquire takes deliveries from the source as far as credit and window go. In
// ReceiveAndDelete it takes one at a time: what is acquired is deleted.
func (o *outgoing) acquire() bool {
	s := o.l.s
	if o.credit == 0 {
		return false
	}
	if s.outgoing == 0 {
		o.block()
		return false
	}
	if len(o.again) > 0 {
		o.pending, o.again = append(o.pending[:0], o.again[0]), o.again[1:]
		o.next, o.asked, o.held, o.copied = 0, true, false, true
		o.credit--
		return true
	}
	// About as much as the backlog may hold, going by the size of the last one: the
	// messages of a full quantum may be a hundred megabytes each.
	limit := min(o.credit, s.outgoing, quantum, max(1, highWater/uint32(max(o.size, 1))))
	if o.l.info.Mode == ReceiveAndDelete {
		limit = 1
	}
	clear(o.pending)
	o.asked, o.held, o.copied = false, false, false
	o.pending, o.next = o.source.Acquire(o.pending[:0], int(limit)), 0
	o.credit -= uint32(len(o.pending))
	if len(o.pending) == 0 {
		return false
	}
	o.size = len(o.pending[len(o.pending)-1].Payload)
	o.l.used = time.Now()
	return true
}

// block waits for the session's window.
func (o *outgoing) block() {
	if !o.waiting {
		o.waiting = true
		o.l.s.blocked = append(o.l.s.blocked, o.l)
	}
}

// push writes the frames of the next delivery. It is false if the window or the
// backlog ended it early.
func (o *outgoing) push() bool {
	s := o.l.s
	c, d := s.c, &o.pending[o.next]
	if !o.begun {
		o.rest = d.Payload
	}
	for !o.begun || len(o.rest) > 0 {
		if s.outgoing == 0 {
			o.block()
			return false
		}
		if len(c.out) >= highWater {
			return false
		}
		t := frames.Transfer{Handle: o.l.local}
		if !o.begun {
			t = o.first(d)
		}
		start := len(c.out)
		c.out, o.rest = frames.AppendTransfer(c.out, s.local, t, o.rest, o.frameSize())
		c.traceOut(s.local, start)
		s.outgoing--
		s.nextOutgoing++
		o.begun = true
		if len(o.rest) > 0 && o.pause > 0 {
			o.breathe()
			return false
		}
	}
	o.done()
	return true
}

// first makes the transfer that begins a delivery. Service Bus: the tag is the lock
// token in the byte order of a .NET Guid.
func (o *outgoing) first(d *Delivery) frames.Transfer {
	s := o.l.s
	settled := o.l.info.Mode == ReceiveAndDelete
	id, tag := s.nextDelivery, d.Token.Swap()
	s.nextDelivery++
	o.deliveryCount++
	if s.span < maxSpan {
		s.span++
	} else {
		delete(s.unsettled, s.nextDelivery-1-maxSpan)
	}
	if !settled {
		s.unsettled[id] = unsettled{o.l, d.Token}
	}
	return frames.Transfer{
		Handle:        o.l.local,
		DeliveryID:    codec.Some(id),
		DeliveryTag:   tag[:],
		MessageFormat: codec.Some[uint32](0),
		Settled:       settled,
	}
}

// done moves on to the next delivery.
func (o *outgoing) done() {
	o.next++
	o.rest, o.begun, o.asked = nil, false, false
	o.part, o.pause = 0, 0
}

// onFlow takes the client's credit. The new grant replaces the old one; what was
// acquired for credit that is now withdrawn goes back.
func (o *outgoing) onFlow(f frames.Flow) {
	grant := remaining(f.LinkCredit.Value, f.DeliveryCount.Value, o.deliveryCount)
	for o.unsent() > grant {
		o.giveBackLast()
	}
	o.credit = grant - o.unsent()
	o.drain = f.Drain
	if o.l.state != attached {
		return
	}
	o.l.s.c.markReady(o.l)
	if f.Echo && !f.Drain && !o.mute {
		o.report(false)
	}
}

// unsent is the number of deliveries acquired and not begun.
func (o *outgoing) unsent() uint32 {
	n := uint32(len(o.pending) - o.next)
	if o.begun {
		n--
	}
	return n
}

// finishDrain gives up the credit that found nothing (part 2 §2.6.7). The answer
// carries no echo, or go-amqp ignores it, and is due even if no credit was left.
func (o *outgoing) finishDrain() {
	if !o.drain || o.credit > 0 && o.l.s.outgoing == 0 {
		return
	}
	o.deliveryCount += o.credit
	o.credit, o.drain = 0, false
	o.report(true)
}

// report tells the client our view of the link.
func (o *outgoing) report(drained bool) {
	f := o.l.s.windows()
	f.Handle = codec.Some(o.l.local)
	f.DeliveryCount = codec.Some(o.deliveryCount)
	f.LinkCredit = codec.Some(uint32(min(uint64(o.credit)+uint64(o.unsent()), math.MaxUint32)))
	f.Drain = drained
	send(o.l.s.c, o.l.s.local, f)
}

// release hands back a delivery that the client never had.
func (o *outgoing) release(d Delivery) {
	if o.copied {
		return
	}
	// The lock may be gone by now, in which case there is nothing to hand back.
	_ = o.source.Settle(d.Token, Outcome{Settlement: Release})
}

// close gives back what is not sent, a half-sent delivery included: the client drops
// it with the link.
func (o *outgoing) close() {
	if o.source == nil {
		return
	}
	if o.stop != nil {
		o.stop()
	}
	for _, d := range o.pending[o.next:] {
		o.release(d)
	}
	o.pending, o.next, o.credit = nil, 0, 0
	if o.waiting {
		o.l.s.blocked = slices.DeleteFunc(o.l.s.blocked, func(l *link) bool { return l == o.l })
	}
	o.source.Close()
}
