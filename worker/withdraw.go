package worker

// The withdrawal of credit. On credit that is out the broker delivers whenever something arrives. When nobody may work on it,
// or the link closes, such a message lies in the SDK, or goes back and forth, until its lock ends, which burns a delivery. The
// SDK cannot take credit back. AMQP can: a flow that says drain (part 2 §2.6.7) has the sender use its credit up and say so,
// and the SDK understands that answer, though it never asks. So we ask, with a copy of its last flow.
//
// By such an answer the sender's count of deliveries goes ahead by the credit it gives up, and the SDK does not follow.
// So from then on its flows are raised by the difference.

import (
	"encoding/binary"
	"net"
	"slices"
	"sync"
)

const (
	performativeAttach = 0x12
	performativeFlow   = 0x13
)

// The fields of a flow (AMQP 1.0 part 2 §2.7.4) that matter here, by their place in its list.
const (
	flowHandle        = 4
	flowDeliveryCount = 5
	flowLinkCredit    = 6
	flowDrain         = 8
	flowFields        = 9 // up to there
)

// withdrawal follows the credit of a connection's receive link. The link is the only one of its session, so the session's
// channel stands for it. Its methods are safe for concurrent use.
type withdrawal struct {
	mu      sync.Mutex
	write   func([]byte) error // to the broker; set before use
	channel uint16             // of the receive link, under mu
	known   bool               // channel is, under mu
	last    []int64            // the fields of the last flow that granted credit, nil before it, under mu
	granted uint32             // the broker's delivery count up to which it may deliver, under mu
	ahead   uint32             // of the SDK's delivery count is the broker's, by so much credit given up, under mu
	stale   bool               // ahead is, until the next flow tells the SDK's count; under mu
	leaving bool               // a flow that grants credit is being written, under mu
	waiting bool               // the question is to follow it, under mu
	// answered is closed when the broker has given up what it was asked to. It is nil unless credit is being recalled; in that
	// time no flow grants anything. Under mu.
	answered chan struct{}
}

// recall asks for the credit that is out, unless that has been done. The channel is closed when the broker has given it up:
// what it has delivered until then has been read. No more is granted until resume.
func (w *withdrawal) recall() <-chan struct{} {
	answered, question := w.begin()
	if question != nil {
		_ = w.write(question) // a connection that fails has no credit
	}
	return answered
}

// begin returns what to write, nil if that has been written or nothing is out. A flow that is being written comes first: to the
// broker it would take the question back if it came after it.
func (w *withdrawal) begin() (answered <-chan struct{}, question []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered == nil {
		w.answered = make(chan struct{})
		switch {
		case w.last == nil:
			close(w.answered)
		case w.leaving:
			w.waiting = true
		default:
			question = flowFrame(w.last, true, w.channel)
		}
	}
	return w.answered, question
}

// written tells that what outgoing returned last has been written, and returns what is to follow it.
func (w *withdrawal) written() (question []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting {
		question = flowFrame(w.last, true, w.channel)
	}
	w.leaving, w.waiting = false, false
	return question
}

// recalling tells whether a recall has not been ended.
func (w *withdrawal) recalling() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answered != nil
}

// resume ends the recall under way, if it has been answered. The caller gives the SDK the time to see the answer first.
func (w *withdrawal) resume() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered == nil || !isOver(w.answered) {
		return false
	}
	w.answered, w.stale = nil, w.last != nil
	return true
}

// outgoing returns what to write instead of a frame, which is the frame itself unless it is a flow that must grant less, or
// count further. The SDK writes each frame by itself, one after the other; written follows each.
func (w *withdrawal) outgoing(frame []byte) []byte {
	if len(frame) < frameHeader {
		return frame
	}
	body, channel := frameBody(frame), binary.BigEndian.Uint16(frame[6:])
	switch performative(body) {
	case performativeAttach:
		w.attach(body, channel)
	case performativeFlow:
		return w.flow(frame, listFields(body, flowLinkCredit+1), channel)
	}
	return frame
}

// attach remembers the link that receives messages, which is neither a sender nor one to a node.
func (w *withdrawal) attach(body []byte, channel uint16) {
	const role = 2 // after the name and the handle
	if f := listFields(body, role+1); len(f) > role && f[role] == 1 && !toNode(body) {
		w.mu.Lock()
		w.channel, w.known = channel, true
		w.mu.Unlock()
	}
}

func (w *withdrawal) flow(frame []byte, f []int64, channel uint16) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known || channel != w.channel || len(f) <= flowLinkCredit || f[flowHandle] < 0 || f[flowDeliveryCount] < 0 || f[flowLinkCredit] < 0 {
		return frame
	}
	delivered := uint32(f[flowDeliveryCount])
	if w.stale {
		w.ahead, w.stale = w.granted-delivered, false
	}
	delivered += w.ahead
	f[flowDeliveryCount] = int64(delivered)
	if w.answered != nil { // the SDK was about to ask for more
		if isOver(w.answered) {
			w.answered = make(chan struct{}) // its credit is what the broker's next answer says
		}
		f[flowLinkCredit] = int64(max(int32(w.granted-delivered), 0)) // serial numbers (RFC 1982)
		return flowFrame(f, true, channel)
	}
	w.granted = delivered + uint32(f[flowLinkCredit])
	w.last, w.leaving = f, true
	if w.ahead == 0 {
		return frame
	}
	return flowFrame(f, false, channel)
}

// incoming looks at a frame of the broker, whole up to watchedPart, for the answer.
func (w *withdrawal) incoming(frame []byte) {
	body := frameBody(frame)
	if performative(body) != performativeFlow {
		return
	}
	f := listFields(body, flowFields)
	if len(f) <= flowDrain || f[flowDrain] != 1 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answered != nil && !isOver(w.answered) && int32(uint32(f[flowDeliveryCount])-w.granted) >= 0 {
		close(w.answered)
	}
}

// flowFrame encodes a flow from its fields.
func flowFrame(f []int64, drain bool, channel uint16) []byte {
	list := []byte{0, 0, 0, flowFields}
	for _, v := range f[:flowLinkCredit+1] {
		if v < 0 {
			list = append(list, 0x40)
			continue
		}
		list = binary.BigEndian.AppendUint32(append(list, 0x70), uint32(v))
	}
	said := byte(0x42) // false
	if drain {
		said = 0x41
	}
	list = append(list, 0x40, said) // available is not ours to say
	body := append([]byte{0, 0x53, performativeFlow, 0xd0}, binary.BigEndian.AppendUint32(nil, uint32(len(list)))...)
	body = append(body, list...)
	frame := binary.BigEndian.AppendUint32(nil, uint32(frameHeader+len(body)))
	frame = binary.BigEndian.AppendUint16(append(frame, frameHeader/4, 0), channel)
	return slices.Concat(frame, body)
}

// drainableConn is a connection whose credit can be withdrawn.
type drainableConn struct {
	net.Conn
	credit *withdrawal
}

// Write implements net.Conn.
func (c *drainableConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(c.credit.outgoing(p))
	if question := c.credit.written(); question != nil && err == nil {
		_, err = c.Conn.Write(question)
	}
	if err == nil {
		n = len(p)
	}
	return min(n, len(p)), err
}
