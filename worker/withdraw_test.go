package worker

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// onChannel moves a frame to a channel.
func onChannel(channel uint16, f string) []byte {
	p := []byte(f)
	binary.BigEndian.PutUint16(p[6:], channel)
	return p
}

const (
	receiving = "\x00\x53\x12\xc0\x10\x05\xa1\x04name\x43\x41\x40\x40" // a receiver, up to its settle modes
	sending   = "\x00\x53\x12\xc0\x10\x05\xa1\x04name\x43\x42\x40\x40"
	toCBS     = "\x00\x53\x12\xc0\x16\x05\xa1\x04$cbs\x52\x01\x41\x40\x40"
)

// list is a flow of these fields, as the SDK writes it.
func flowOf(fields ...string) string {
	list := strings.Join(fields, "")
	return frame("\x00\x53\x13\xd0" + string(binary.BigEndian.AppendUint32(nil, uint32(4+len(list)))) + string(binary.BigEndian.AppendUint32(nil, uint32(len(fields)))) + list)
}

func uintField(v uint32) string { return "\x70" + string(binary.BigEndian.AppendUint32(nil, v)) }

// credit is a flow with a delivery count and a link credit; the fields before are the session's and the handle.
func creditFlow(delivered, credit uint32) string {
	return flowOf("\x40", "\x52\x07", "\x43", uintField(5000), "\x43", uintField(delivered), uintField(credit))
}

// drainedAt is the broker's answer.
func drainedAt(delivered uint32) []byte {
	return []byte(flowOf("\x43", "\x52\x07", "\x43", uintField(5000), "\x52\x03", uintField(delivered), "\x43", "\x43", "\x41"))
}

// wire is a withdrawal of a receive link on channel 3, and what it writes of its own accord.
func wire() (w *withdrawal, written *[][]byte) {
	written = new([][]byte)
	w = &withdrawal{write: func(p []byte) error {
		*written = append(*written, p)
		return nil
	}}
	out(w, onChannel(3, frame(receiving)))
	return w, written
}

// out is what a frame is written as.
func out(w *withdrawal, frame []byte) []byte {
	frame = w.outgoing(frame)
	w.written()
	return frame
}

// flowed is a flow as we write it.
func flowed(delivered, credit uint32, drain bool) []byte {
	return onChannel(3, flowOf("\x40", uintField(7), uintField(0), uintField(5000), uintField(0), uintField(delivered), uintField(credit), "\x40", map[bool]string{true: "\x41", false: "\x42"}[drain]))
}

func TestRecallTakesBackTheCreditThatIsOut(t *testing.T) {
	t.Parallel()
	w, written := wire()
	out(w, onChannel(3, creditFlow(100, 40)))
	answered := w.recall()
	equal(t, "asked", *written, [][]byte{flowed(100, 40, true)})
	equal(t, "asked again", w.recall(), answered)
	equal(t, "flows", len(*written), 1)
	w.incoming(drainedAt(139))
	w.incoming([]byte(creditFlow(140, 0)))
	equal(t, "another answer is this one", isOver(answered) || w.resume(), false)
	w.incoming(drainedAt(140))
	w.incoming(drainedAt(140))
	equal(t, "answered", isOver(answered), true)
}

// 110 had come when the broker gave the other 30 up, for which its count went ahead.
func TestCreditAfterARecallCountsFromTheBrokersCount(t *testing.T) {
	t.Parallel()
	w, written := wire()
	out(w, onChannel(3, creditFlow(100, 40)))
	w.recall()
	w.incoming(drainedAt(140))
	equal(t, "resumed", w.resume(), true)
	equal(t, "first flow", out(w, onChannel(3, creditFlow(110, 5))), flowed(140, 5, false))
	equal(t, "next flow", out(w, onChannel(3, creditFlow(114, 5))), flowed(144, 5, false))
	w.recall()
	equal(t, "second recall", (*written)[1], flowed(144, 5, true))
	w.incoming(drainedAt(149))
	equal(t, "resumed", w.resume(), true)
	equal(t, "flow after it", out(w, onChannel(3, creditFlow(115, 1))), flowed(149, 1, false))
}

// writes is a connection that calls before each write, and remembers what is written.
type writes struct {
	net.Conn
	before func()
	frames *[][]byte
}

func (c writes) Write(p []byte) (int, error) {
	c.before()
	*c.frames = append(*c.frames, p)
	return len(p), nil
}

// Credit is taken back while the SDK writes the flow that grants it: the broker would take the question for withdrawn by a flow
// that comes after it.
func TestRecallComesAfterTheFlowThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	w, written := wire()
	var answered <-chan struct{}
	c := &drainableConn{writes{before: func() { answered = w.recall() }, frames: written}, w}
	f := onChannel(3, creditFlow(100, 40))
	if n, err := c.Write(f); n != len(f) || err != nil {
		t.Errorf("%d bytes written, %v", n, err)
	}
	equal(t, "written", *written, [][]byte{f, flowed(100, 40, true)})
	if _, err := c.Write(onChannel(3, frame(sending))); err != nil {
		t.Error(err)
	}
	equal(t, "frames", len(*written), 3)
	w.incoming(drainedAt(140))
	equal(t, "answered", isOver(answered), true)
}

