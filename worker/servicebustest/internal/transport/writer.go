package transport

import (
	"time"

	"batchterminator/worker/servicebustest/internal/frames"
)

const (
	// highWater is the backlog above which links stop acquiring messages.
	highWater = 256 << 10
	// hardLimit is the backlog above which the loop stops reading.
	hardLimit = 4 << 20
	// lingering bounds the time an ending connection takes over its last words.
	lingering = time.Second
)

// written is the writer's receipt; buf goes back to the loop.
type written struct {
	buf []byte
	err error
}

// write is the writer goroutine. It holds no lock and no state; the loop gives it
// one buffer at a time and ends it by closing toWrite.
func (c *Conn) write() {
	defer c.running.Done()
	for buf := range c.toWrite {
		_, err := c.nc.Write(buf)
		c.wrote <- written{buf, err}
	}
}

// send appends one frame to what is to be written. A frame larger than the client takes is
// not written, nor anything after it that may refer to it.
func send[P frames.Performative](c *Conn, channel uint16, p P) {
	start := len(c.out)
	c.out = frames.Append(c.out, frames.TypeAMQP, channel, p)
	if c.unfit || c.phase == phaseUp && len(c.out)-start > int(c.frameLimit) {
		c.out, c.unfit = c.out[:start], true
		return
	}
	c.traceOut(channel, start)
}

// checkFit closes the connection of a client that has made us answer it with more than its
// max-frame-size allows (part 2 §2.8.15).
func (c *Conn) checkFit() {
	if c.unfit {
		c.unfit = false
		c.closeWith(refusef(condFrameTooSmall, "max-frame-size %d is too small for the answer", c.frameLimit))
	}
}

// sendSASL is send for the frames before open.
func sendSASL[P frames.Performative](c *Conn, p P) {
	start := len(c.out)
	c.out = frames.Append(c.out, frames.TypeSASL, 0, p)
	c.traceOut(0, start)
}

// traceOut shows the frame that starts at start to the tracer.
func (c *Conn) traceOut(channel uint16, start int) {
	if c.cfg.Tracer != nil {
		c.cfg.Tracer(c.id, true, channel, c.out[start+frames.HeaderSize:])
	}
}

// flush gives the writer all there is, if it is idle.
func (c *Conn) flush() {
	if c.writing || len(c.out) == 0 {
		return
	}
	if c.dumb {
		c.out = c.out[:0]
		return
	}
	c.toWrite <- c.out // capacity 1 and the writer is idle: never blocks
	c.writing = true
	c.out, c.spare = c.spare[:0], nil
	c.lastWrite = time.Now()
}

// receipt takes a buffer back from the writer.
func (c *Conn) receipt(w written) {
	c.writing = false
	if cap(w.buf) <= 2*highWater {
		c.spare = w.buf
	}
	if w.err != nil {
		c.stop(w.err)
	}
}

// lastWords writes what is left, within lingering. The client may be writing too
// and, on a pipe, reading only after that: so what it sends is thrown away
// meanwhile.
func (c *Conn) lastWords() {
	if err := c.nc.SetWriteDeadline(time.Now().Add(lingering)); err != nil {
		return
	}
	for {
		c.flush()
		if !c.writing {
			return
		}
		select {
		case w := <-c.wrote:
			c.receipt(w)
			if w.err != nil {
				return
			}
		case b := <-c.batches:
			c.free <- b.buf
		}
	}
}
