package worker

// The watch over the management link of a receiver. Renewals and settlements by lock token go over it, and the SDK uses one
// that the broker has ended as if nothing had happened: the next call finds that out, and recovers by closing the receive
// link too, over messages that are on the wire. Their locks would have to expire. So the end of that link ends the client at
// once, in our own way (retire). It also must not end for want of use, see nodeIdle.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// nodeIdle is how long a management link is left unused: Service Bus ends one after ten minutes, however busy the receive
// link is, and calls that need no renewal leave it idle all day.
const nodeIdle = 4 * time.Minute

var errSevered = errors.New("the link that renews locks has ended")

// nodeWatch follows the first pair of links to a management node, which is the receiver's: it is proven before the sender
// has one. It belongs to the goroutine that reads the connection, but for severed.
type nodeWatch struct {
	severed chan struct{} // closed when the broker ends one of the links
	over    bool          // severed is closed
	channel uint16        // the broker's, of their session
	handles []int64       // the broker's, of the links; none before they are attached
}

func newNodeWatch() *nodeWatch { return &nodeWatch{severed: make(chan struct{})} }

// incoming looks at a frame of the broker, whole up to watchedPart.
func (w *nodeWatch) incoming(frame []byte) {
	body, channel := frameBody(frame), binary.BigEndian.Uint16(frame[6:])
	ours := len(w.handles) > 0 && channel == w.channel
	switch performative(body) {
	case performativeAttach:
		if f := listFields(body, 2); len(f) == 2 && (ours || len(w.handles) == 0) && bytes.Contains(body, []byte("$management")) {
			w.channel, w.handles = channel, append(w.handles, f[1])
		}
	case performativeDetach:
		if f := listFields(body, 1); ours && len(f) == 1 && slices.Contains(w.handles, f[0]) {
			w.sever()
		}
	case performativeEnd:
		if ours {
			w.sever()
		}
	}
}

func (w *nodeWatch) sever() {
	if !w.over {
		w.over = true
		close(w.severed)
	}
}