// The SDK may have been about to ask for more.
func TestFlowDuringARecallGrantsNothing(t *testing.T) {
	t.Parallel()
	w, _ := wire()
	out(w, onChannel(3, creditFlow(100, 40)))
	answered := w.recall()
	equal(t, "flow", out(w, onChannel(3, creditFlow(110, 50))), flowed(110, 30, true))
	w.incoming(drainedAt(140))
	equal(t, "answered", isOver(answered), true)
	equal(t, "flow after the answer", out(w, onChannel(3, creditFlow(110, 50))), flowed(110, 30, true))
	equal(t, "resumed before its answer", w.resume(), false)
	w.incoming(drainedAt(140))
	equal(t, "resumed", w.resume(), true)
}

func TestRecallOfNothingIsAnswered(t *testing.T) {
	t.Parallel()
	w, written := wire()
	equal(t, "answered", isOver(w.recall()), true)
	equal(t, "asked", *written, nil)
	equal(t, "resumed", w.resume(), true)
	equal(t, "recalling", w.recalling(), false)
	f := onChannel(3, creditFlow(100, 40))
	equal(t, "flow", w.outgoing(f), f)
}

func TestDeliveryCountWrapsAround(t *testing.T) {
	t.Parallel()
	w, _ := wire()
	out(w, onChannel(3, creditFlow(1<<32-10, 20)))
	answered := w.recall()
	got := listFields(frameBody(out(w, onChannel(3, creditFlow(1<<32-5, 20)))), flowFields)
	equal(t, "credit", got[flowLinkCredit], 15)
	w.incoming(drainedAt(1<<32 - 1))
	equal(t, "answered early", isOver(answered), false)
	w.incoming(drainedAt(10))
	equal(t, "answered", isOver(answered), true)
	w.resume()
	equal(t, "next flow", out(w, onChannel(3, creditFlow(1<<32-5, 3))), flowed(10, 3, false))
}

// Everything but the credit of the receive link passes byte for byte, wanted or not.
func TestOtherFramesAreNotTouched(t *testing.T) {
	t.Parallel()
	w, _ := wire()
	w.outgoing(onChannel(4, frame(sending)))
	w.outgoing(onChannel(5, frame(toCBS)))
	w.recall()
	for _, f := range [][]byte{
		onChannel(4, creditFlow(1, 2)), onChannel(5, creditFlow(1, 2)), onChannel(9, creditFlow(1, 2)),
		onChannel(3, flowOf("\x40", "\x52\x07", "\x43", uintField(5000))), // the session's alone
		onChannel(3, frame("\x00\x53\x14\xc0\x04\x01\x43")), onChannel(3, frame("")), []byte("AMQP\x00\x01\x00\x00"), []byte("AMQ"), nil,
	} {
		if got := w.outgoing(f); !bytes.Equal(got, f) {
			t.Errorf("%q became %q", f, got)
		}
	}
}

// Whatever comes in or goes out, nothing breaks, and before credit is to be withdrawn nothing changes.
func TestWithdrawalTakesAnyBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := &withdrawal{write: func([]byte) error { return nil }}
		for range rapid.IntRange(1, 20).Draw(rt, "frames") {
			start := rapid.SampledFrom([]string{"", receiving, creditFlow(1, 2)[frameHeader:], "\x00\x53\x13\xd0", "\x00\x53\x12\xc0"}).Draw(rt, "start")
			f := onChannel(rapid.Uint16Range(0, 2).Draw(rt, "channel"), frame(start[:rapid.IntRange(0, len(start)).Draw(rt, "cut")]+string(rapid.SliceOf(rapid.Byte()).Draw(rt, "rest"))))
			f[4] = rapid.Byte().Draw(rt, "doff")
			w.incoming(f)
			if got := w.outgoing(slices.Clone(f)); !bytes.Equal(got, f) {
				rt.Fatalf("%q became %q", f, got)
			}
		}
		w.outgoing(onChannel(1, frame(receiving)))
		w.recall()
		w.outgoing(onChannel(1, creditFlow(rapid.Uint32().Draw(rt, "count"), rapid.Uint32().Draw(rt, "credit"))))
	})
}

// The SDK's own count of what it wrote is what it asked to write.
func TestRewrittenFlowCountsAsWritten(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	credit, _ := wire()
	c := &drainableConn{near, credit}
	go func() {
		_, _ = c.Write(onChannel(3, frame(receiving)))
		_ = credit.recall()
		f := onChannel(3, creditFlow(1, 2))
		if n, err := c.Write(f); n != len(f) || err != nil {
			t.Errorf("wrote %d of %d, %v", n, len(f), err)
		}
		_ = near.Close()
	}()
	var all bytes.Buffer
	if _, err := all.ReadFrom(far); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(all.Bytes(), []byte{0, 0x53, performativeFlow}); n != 1 {
		t.Errorf("%d flows of %d bytes", n, all.Len())
	}
	_, err := c.Write(onChannel(3, creditFlow(1, 2)))
	equal(t, "error of a closed connection", err != nil, true)
}
