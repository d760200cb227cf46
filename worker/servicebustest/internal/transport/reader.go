package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"batchterminator/worker/servicebustest/internal/frames"
)

// readBuffer is what the reader starts with; it grows to the largest frame seen.
const readBuffer = 32 << 10

// batch is what the reader hands over: whole frames and protocol headers, or the
// end. buf goes back through Conn.free.
type batch struct {
	buf   []byte
	units int // bytes of buf that are whole units
	err   error
}

// isProtocolHeader tells the eight bytes "AMQP id 1 0 0" from a frame: read as a
// frame size they would be a gigabyte.
func isProtocolHeader(b []byte) bool { return string(b[:4]) == "AMQP" }

// unitSize is the size of the frame or protocol header that starts b, which has
// frames.HeaderSize bytes at least.
func unitSize(b []byte, limit uint32) (int, error) {
	if isProtocolHeader(b) {
		return frames.HeaderSize, nil
	}
	h, err := frames.ParseHeader(b, limit)
	return int(h.Size), err
}

// wholeUnits is the number of bytes of b that are whole units, and the room the
// next one needs if it is not whole.
func wholeUnits(b []byte, limit uint32) (n, need int, err error) {
	for len(b)-n >= frames.HeaderSize {
		size, err := unitSize(b[n:], limit)
		if err != nil {
			return n, 0, err
		}
		if len(b)-n < size {
			return n, size, nil
		}
		n += size
	}
	return n, frames.HeaderSize, nil
}

// read is the reader goroutine. It ends with the connection, after passing on the
// reason.
func (c *Conn) read() {
	defer c.running.Done()
	buf, have := make([]byte, readBuffer), 0
	for {
		n, err := c.nc.Read(buf[have:])
		have += n
		units, need, bad := wholeUnits(buf[:have], c.cfg.MaxFrameSize)
		if bad != nil {
			err = refusef(condFraming, "%v", bad)
		} else if errors.Is(err, io.EOF) && units < have {
			err = io.ErrUnexpectedEOF
		}
		if units > 0 || err != nil {
			select {
			case c.batches <- batch{buf: buf, units: units, err: err}:
			case <-c.dead:
				return
			}
			if err != nil {
				return
			}
			var next []byte
			select {
			case next = <-c.free:
			case <-c.dead:
				return
			}
			if len(next) < need {
				next = make([]byte, need)
			}
			have = copy(next, buf[units:have])
			buf = next
		} else if len(buf) < need {
			buf = append(make([]byte, 0, need), buf[:have]...)[:need]
		}
	}
}

// unit is one frame or protocol header inside a batch.
type unit struct {
	protocol []byte // the eight bytes, or nil for a frame
	header   frames.Header
	body     []byte
}

// nextUnit cuts the first unit of a batch, which the reader has measured.
func nextUnit(b []byte) (u unit, rest []byte) {
	if isProtocolHeader(b) {
		return unit{protocol: b[:frames.HeaderSize]}, b[frames.HeaderSize:]
	}
	size := binary.BigEndian.Uint32(b)
	h, err := frames.ParseHeader(b, size)
	if err != nil {
		panic(fmt.Sprintf("frame changed since it was read: %v", err))
	}
	return unit{header: h, body: b[h.Offset:size:size]}, b[size:]
}
