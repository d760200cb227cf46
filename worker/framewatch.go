package worker

// The frame watch. Some of the ways in which Service Bus ends a link put the SDK into a state that it never leaves: after a
// detach, end or close with one of the conditions below a receiver fails at once for ever, or the goroutine that waits for
// answers of the management node spins on a core, past even the closing of the client. To the SDK the plain end of a
// connection is harmless. So what comes in is watched, no byte of it is changed, and the frame that would wedge the SDK
// becomes the end of the connection instead.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
)

// wedging are the conditions that the SDK takes for passing, so that it neither recovers nor gives up.
var wedging = []string{conditionServerBusy, "com.microsoft:timeout", "com.microsoft:operation-cancelled"}

// The performatives that carry an error (AMQP 1.0 part 2 §2.7.7 to §2.7.9).
const (
	performativeDetach = 0x16
	performativeEnd    = 0x17
	performativeClose  = 0x18
)

const (
	// A protocol header and a frame's header have the same length (AMQP 1.0 part 2 §2.2 and §2.3.1).
	frameHeader = 8
	// watchedPart is how much of a frame is looked at. The condition of an error comes in the first hundred bytes or so.
	watchedPart = 512
)

// wedgeError is why the watch ended a connection.
type wedgeError struct{ condition string }

func (e *wedgeError) Error() string {
	return fmt.Sprintf("the broker ended a link or the connection with %s", e.condition)
}

// frameWatch follows the boundaries of the frames in a stream. It belongs to the goroutine that reads the stream.
type frameWatch struct {
	seen  []byte             // of the current frame, up to watchedPart
	left  uint32             // bytes of the current frame still to come, once its header is complete
	blind bool               // this is no AMQP: nothing can be told
	other func(frame []byte) // sees each frame that passes, up to watchedPart; nil: nobody
}

// feed takes the next bytes of the stream and returns how many of them may pass, which is all unless they complete a
// frame that would wedge the SDK.
func (w *frameWatch) feed(p []byte) (int, *wedgeError) {
	for at := 0; at < len(p) && !w.blind; {
		if len(w.seen) < frameHeader {
			n := min(frameHeader-len(w.seen), len(p)-at)
			w.seen = append(w.seen, p[at:at+n]...)
			at += n
			if len(w.seen) == frameHeader {
				w.begin()
			}
			continue
		}
		n := int(min(w.left, uint32(len(p)-at)))
		w.seen = append(w.seen, p[at:at+min(n, watchedPart-len(w.seen))]...)
		w.left -= uint32(n)
		if w.left == 0 {
			if condition := wedges(w.seen); condition != "" {
				return at, &wedgeError{condition}
			}
			if w.other != nil {
				w.other(w.seen)
			}
			w.seen = w.seen[:0]
		}
		at += n
	}
	return len(p), nil
}

// begin reads a complete header. A protocol header is "AMQP" and a version; anything else starts with the frame's size.
func (w *frameWatch) begin() {
	if bytes.HasPrefix(w.seen, []byte("AMQP")) {
		w.seen = w.seen[:0]
		return
	}
	size := binary.BigEndian.Uint32(w.seen)
	if size < frameHeader {
		w.blind = true // the SDK's own reader refuses it
		return
	}
	if w.left = size - frameHeader; w.left == 0 {
		w.seen = w.seen[:0] // a heartbeat
	}
}

// wedges returns the condition by which a frame would wedge the SDK, or "". A description that merely names one counts
// too: an end of the connection too many costs a reconnect.
func wedges(frame []byte) string {
	body := frameBody(frame)
	switch performative(body) {
	case performativeDetach, performativeEnd, performativeClose:
	default:
		return ""
	}
	for _, condition := range wedging {
		if bytes.Contains(body, []byte(condition)) {
			return condition
		}
	}
	return ""
}

// watchedConn is a connection whose incoming frames are watched. Like those of any net.Conn its methods may be called at
// the same time, Read by one goroutine only: that is how the SDK reads.
type watchedConn struct {
	net.Conn
	watch frameWatch // the reader's
	// arrived counts the reads that brought something; nil: nobody wants to know.
	arrived *atomic.Uint64
	ended   *wedgeError // the reader's: what Read returns from now on
	tell    func(error)
	over    func() // called when there is no more to read, perhaps more than once
}

// Read implements net.Conn.
func (c *watchedConn) Read(p []byte) (int, error) {
	if c.ended != nil {
		return 0, c.ended
	}
	n, err := c.Conn.Read(p)
	if n > 0 && c.arrived != nil {
		c.arrived.Add(1)
	}
	pass, wedge := c.watch.feed(p[:n])
	if wedge == nil && err != nil {
		c.over()
	}
	if wedge == nil {
		return n, err
	}
	c.ended = wedge
	c.tell(wedge)
	_ = c.Close() // for the peer; our side learns by the error
	if pass > 0 {
		return pass, nil
	}
	return 0, errors.Join(wedge, net.ErrClosed)
}

// Close implements net.Conn. The SDK reads no more after the close of its peer.
func (c *watchedConn) Close() error {
	c.over()
	return c.Conn.Close()
}

// errUnreadable means that the SDK gave a link up over a message that it cannot decode. The message will come again, and
// with it the others that were on their way: unless one at a time is asked for, they go down together.
var errUnreadable = errors.New("the SDK cannot read a message")

// Write implements net.Conn. The SDK writes one frame at a time. Only a message that it could not read makes it put an error
// into a detach.
func (c *watchedConn) Write(p []byte) (int, error) {
	if performative(frameBody(p)) == performativeDetach && bytes.Contains(p, []byte("amqp:internal-error")) {
		c.tell(errUnreadable)
	}
	return c.Conn.Write(p)
}
