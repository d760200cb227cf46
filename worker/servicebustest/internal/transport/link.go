package transport

import (
	"strings"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// linkName identifies a link on a connection: its name and who sends.
type linkName struct {
	name   string
	sender bool
}

// linkState is how far a link has come.
type linkState uint8

const (
	attaching linkState = iota // the reply is held back: by a delay, or until a session is free
	attached
	detaching // our detach is out, only the client's detach counts
	closed
)

// link is one link (part 2 §2.6). Either out or in is set once it is attached.
type link struct {
	s       *session
	info    Link
	remote  uint32 // the client's handle
	local   uint32 // ours
	state   linkState
	toNode  bool // a request/response link
	attach  frames.Attach
	out     *outgoing
	in      *incoming
	replies *responses // behind out, if the link carries responses
	used    time.Time  // when anything last passed over the link
	cancel  func()     // gives up a session not yet taken over; else nil
}

// alive says whether anything may still be done for the link.
func (l *link) alive() bool {
	return !l.s.ending && (l.state == attached || l.state == attaching)
}

// normalize strips scheme, authority and leading slash of an address: .NET sends
// "/q1" and Python "amqps://host/q1" for what Go calls "q1".
func normalize(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		_, address, _ = strings.Cut(rest, "/")
	}
	return strings.TrimLeft(address, "/")
}

func (s *session) attach(fields []byte) error {
	var a frames.Attach
	if err := a.Decode(fields); err != nil {
		return err
	}
	if a.Handle > handleMax {
		return refusef(condFraming, "handle %d exceeds handle-max %d", a.Handle, handleMax)
	}
	if s.links[a.Handle] != nil {
		s.end(refusef(condHandleInUse, "handle %d", a.Handle))
		return nil
	}
	if !s.fits(&a) {
		return nil
	}
	// The termini go back in a reply that may be written later.
	a.Source.Raw = append([]byte(nil), a.Source.Raw...)
	a.Target.Raw = append([]byte(nil), a.Target.Raw...)
	l := &link{s: s, remote: a.Handle, attach: a}
	l.attach.Properties = nil
	l.info = Link{Conn: s.c.id, Name: a.Name, Sender: a.Role == frames.RoleSender}
	if l.info.Sender {
		l.info.Address = normalize(a.Target.Address)
	} else {
		l.info.Address = normalize(a.Source.Address)
		if a.SenderMode.Set && a.SenderMode.Value == frames.SenderSettled {
			l.info.Mode = ReceiveAndDelete
		}
		l.out = &outgoing{l: l, size: highWater}
		session, err := askedSession(&a)
		if err != nil {
			return err
		}
		l.info.Session = session
	}
	l.local = uint32(place(&s.handles, l))
	s.links[a.Handle] = l
	s.c.links++
	if l.local > s.handleLimit {
		s.end(refusef(condNotAllowed, "a link more than the client's handle-max %d", s.handleLimit))
		return nil
	}
	s.steal(l)
	if s.c.cfg.Interceptor == nil {
		l.open()
		return nil
	}
	s.c.intercept(l, Event{Op: OpAttach, Link: l.info}, l.open, l.detach)
	return nil
}

// onFlow takes a flow for the link.
func (l *link) onFlow(f frames.Flow) {
	l.used = l.s.c.lastRead
	var handle func(frames.Flow)
	switch {
	case l.in != nil:
		handle = l.in.onFlow
	case l.out != nil:
		handle = l.out.onFlow
	default:
		return // a sender whose attach is delayed: credit comes with the answer
	}
	if l.s.c.cfg.Interceptor == nil {
		handle(f)
		return
	}
	l.s.c.intercept(l, Event{Op: OpFlow, Link: l.info}, func() { handle(f) }, l.detach)
}

// steal takes the name from a link that has it (part 2 §2.6.1).
func (s *session) steal(l *link) {
	key := linkName{l.info.Name, l.info.Sender}
	if old := s.c.names[key]; old != nil {
		old.detach(refusef(condStolen, "link %q was attached again", l.info.Name))
	}
	s.c.names[key] = l
}

// open resolves the address and answers the attach.
func (l *link) open() {
	if err := l.resolve(); err != nil {
		l.detach(asError(err))
		return
	}
	if l.cancel == nil {
		l.answer()
	}
}

// answer answers the attach with what the link leads to.
func (l *link) answer() {
	l.state = attached
	l.s.c.linked(l)
	reply := l.reply()
	reply.Source, reply.Target = l.attach.Source, l.attach.Target
	if l.out != nil && l.out.session != nil {
		reply.Properties = lockedUntil(l.out.session.LockedUntil())
	}
	if l.in != nil {
		reply.MaxMessageSize = codec.Some(l.in.limit)
		reply.Properties = batchSize(l.in.limit)
	}
	send(l.s.c, l.s.local, reply)
	if l.in != nil {
		l.in.grant() // rhea sends nothing before it has seen a flow
		return
	}
	l.out.start()
}

// batchSize is the link property the Go client prefers over max-message-size.
func batchSize(limit uint64) []byte {
	entry := codec.AppendUint64(codec.AppendSymbol(nil, "com.microsoft:max-message-batch-size"), limit)
	return codec.AppendPairs(nil, 1, entry)
}

// reply is the attach that answers the client's, termini excepted. go-amqp insists
// on the settle modes it asked for.
func (l *link) reply() frames.Attach {
	r := frames.Attach{
		Name:         l.info.Name,
		Handle:       l.local,
		Role:         !l.attach.Role,
		SenderMode:   l.attach.SenderMode,
		ReceiverMode: l.attach.ReceiverMode,
	}
	if !l.info.Sender {
		r.InitialDeliveryCount = codec.Some[uint32](0)
	}
	return r
}

// resolve finds what the link leads to.
func (l *link) resolve() error {
	if err := l.emulated(); err != nil {
		return err
	}
	ns, c := l.s.c.cfg.Namespace, l.s.c
	node, err := ns.OpenNode(l.info)
	if err != nil {
		return err
	}
	if node != nil {
		return l.toRequests(node)
	}
	if l.info.Sender {
		sink, err := ns.OpenSink(l.info)
		if err != nil {
			return err
		}
		l.in = &incoming{l: l, sink: sink, limit: sink.MaxMessageSize(), deliveryCount: l.attach.InitialDeliveryCount.Value}
		if l.in.limit == 0 {
			l.in.limit = defaultMessageSize
		}
		return nil
	}
	if l.info.Session != nil {
		l.openSession()
		return nil
	}
	source, err := ns.OpenSource(l.info)
	if err != nil {
		return err
	}
	l.out.source = source
	l.out.stop = source.Watch(l.out.waker(c))
	return nil
}

// emulated refuses what this server does not do, rather than to do half of it.
func (l *link) emulated() error {
	a := &l.attach
	switch {
	case a.Target.Coordinator:
		return refusef(condNotImplemented, "transactions are not emulated")
	case a.Source.Dynamic || a.Target.Dynamic:
		return refusef(condNotImplemented, "dynamic nodes are not emulated")
	case l.info.Sender:
		return nil
	}
	for _, p := range a.Source.Filter {
		if !codec.IsKey(p.Key, sessionFilter) {
			return refusef(condNotImplemented, "source filter %v is not emulated", p.Key)
		}
	}
	return nil
}
