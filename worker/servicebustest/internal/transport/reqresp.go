package transport

import (
	"slices"
	"strings"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
	"batchterminator/worker/servicebustest/internal/message"
)

// cbsAddress is the node that takes tokens; a connection has one pair of links to it (Service Bus).
const cbsAddress = "$cbs"

// toRequests makes the link one half of a request/response pair. The halves find
// each other only when a response is to be sent.
func (l *link) toRequests(node Node) error {
	c := l.s.c
	l.toNode = true
	if strings.EqualFold(l.info.Address, cbsAddress) {
		if c.cbs[l.info.Sender] != nil {
			return refusef(condNotAllowed, "only one pair of links to %s is allowed on a connection", cbsAddress)
		}
		c.cbs[l.info.Sender] = l
	}
	if !l.info.Sender {
		l.info.Mode = ReceiveAndDelete
		r := &responses{replyTo: l.attach.Target.Address}
		l.out.source, l.replies = r, r
		l.out.stop = r.Watch(l.out.waker(c))
		return nil
	}
	l.in = &incoming{l: l, node: node, limit: defaultMessageSize, deliveryCount: l.attach.InitialDeliveryCount.Value}
	return nil
}

// request hands a request to the node. The request itself is accepted whatever comes
// of it: failure is in the response.
func (in *incoming) request(d arrival) {
	req, err := message.Parse(d.body)
	if err != nil {
		in.reject(d, refusef(condDecode, "%v", err))
		return
	}
	c := in.l.s.c
	respond := func(build func() *message.Message) {
		in.answer(d, frames.Accepted{})
		in.respond(req, build)
	}
	usual := func() {
		respond(func() *message.Message {
			return in.node.Respond(Request{Link: in.l.info, ReplyTo: req.Properties().ReplyTo}, req)
		})
	}
	if c.cfg.Interceptor == nil {
		usual()
		return
	}
	ev := Event{Op: OpRequest, Link: in.l.info, Operation: operation(req), Request: req}
	c.intercept(in.l, ev, usual, func(e *Error) {
		respond(func() *message.Message { return failure(e) })
	})
}

// operation is the application property that names what is asked for.
func operation(req *message.Message) string {
	v, _ := req.ApplicationProperties.Get("operation")
	name, _ := codec.Text(v)
	return name
}

// respond makes the response and sends it to the link that the client reads from.
func (in *incoming) respond(req *message.Message, build func() *message.Message) {
	resp := build()
	if resp == nil {
		return
	}
	c := in.l.s.c
	if c.cfg.Interceptor == nil {
		in.reply(req, resp)
		return
	}
	ev := Event{Op: OpResponse, Link: in.l.info, Operation: operation(req), Request: req}
	a := c.cfg.Interceptor(ev)
	c.later(a.Delay, in.l, func() {
		if a.Rewrite != nil {
			resp = rewritten(resp, a.Rewrite)
		}
		c.act(in.l, a, func() { in.reply(req, resp) }, func(e *Error) { in.reply(req, failure(e)) })
	})
}

// rewritten is a response as a fault wants it, or as it was if that is no message.
func rewritten(resp *message.Message, rewrite func([]byte) []byte) *message.Message {
	changed, err := message.Parse(rewrite(resp.Append(nil)))
	if err != nil {
		return resp
	}
	return changed
}

// reply addresses a response and queues it.
func (in *incoming) reply(req, resp *message.Message) {
	asked, p := req.Properties(), resp.Properties()
	if p.CorrelationID == nil {
		// In value and type: Python's ids are numbers.
		p.CorrelationID = asked.MessageID
		if p.CorrelationID == nil {
			p.CorrelationID = asked.CorrelationID
		}
	}
	if p.To == "" {
		p.To = asked.ReplyTo
	}
	if err := resp.SetProperties(p); err != nil {
		in.l.detach(asError(err))
		return
	}
	l := in.replyLink(asked.ReplyTo)
	if l == nil {
		return // the client has gone; it cannot be told
	}
	if !l.replies.push(resp.Append(nil)) {
		l.detach(refusef(condLimit, "%d responses were left unread", len(l.replies.queue)))
	}
}

