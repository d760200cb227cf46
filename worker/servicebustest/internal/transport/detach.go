package transport

import "batchterminator/worker/servicebustest/internal/frames"

// detach handles the client's detach.
func (s *session) detach(fields []byte) error {
	var d frames.Detach
	if err := d.Decode(fields); err != nil {
		return err
	}
	l := s.links[d.Handle]
	if l == nil {
		s.end(refusef(condUnattached, "detach of handle %d", d.Handle))
		return nil
	}
	if l.state == detaching {
		l.forget()
		return nil
	}
	answer := func() {
		l.refuse()
		l.close()
		send(s.c, s.local, frames.Detach{Handle: l.local, Closed: d.Closed})
		l.forget()
	}
	if s.c.cfg.Interceptor == nil {
		answer()
		return nil
	}
	s.c.intercept(l, Event{Op: OpDetach, Link: l.info}, answer, func(e *Error) { l.detach(e); l.forget() })
	return nil
}

// detach detaches the link from our side, and refuses its attach if that is not
// answered yet. From here on nothing may be sent for it: go-amqp takes a transfer
// after a detach as a breach of protocol.
func (l *link) detach(why *Error) {
	if !l.alive() {
		return
	}
	l.refuse()
	l.close()
	l.state = detaching
	send(l.s.c, l.s.local, frames.Detach{Handle: l.local, Closed: true, Error: why.wire()})
}

// refuse answers an attach with null termini, to which a detach follows (part 2
// §2.6.3). Both go out in one write: JS waits a millisecond between them before it
// looks, and Go ends the session over a detach without an attach.
func (l *link) refuse() {
	if l.state == attaching {
		send(l.s.c, l.s.local, l.reply())
	}
}

// forget frees the link's handles.
func (l *link) forget() {
	if l.s.links[l.remote] != l {
		return // gone with its session
	}
	delete(l.s.links, l.remote)
	l.s.handles[l.local] = nil
	l.s.c.links--
}

// close lets go of all that the link holds, and says nothing. It may be called on a
// closed link.
func (l *link) close() {
	if l.state == closed || l.state == detaching {
		l.state = closed
		return
	}
	l.state = closed
	c := l.s.c
	if key := (linkName{l.info.Name, l.info.Sender}); c.names[key] == l {
		delete(c.names, key)
		c.unlinked()
	}
	if c.cbs[l.info.Sender] == l {
		delete(c.cbs, l.info.Sender)
	}
	for id, u := range l.s.unsettled {
		if u.l == l {
			delete(l.s.unsettled, id)
		}
	}
	if l.cancel != nil {
		l.cancel()
		l.cancel = nil
	}
	if l.out != nil {
		l.out.close()
	}
	if l.in != nil {
		l.in.close()
	}
}
