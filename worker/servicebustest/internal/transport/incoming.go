package transport

import (
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
	"batchterminator/worker/servicebustest/internal/message"
)

const (
	// senderCredit is what a sending client gets, topped up at half.
	senderCredit = 1000
	// defaultMessageSize is the limit of nodes, and of a sink that names none: no
	// limit would let a client choose how much we hold, and JS builds no batch then.
	defaultMessageSize = 1 << 20
)

// incoming is the receiving half of a link: the client sends to a sink or a node.
type incoming struct {
	l     *link
	sink  Sink
	node  Node
	limit uint64 // largest message

	credit        uint32
	deliveryCount uint32

	active bool    // a delivery has begun and not ended
	now    arrival // that delivery
	tooBig bool    // it has outgrown limit; its bytes are no longer kept
}

// arrival is one message of the client.
type arrival struct {
	id      uint32
	format  uint32
	settled bool
	body    []byte // owned; grows frame by frame
}

// transfer takes one frame of a delivery.
func (s *session) transfer(fields []byte) error {
	var t frames.Transfer
	payload, err := t.Decode(fields)
	if err != nil {
		return err
	}
	// Every frame is dealt with before the next is read, so window and credit are topped
	// up long before they are spent, and a client that runs ahead costs nothing.
	s.incoming--
	s.nextIncoming++
	if s.incoming < window/2 {
		s.incoming = window
		send(s.c, s.local, s.windows())
	}
	l := s.links[t.Handle]
	switch {
	case l == nil:
		s.end(refusef(condUnattached, "transfer on handle %d", t.Handle))
	case !l.alive():
	case l.in == nil:
		l.detach(refusef(condTransfers, "transfer on a link without credit"))
	default:
		l.used = s.c.lastRead
		l.in.transfer(t, payload)
	}
	return nil
}

// transfer assembles the delivery.
func (in *incoming) transfer(t frames.Transfer, payload []byte) {
	if !in.active && !in.begin(t) {
		return
	}
	if t.Aborted {
		in.end()
		return
	}
	in.now.settled = in.now.settled || t.Settled
	if uint64(len(in.now.body)+len(payload)) > in.limit {
		in.tooBig = true
		in.drop()
	}
	if !in.tooBig && !in.keep(payload) {
		return
	}
	if t.More {
		return
	}
	d, tooBig := in.now, in.tooBig
	in.end()
	switch {
	case tooBig:
		in.reject(d, refusef(condSize, "the message is larger than the %d bytes allowed", in.limit))
	case in.node != nil:
		in.request(d)
	default:
		in.store(d)
	}
}

// begin starts a delivery, which takes one credit however many frames it has.
func (in *incoming) begin(t frames.Transfer) bool {
	switch {
	case t.Resume:
		in.l.detach(refusef(condNotImplemented, "resuming deliveries is not emulated"))
		return false
	case !t.DeliveryID.Set:
		in.l.detach(refusef(condNotAllowed, "first transfer of a delivery without delivery-id"))
		return false
	}
	in.credit--
	in.deliveryCount++
	in.active = true
	in.now = arrival{id: t.DeliveryID.Value, format: t.MessageFormat.Value}
	return true
}

// keep adds to the message in assembly; false if the link had to be detached for it.
func (in *incoming) keep(payload []byte) bool {
	if !in.l.s.c.assembly(len(payload), in.limit) {
		in.l.detach(refusef(condLimit, "too many messages were begun and not ended"))
		return false
	}
	in.now.body = append(in.now.body, payload...)
	return true
}

// drop gives up the message in assembly.
func (in *incoming) drop() {
	in.l.s.c.assembly(-len(in.now.body), in.limit)
	in.now.body = nil
}

// close gives up what has begun.
func (in *incoming) close() {
	in.drop()
	in.active = false
}

// end makes room for the next delivery.
func (in *incoming) end() {
	in.drop()
	in.active, in.tooBig, in.now = false, false, arrival{}
	if in.credit <= senderCredit/2 {
		in.grant()
	}
}

// grant tops up the client's credit.
func (in *incoming) grant() {
	in.credit = senderCredit
	in.report()
}

// report tells the client our view of the link. Go panics on a flow for a sender
// without link-credit, rhea computes NaN without delivery-count.
func (in *incoming) report() {
	s := in.l.s
	f := s.windows()
	f.Handle = codec.Some(in.l.local)
	f.DeliveryCount = codec.Some(in.deliveryCount)
	f.LinkCredit = codec.Some(in.credit)
	send(s.c, s.local, f)
}

// onFlow answers an echo; the client's other fields tell us nothing we act on.
func (in *incoming) onFlow(f frames.Flow) {
	if f.Echo {
		in.report()
	}
}

// store passes a message or batch to the sink.
func (in *incoming) store(d arrival) {
	accept := func() {
		if err := in.accept(d); err != nil {
			in.reject(d, asError(err))
			return
		}
		in.answer(d, frames.Accepted{})
	}
	c := in.l.s.c
	if c.cfg.Interceptor == nil {
		accept()
		return
	}
	a := c.cfg.Interceptor(Event{Op: OpTransferIn, Link: in.l.info})
	c.later(a.Delay, in.l, func() {
		if a.Rewrite != nil {
			d.body = a.Rewrite(d.body)
		}
		if a.Kind == Duplicate {
			_ = in.accept(d) // the verdict on the second is the one that is told
			a.Kind = Pass
		}
		c.act(in.l, a, accept, func(e *Error) { in.reject(d, e) })
	})
}

func (in *incoming) accept(d arrival) error {
	m, err := message.Parse(d.body)
	if err != nil {
		return refusef(condDecode, "%v", err)
	}
	msgs := []*message.Message{m}
	if d.format == message.BatchFormat {
		if msgs, err = m.Split(); err != nil {
			return refusef(condDecode, "%v", err)
		}
	}
	return in.sink.Accept(msgs)
}

// reject settles a delivery as refused.
func (in *incoming) reject(d arrival, why *Error) {
	in.answer(d, frames.Rejected{Error: why.wire()})
}

// answer settles a delivery, unless the client sent it settled.
func (in *incoming) answer(d arrival, state frames.State) {
	if d.settled {
		return
	}
	s := in.l.s
	send(s.c, s.local, frames.Disposition{
		Role: frames.RoleReceiver, First: d.id, Last: codec.Some(d.id), Settled: true, State: state,
	})
}