// replyLink finds where a response goes. Clients fill reply-to as they please: with
// the target address of their receiver (Go, .NET), with its link name (JS), or not at
// all (Python).
func (in *incoming) replyLink(replyTo string) *link {
	var byName, bySession, byNode *link
	for _, s := range in.l.s.c.channels {
		if s == nil {
			continue
		}
		for _, l := range s.handles {
			if l == nil || l.replies == nil || !l.alive() {
				continue
			}
			sameNode := strings.EqualFold(l.info.Address, in.l.info.Address)
			switch {
			case replyTo != "" && l.replies.replyTo == replyTo:
				return l
			case replyTo != "" && l.info.Name == replyTo && byName == nil:
				byName = l
			case sameNode && s == in.l.s && bySession == nil:
				bySession = l
			case sameNode && byNode == nil:
				byNode = l
			}
		}
	}
	for _, l := range []*link{byName, bySession, byNode} {
		if l != nil {
			return l
		}
	}
	return nil
}

// responses is the source behind a reply link. It belongs to the loop, like the link.
type responses struct {
	replyTo string // target address of the link
	queue   []Delivery
	bytes   int // of queue
	sent    uint64
	wake    func()
}

// push queues a response; false if there are too many.
func (r *responses) push(payload []byte) bool {
	if len(r.queue) >= maxResponses || r.bytes > maxResponseBytes {
		return false
	}
	r.bytes += len(payload)
	r.sent++
	var token codec.UUID // only has to be there and to differ
	for i := range 8 {
		token[15-i] = byte(r.sent >> (8 * i))
	}
	r.queue = append(r.queue, Delivery{Token: token, Payload: payload})
	r.wake()
	return true
}

func (r *responses) Acquire(into []Delivery, limit int) []Delivery {
	n := min(limit, len(r.queue))
	into = append(into, r.queue[:n]...)
	for _, d := range r.queue[:n] {
		r.bytes -= len(d.Payload)
	}
	r.queue = slices.Delete(r.queue, 0, n)
	return into
}

func (r *responses) Settle(codec.UUID, Outcome) error { return nil }

func (r *responses) Watch(wake func()) (stop func()) {
	r.wake = wake
	return func() { r.wake = func() {} }
}

func (r *responses) Close() {}

// failure is a response with the status that fits an error. It carries the spellings
// of $cbs and of $management; clients read theirs.
func failure(e *Error) *message.Message {
	resp := &message.Message{}
	status := statusOf(e.Condition)
	for _, p := range []codec.Pair{
		{Key: "statusCode", Value: status}, {Key: "status-code", Value: status},
		{Key: "statusDescription", Value: e.Description}, {Key: "status-description", Value: e.Description},
		{Key: "errorCondition", Value: codec.Symbol(e.Condition)}, {Key: "error-condition", Value: codec.Symbol(e.Condition)},
	} {
		if err := resp.ApplicationProperties.Set(p.Key, p.Value); err != nil {
			panic("encode status: " + err.Error()) // strings, symbols and int32 have types
		}
	}
	return resp
}

// statusOf is the status a condition travels with (Service Bus). An int, never a
// long: Go reads nothing else.
func statusOf(condition string) int32 {
	switch condition {
	case "amqp:not-found", "com.microsoft:message-not-found":
		return 404
	case "amqp:unauthorized-access", "com.microsoft:auth-failed":
		return 401
	case condLockLost, "com.microsoft:session-lock-lost":
		return 410
	case "com.microsoft:server-busy":
		return 503
	case "com.microsoft:timeout":
		return 408
	case condNotImplemented:
		return 501
	case "amqp:invalid-field", "com.microsoft:argument-error":
		return 400
	}
	return 500
}
