package transport

import "batchterminator/worker/servicebustest/internal/frames"

// admit asks the interceptor about the next delivery, once.
func (o *outgoing) admit() bool {
	c := o.l.s.c
	if c.cfg.Interceptor == nil || o.asked {
		return true
	}
	o.asked = true
	token := o.pending[o.next].Token
	a := c.cfg.Interceptor(Event{Op: OpTransferOut, Link: o.l.info, Token: token})
	if a.passes() {
		return true
	}
	o.held = true
	c.later(a.Delay, o.l, func() {
		if o.next == len(o.pending) || o.pending[o.next].Token != token {
			return // given back meanwhile
		}
		o.held = false
		o.strike(a)
	})
	return false
}

// strike does to the next delivery what the interceptor says.
func (o *outgoing) strike(a Action) {
	c, d := o.l.s.c, &o.pending[o.next]
	switch a.Kind {
	case Pass, Duplicate:
		if a.Rewrite != nil {
			d.Payload = a.Rewrite(d.Payload)
		}
		if a.Kind == Duplicate {
			o.again = append(o.again, *d)
		}
		if a.Parts > 0 {
			o.part, o.pause = uint32(len(d.Payload)/a.Parts)+transferOverhead, a.Pause
		}
		c.markReady(o.l)
	case Swallow:
		o.lose()
	default:
		c.act(o.l, a, func() { c.markReady(o.l) }, o.l.detach)
	}
}

// lose forgets the next delivery, which stays locked. No transfer was written, so
// neither side's delivery-count has moved and the credit is still there (part 2
// §2.6.7): it goes to the next message.
func (o *outgoing) lose() {
	o.done()
	o.credit++
	o.l.s.c.markReady(o.l)
}

// transferOverhead is about what a transfer frame has beside the payload.
const transferOverhead = 48

// frameSize is the size of the next frame of pending[next].
func (o *outgoing) frameSize() uint32 {
	limit := o.l.s.c.frameLimit
	if o.part > 0 {
		limit = min(limit, max(o.part, frames.HeaderSize+transferOverhead+1))
	}
	return limit
}

// breathe holds pending[next], of which a frame is out, until the next may follow.
func (o *outgoing) breathe() {
	o.held = true
	o.l.s.c.later(o.pause, o.l, func() {
		o.held = false
		o.l.s.c.markReady(o.l)
	})
}

// mute has the link send nothing to its receiver.
func (l *link) mute() {
	if l != nil && l.out != nil {
		l.out.mute = true
	}
}

// unmute starts the link afresh. What it acquired for credit that it did not use may
// have lost its lock meanwhile, so it goes back first.
func (o *outgoing) unmute() {
	o.mute = false
	for o.unsent() > 0 {
		o.giveBackLast()
		o.credit++
	}
	o.l.s.c.markReady(o.l)
}

// giveBackLast releases the delivery acquired last, which is not begun.
func (o *outgoing) giveBackLast() {
	last := len(o.pending) - 1
	o.release(o.pending[last])
	o.pending = o.pending[:last]
}
