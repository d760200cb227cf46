package transport

import (
	"slices"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// disposition applies what the client decided about the deliveries first..last.
func (s *session) disposition(fields []byte) error {
	var d frames.Disposition
	if err := d.Decode(fields); err != nil {
		return err
	}
	if d.Role == frames.RoleSender {
		return nil // the sender's word about deliveries that we settled long ago
	}
	first, last := d.First, d.Last.Or(d.First)
	if int32(last-first) < 0 {
		s.end(refusef(condInvalidField, "disposition from %d down to %d", first, last))
		return nil
	}
	if oldest := s.nextDelivery - s.span; int32(first-oldest) < 0 {
		first = oldest
	}
	if int32(last-s.nextDelivery) >= 0 {
		last = s.nextDelivery - 1 // not sent yet
	}
	if _, ok := outcomeOf(d.State); !ok && !d.Settled && !refusedState(d.State) {
		return nil // says how far the client has read
	}
	echo := echoes{s: s, settled: d.Settled}
	for _, id := range s.unsettledIn(first, last) {
		if id != first {
			echo.add(first, id-1, lockLost)
		}
		s.settleOne(id, &d, &echo)
		first = id + 1
	}
	if int32(last-first) >= 0 {
		echo.add(first, last, lockLost)
	}
	echo.flush()
	return nil
}

// unsettledIn lists the unsettled deliveries of first..last, in order, in a time that
// depends on what there is and not on what the client has named.
func (s *session) unsettledIn(first, last uint32) (ids []uint32) {
	length := last - first + 1
	if int32(last-first) < 0 {
		return nil
	}
	if length <= uint32(len(s.unsettled)) {
		for id := first; id != last+1; id++ {
			if _, known := s.unsettled[id]; known {
				ids = append(ids, id)
			}
		}
		return ids
	}
	for id := range s.unsettled {
		if id-first < length {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int { return int(int32(a - b)) })
	return ids
}

// settleOne applies a disposition to one unsettled delivery.
func (s *session) settleOne(id uint32, d *frames.Disposition, echo *echoes) {
	u := s.unsettled[id]
	outcome, ok := outcomeOf(d.State)
	if !ok && refusedState(d.State) {
		echo.add(id, id, noTransactions)
		return
	}
	u.l.used = s.c.lastRead
	delete(s.unsettled, id)
	if !ok {
		return // settled without an outcome: forgotten here, and the lock runs out
	}
	u.decide(settling{id: id, settled: d.Settled, state: d.State, outcome: outcome}, echo)
}

// refusedState says whether the state is one that Service Bus knows and we do not.
func refusedState(state frames.State) bool {
	_, transactional := state.(frames.Transactional)
	return transactional
}

// settle applies the outcome and returns the state to answer with.
func (u unsettled) settle(o Outcome, state frames.State) frames.State {
	if err := u.l.out.source.Settle(u.token, o); err != nil {
		return frames.Rejected{Error: asError(err).wire()}
	}
	return echoState(state)
}

// settling is what becomes of one delivery.
type settling struct {
	id      uint32
	settled bool // the client waits for no answer
	state   frames.State
	outcome Outcome
}

// decide applies the outcome, unless the interceptor wants something else first.
func (u unsettled) decide(w settling, echo *echoes) {
	a := u.ask(OpDispositionIn, w)
	if a.passes() {
		u.apply(w, echo)
		return
	}
	u.l.s.c.carryOut(a, u.l, func() {
		late := echoes{s: u.l.s, settled: w.settled}
		u.apply(w, &late)
		late.flush()
	}, func(e *Error) { u.reply(w, frames.Rejected{Error: e.wire()}) })
}

// apply settles and answers, unless the interceptor wants another answer.
func (u unsettled) apply(w settling, echo *echoes) {
	answer := u.settle(w.outcome, w.state)
	a := u.ask(OpDispositionOut, w)
	if a.passes() {
		echo.add(w.id, w.id, answer)
		return
	}
	u.l.s.c.carryOut(a, u.l, func() { u.reply(w, answer) }, func(e *Error) {
		u.reply(w, frames.Rejected{Error: e.wire()})
	})
}

func (u unsettled) ask(op Op, w settling) Action {
	c := u.l.s.c
	if c.cfg.Interceptor == nil {
		return Action{}
	}
	return c.cfg.Interceptor(Event{Op: op, Link: u.l.info, Token: u.token, Settlement: w.outcome.Settlement})
}

// reply answers for this delivery alone.
func (u unsettled) reply(w settling, with frames.State) {
	one := echoes{s: u.l.s, settled: w.settled}
	one.add(w.id, w.id, with)
	one.flush()
}

// Answers that many deliveries share, so that a range of them takes one frame.
var (
	// lockLost is the answer for a delivery that is not the client's any more.
	lockLost       = frames.Rejected{Error: refusef(condLockLost, lockLostText).wire()}
	noTransactions = frames.Rejected{Error: refusef(condNotImplemented, "transactions are not emulated").wire()}
)

// echoState answers with the outcome asked for. The echo of a dead-letter holds no
// error: clients take one for a failed settlement.
func echoState(s frames.State) frames.State {
	switch s := s.(type) {
	case frames.Rejected:
		return frames.Rejected{}
	case frames.Modified:
		return frames.Modified{DeliveryFailed: s.DeliveryFailed, UndeliverableHere: s.UndeliverableHere}
	}
	return s
}

// outcomeOf translates a delivery state into a settlement (Service Bus); ok is false
// for states that settle nothing.
func outcomeOf(state frames.State) (o Outcome, ok bool) {
	switch st := state.(type) {
	case frames.Accepted:
		o.Settlement = Complete
	case frames.Released:
		o.Settlement = Release
	case frames.Modified:
		o = Outcome{Settlement: Abandon, Properties: textKeys(st.Annotations)}
		if st.UndeliverableHere {
			o.Settlement = Defer
		}
	case frames.Rejected:
		o = deadLetter(st.Error)
	default:
		return o, false
	}
	return o, true
}

// deadLetter reads reason and description out of the error's info. .NET may send no
// error at all; another client may send an error of its own.
func deadLetter(e *frames.Error) Outcome {
	o := Outcome{Settlement: DeadLetter}
	if e == nil {
		return o
	}
	if e.Condition != "com.microsoft:dead-letter" {
		o.Reason, o.Description = string(e.Condition), e.Description
	}
	for _, p := range textKeys(e.Info) {
		switch text, _ := codec.Text(p.Value); p.Key {
		case "DeadLetterReason":
			o.Reason = text
		case "DeadLetterErrorDescription":
			o.Description = text
		default:
			o.Properties = append(o.Properties, p)
		}
	}
	return o
}

// textKeys is m with string keys, as application properties have them; JS sends
// symbols.
func textKeys(m codec.Map) codec.Map {
	var out codec.Map
	for _, p := range m {
		if key, ok := codec.Text(p.Key); ok {
			out = append(out, codec.Pair{Key: key, Value: p.Value})
		}
	}
	return out
}

// echoes gathers the answers to one disposition into as few ranges as it can. The
// answer is what a client waits for in receiver mode second.
type echoes struct {
	s           *session
	settled     bool // the client settled by itself and waits for nothing
	first, last uint32
	state       frames.State // of first..last; nil if there is none yet
}

func (e *echoes) add(first, last uint32, state frames.State) {
	if e.settled {
		return // rhea settles replies that went out settled
	}
	if e.state != nil && first == e.last+1 && plain(state) && state == e.state {
		e.last = last
		return
	}
	e.flush()
	e.first, e.last, e.state = first, last, state
}

// plain says whether two states of this kind can be compared and are then equal in
// all respects.
func plain(s frames.State) bool {
	switch s.(type) {
	case frames.Accepted, frames.Released, frames.Rejected:
		return true
	}
	return false
}

func (e *echoes) flush() {
	if e.state == nil {
		return
	}
	send(e.s.c, e.s.local, frames.Disposition{
		Role: frames.RoleSender, First: e.first, Last: codec.Some(e.last), Settled: true, State: e.state,
	})
	e.state = nil
}
