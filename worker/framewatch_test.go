package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"pgregory.net/rapid"
)

// frame builds an AMQP frame around a body (AMQP 1.0 part 2 §2.3.1).
func frame(body string) string {
	header := binary.BigEndian.AppendUint32(nil, uint32(frameHeader+len(body)))
	return string(header) + "\x02\x00\x00\x00" + body
}

// ending is a detach, end or close with a condition, up to what the watch looks at.
func ending(descriptor, condition string) string {
	return frame(descriptor + "\xc0\x40\x03\x43\x41\x00\x53\x1d\xc0\x38\x02\xa3" + string(rune(len(condition))) + condition + "\xa1\x09Try later")
}

const (
	detach     = "\x00\x53\x16"
	end        = "\x00\x53\x17"
	closing    = "\x00\x53\x18"
	detachLong = "\x00\x80\x00\x00\x00\x00\x00\x00\x00\x16"
)

// harmless are streams that the watch lets pass.
var harmless = []string{
	"AMQP\x03\x01\x00\x00" + "AMQP\x00\x01\x00\x00",
	frame(""), // a heartbeat
	frame("\x00\x53\x14\xc0\x04\x01\x43") + frame("payload com.microsoft:server-busy"),
	frame("\x00\x53\x14" + string(bytes.Repeat([]byte("com.microsoft:server-busy "), 100))),
	ending(detach, "amqp:link:detach-forced"),
	ending(closing, "amqp:connection:forced"),
	frame(detach), frame("\x00"), frame("\x00\x53"), frame("\x00\x80\x01"),
	"\x00\x00\x00\x07 no frame of AMQP" + ending(detach, conditionServerBusy),
	"\x00\x00\x00\x09\x02\x00\x00\x00\x00",
	"\x00\x00\x00\x09\xff\x00\x00\x00\x00",
}

func TestTheWatchPassesEverythingElse(t *testing.T) {
	t.Parallel()
	for _, stream := range harmless {
		for chunk := 1; chunk <= len(stream); chunk++ {
			if got, wedge := through(stream, chunk); got != stream || wedge != nil {
				t.Fatalf("%q in chunks of %d: %q passed, %v", stream, chunk, got, wedge)
			}
		}
	}
}

func TestWhatWouldWedgeTheSDKEndsTheConnection(t *testing.T) {
	t.Parallel()
	for _, descriptor := range []string{detach, end, closing, detachLong} {
		for _, condition := range wedging {
			for _, before := range []string{"", harmless[0], harmless[2], harmless[3], harmless[4]} {
				bad := ending(descriptor, condition)
				stream := before + bad + ending(detach, "amqp:link:detach-forced")
				for chunk := 1; chunk <= len(stream); chunk++ {
					got, wedge := through(stream, chunk)
					if wedge == nil || wedge.condition != condition {
						t.Fatalf("%s in chunks of %d: %v", condition, chunk, wedge)
					}
					if len(got) >= len(before)+len(bad) || got != stream[:len(got)] || len(got) < len(before) {
						t.Fatalf("%s in chunks of %d: passed %q of %q", condition, chunk, got, stream)
					}
				}
			}
		}
	}
}

// through returns what of the stream passes the watch, read in chunks.
func through(stream string, chunk int) (string, *wedgeError) {
	var w frameWatch
	for at := 0; at < len(stream); at += chunk {
		part := stream[at:min(at+chunk, len(stream))]
		if n, wedge := w.feed([]byte(part)); wedge != nil {
			return stream[:at+n], wedge
		}
	}
	return stream, nil
}

// FuzzFrameWatch: the watch never panics, never lets a byte pass that did not come, keeps little, and sees the same in
// whatever pieces a stream arrives.
func FuzzFrameWatch(f *testing.F) {
	for _, stream := range harmless {
		f.Add([]byte(stream), uint16(3))
	}
	f.Add([]byte(ending(detach, conditionServerBusy)), uint16(1))
	f.Fuzz(func(t *testing.T, stream []byte, chunk uint16) {
		var whole frameWatch
		n, wedge := whole.feed(bytes.Clone(stream))
		if n > len(stream) || wedge == nil && n != len(stream) || cap(whole.seen) > 4*watchedPart {
			t.Fatalf("%d of %d passed, %v; keeps %d", n, len(stream), wedge, cap(whole.seen))
		}
		got, again := through(string(stream), 1+int(chunk))
		switch {
		case (wedge == nil) != (again == nil):
			t.Fatalf("%v whole, %v in pieces", wedge, again)
		case wedge != nil && (wedge.condition != again.condition || len(got) < n):
			t.Fatalf("%v after %d whole, %v after %d in pieces", wedge, n, again, len(got))
		}
	})
}

// pieces is a connection that hands out a stream in pieces of drawn lengths.
type pieces struct {
	net.Conn
	stream []byte
	next   func(limit int) int
	closed bool
}

func (p *pieces) Read(into []byte) (int, error) {
	if len(p.stream) == 0 {
		return 0, io.EOF
	}
	n := copy(into[:p.next(min(len(into), len(p.stream)))], p.stream)
	p.stream = p.stream[n:]
	return n, nil
}

func (p *pieces) Close() error {
	p.closed = true
	return nil
}

func TestAWatchedConnectionReadsLikeAnyOtherUntilItEnds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		good := rapid.SliceOfN(rapid.SampledFrom(harmless[:9]), 0, 6).Draw(t, "frames")
		var stream string
		for _, g := range good {
			stream += g
		}
		bad := rapid.Bool().Draw(t, "wedge")
		whole := stream
		if bad {
			whole += ending(detach, conditionServerBusy) + harmless[2]
		}
		var told error
		over := false
		inner := &pieces{stream: []byte(whole), next: func(limit int) int { return rapid.IntRange(1, limit).Draw(t, "length") }}
		conn := &watchedConn{Conn: inner, tell: func(err error) { told = err }, over: func() { over = true }}
		got, err := io.ReadAll(conn)
		wedge, ended := errors.AsType[*wedgeError](err)
		if ended != bad || bad && (!errors.Is(told, wedge) || !inner.closed) || !bad && (err != nil || string(got) != whole) {
			t.Fatalf("error %v, told %v, closed %v", err, told, inner.closed)
		}
		if !over {
			t.Fatal("nobody was told of the end")
		}
		if len(got) < len(stream) || string(got) != whole[:len(got)] {
			t.Fatalf("read %q of %q", got, whole)
		}
		if _, err := conn.Read(make([]byte, 1)); (err == nil) || bad && !errors.As(err, &wedge) {
			t.Fatalf("a read after the end: %v", err)
		}
	})
}
