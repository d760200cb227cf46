package transport

import (
	"slices"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// What a session receiver and its answer carry (Service Bus). A filter of null asks
// for the next free session.
const (
	sessionFilter     = "com.microsoft:session-filter"
	propertyTimeout   = "com.microsoft:timeout"
	propertyLockUntil = "com.microsoft:locked-until-utc"
)

// askedSession reads which session a receiver asks for; nil if it is none that does.
func askedSession(a *frames.Attach) (*Session, error) {
	value, ok := a.Source.Filter.Get(sessionFilter)
	if !ok {
		return nil, nil
	}
	// Go describes the value, the other clients send it bare.
	if d, ok := value.(codec.Described); ok {
		value = d.Value
	}
	if value != nil {
		id, ok := codec.Text(value)
		if !ok {
			return nil, refusef(condDecode, "session filter of type %T", value)
		}
		return &Session{ID: id}, nil
	}
	asked := &Session{Next: true}
	if a.Properties == nil {
		return asked, nil
	}
	properties, _, err := codec.Decode(a.Properties)
	if err != nil {
		return nil, refusef(condDecode, "link properties: %v", err)
	}
	m, _ := properties.(codec.Map)
	timeout, _ := m.Get(propertyTimeout)
	if ms, ok := codec.Int64(timeout); ok {
		// Kept in the range of a uint, in which the clients send it.
		asked.Wait = codec.Some(time.Duration(max(0, min(ms, 1<<32-1))) * time.Millisecond)
	}
	return asked, nil
}

// openSession asks the namespace for the session. The attach stays unanswered, and
// the connection goes on, until it has one.
func (l *link) openSession() {
	c := l.s.c
	l.cancel = c.cfg.Namespace.OpenSession(l.info, func(source SessionSource, err error) {
		c.post(func() { l.sessionOpened(source, err) })
	})
}

// sessionOpened answers the attach. If the link has ended meanwhile, that has given
// the session back.
func (l *link) sessionOpened(source SessionSource, err error) {
	if !l.alive() {
		return
	}
	l.cancel = nil
	if err != nil {
		l.detach(asError(err))
		return
	}
	l.out.source, l.out.session = source, source
	l.out.stop = source.Watch(l.out.waker(l.s.c))
	l.info.Session = &Session{ID: source.ID()}
	l.attach.Source, err = withSession(l.attach.Source, source.ID())
	if err == nil {
		err = source.Lost()
	}
	if err != nil {
		l.detach(asError(err))
		return
	}
	l.answer()
}

// withSession is the client's source with the session it got, in the shape it asked
// in: Go dies of a filter that is not described, JS takes one that is for another
// session.
func withSession(source frames.Terminus, id string) (frames.Terminus, error) {
	filter := slices.Clone(source.Filter)
	for i, p := range filter {
		if described, ok := p.Value.(codec.Described); ok {
			described.Value = id
			filter[i].Value = described
		} else {
			filter[i].Value = id
		}
	}
	answered, err := source.WithFilter(filter)
	if err != nil {
		return source, refusef(condDecode, "%v", err)
	}
	return answered, nil
}

// ticksAtEpoch is 1970 in the time of .NET: ticks of 100 ns since the year 1.
const ticksAtEpoch = 621_355_968_000_000_000

// lockedUntil is the link property that tells when the session's lock expires: a
// long, not a timestamp (Service Bus).
func lockedUntil(t time.Time) []byte {
	entry := codec.AppendInt64(codec.AppendSymbol(nil, propertyLockUntil), t.UnixMilli()*10_000+ticksAtEpoch)
	return codec.AppendPairs(nil, 1, entry)
}
