package worker

// The withdrawal of credit. On credit that is out the broker delivers whenever something arrives, and what is on its way
// while the link closes stays locked, which burns a delivery. The SDK cannot take credit back. AMQP can: a flow that says
// drain (part 2 §2.6.7) has the sender use its credit up and say so, and the SDK understands that answer, though it never
// asks. So its last flows are made to ask: they keep their place in the stream, grant no more than is out, and say drain.

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
// channel stands for it.
type withdrawal struct {
	mu      sync.Mutex
	channel uint16        // of the receive link, under mu
	known   bool          // channel is, under mu
	granted uint32        // the delivery count up to which the broker may deliver, under mu
	drained chan struct{} // made by want, closed by the answer, under mu
	over    bool          // drained is closed, under mu
}

// want has the next flow, and any later one, withdraw the credit instead of adding to it. The channel is closed when the
// broker has given the credit up: what it has delivered until then has been read.
func (w *withdrawal) want() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.drained == nil {
		w.drained = make(chan struct{})
	}
	return w.drained
}

// outgoing returns what to write instead of a frame, which is the frame itself unless it is a flow that has to ask. The
// SDK writes each frame by itself.
func (w *withdrawal) outgoing(frame []byte) []byte {
	if len(frame) < frameHeader {
		return frame
	}
	body, channel := frameBody(frame), binary.BigEndian.Uint16(frame[6:])
	switch performative(body) {
	case performativeAttach:
		w.attach(body, channel)
	case performativeFlow:
		return w.flow(frame, listFields(body, flowFields), channel)
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
	if w.drained == nil {
		w.granted = delivered + uint32(f[flowLinkCredit])
		return frame
	}
	f[flowLinkCredit] = int64(max(int32(w.granted-delivered), 0)) // serial numbers (RFC 1982)
	return drainingFlow(f, channel)
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
	if w.drained != nil && !w.over && int32(uint32(f[flowDeliveryCount])-w.granted) >= 0 {
		w.over = true
		close(w.drained)
	}
}

// drainingFlow encodes a flow from its fields.
func drainingFlow(f []int64, channel uint16) []byte {
	list := []byte{0, 0, 0, flowFields}
	for _, v := range f[:flowLinkCredit+1] {
		if v < 0 {
			list = append(list, 0x40)
			continue
		}
		list = binary.BigEndian.AppendUint32(append(list, 0x70), uint32(v))
	}
	list = append(list, 0x40, 0x41) // available: not ours to say; drain: true
	body := append([]byte{0, 0x53, performativeFlow, 0xd0}, binary.BigEndian.AppendUint32(nil, uint32(len(list)))...)
	body = append(body, list...)
	frame := binary.BigEndian.AppendUint32(nil, uint32(frameHeader+len(body)))
	frame = binary.BigEndian.AppendUint16(append(frame, frameHeader/4, 0), channel)
	return slices.Concat(frame, body)
}

// drainableConn is a connection whose credit can be withdrawn. Writes come one at a time, as the SDK makes them.
type drainableConn struct {
	net.Conn
	credit *withdrawal
}

// Write implements net.Conn.
func (c *drainableConn) Write(p []byte) (int, error) {
	written := c.credit.outgoing(p)
	n, err := c.Conn.Write(written)
	if err == nil {
		n = len(p)
	}
	return min(n, len(p)), err
}
