package transport

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// putOn is put on a channel other than 0.
func putOn[P frames.Performative](p *peer, channel uint16, f P) {
	p.out = frames.Append(p.out, frames.TypeAMQP, channel, f)
}

// inspect looks at what belongs to the loop.
func (p *peer) inspect(look func(c *Conn)) {
	done := make(chan struct{})
	p.conn.post(func() { look(p.conn); close(done) })
	<-done
}

func TestOpenThatCannotBeAnsweredIsClosedWithTheReason(t *testing.T) {
	open := frames.Append(nil, frames.TypeAMQP, 0, frames.Open{ContainerID: "peer", MaxFrameSize: codec.Some[uint32](511)})
	for name, test := range map[string]struct {
		frame []byte
		want  string
	}{
		"begin before open":        {frames.Append(nil, frames.TypeAMQP, 0, frames.BeginSession{}), condIllegalState},
		"heartbeat before open":    {frames.End(frames.Begin(nil, 0, 0), 0), condDecode},
		"field of another type":    {frames.End(append(frames.Begin(nil, 0, 0), 0x00, 0x53, 0x10, 0xc0, 3, 1, 0x52, 9), 0), condDecode},
		"frame size too small":     {open, condInvalidField},
		"frame beyond the maximum": {[]byte{0x7f, 0, 0, 0, 2, 0, 0, 0}, condFraming},
		"data offset of 4":         {[]byte{0, 0, 0, 8, 1, 0, 0, 0}, condFraming},
	} {
		t.Run(name, func(t *testing.T) {
			withStranger(t, Config{}, func(p *peer) {
				p.out = append(append(p.out, "AMQP\x00\x01\x00\x00"...), test.frame...)
				p.flush()
				if c := condition(p.expect("AMQP open close")[2].close.Error); c != test.want {
					t.Errorf("closed with %s, want %s", c, test.want)
				}
			})
		})
	}
}

func TestHandshakeThatDoesNotEndIsCutOff(t *testing.T) {
	const header = "AMQP\x00\x01\x00\x00"
	for name, test := range map[string]struct{ sent, answer string }{
		"nothing":                {"", "eof"},
		"half a protocol header": {"AMQP", "eof"},
		"no sasl-init":           {"AMQP\x03\x01\x00\x00", "AMQP sasl eof"},
		"no open":                {header, "AMQP open close eof"},
		"half an open":           {header + "\x00\x00\x00\x20\x02\x00\x00\x00\x00\x53", "AMQP open close eof"},
	} {
		t.Run(name, func(t *testing.T) {
			withStranger(t, Config{}, func(p *peer) {
				p.out = append(p.out, test.sent...)
				p.flush()
				time.Sleep(handshakeTimeout + 2*lingering) // the bubble's clock
				synctest.Wait()
				p.expect(test.answer)
			})
		})
	}
}

func TestOversizedSASLFrameEndsTheConnection(t *testing.T) {
	for size, answer := range map[int]string{400: "AMQP sasl sasl", 600: "AMQP sasl eof"} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			withStranger(t, Config{}, func(p *peer) {
				p.out = append(p.out, "AMQP\x03\x01\x00\x00"...)
				p.out = frames.Append(p.out, frames.TypeSASL, 0, frames.SASLInit{Mechanism: "PLAIN", InitialResponse: make([]byte, size)})
				p.flush()
				p.expect(answer)
			})
		})
	}
}

func TestFramesBehindADelayedOpenWait(t *testing.T) {
	interceptor := func(ev Event) (a Action) {
		if ev.Op == OpOpen {
			a.Delay = time.Second
		}
		return a
	}
	withStranger(t, Config{Interceptor: interceptor}, func(p *peer) {
		p.out = append(p.out, "AMQP\x00\x01\x00\x00"...)
		put(p, frames.Open{ContainerID: "peer"})
		put(p, frames.BeginSession{})
		p.flush()
		p.expect("AMQP")
		time.Sleep(2 * time.Second) // the bubble's clock
		synctest.Wait()
		p.expect("open begin")
	})
}

func TestAnswerLargerThanTheClientTakesClosesTheConnection(t *testing.T) {
	withStranger(t, Config{}, func(p *peer) {
		p.out = append(p.out, "AMQP\x00\x01\x00\x00"...)
		put(p, frames.Open{ContainerID: "peer", MaxFrameSize: codec.Some[uint32](512)})
		put(p, frames.BeginSession{})
		put(p, frames.Attach{Name: "l", Role: frames.RoleSender, Target: frames.Target(strings.Repeat("q", 500))})
		p.flush()
		if c := condition(p.expect("AMQP open begin close")[3].close.Error); c != condFrameTooSmall {
			t.Errorf("closed with %s", c)
		}
	})
}

func TestLimitsOfTheClientAreKept(t *testing.T) {
	withStranger(t, Config{}, func(p *peer) {
		p.out = append(p.out, "AMQP\x00\x01\x00\x00"...)
		put(p, frames.Open{ContainerID: "peer", ChannelMax: codec.Some[uint16](0)})
		put(p, frames.BeginSession{HandleMax: codec.Some[uint32](0)})
		p.flush()
		p.expect("AMQP open begin")
		p.receiver(0, "q")
		put(p, frames.Attach{Name: "second", Handle: 1, Source: frames.Source("q"), Role: frames.RoleReceiver})
		p.flush()
		if c := condition(p.expect("end")[0].end.Error); c != condNotAllowed {
			t.Errorf("a link beyond handle-max: ended with %s", c)
		}
		putOn(p, 1, frames.BeginSession{})
		p.flush()
		if c := condition(p.expect("close")[0].close.Error); c != condNotAllowed {
			t.Errorf("a session beyond channel-max: closed with %s", c)
		}
	})
}

func TestNamesAreBounded(t *testing.T) {
	long := strings.Repeat("n", maxName+1)
	for name, a := range map[string]frames.Attach{
		"name":   {Name: long, Source: frames.Source("q")},
		"source": {Name: "l", Source: frames.Source(long)},
		"target": {Name: "l", Target: frames.Target(long)},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, Config{}, func(p *peer) {
				a.Role = frames.RoleReceiver
				put(p, a)
				p.flush()
				if c := condition(p.expect("end")[0].end.Error); c != condInvalidField {
					t.Errorf("ended with %s", c)
				}
			})
		})
	}
}

func TestLinksOfAConnectionAreBounded(t *testing.T) {
	withPeer(t, Config{}, func(p *peer) {
		attach := func(i int) {
			putOn(p, uint16(i/256), frames.Attach{
				Name: fmt.Sprint(i), Handle: uint32(i % 256), Role: frames.RoleReceiver, Source: frames.Source("q"),
			})
		}
		for i := range maxLinks {
			if i > 0 && i%256 == 0 {
				putOn(p, uint16(i/256), frames.BeginSession{})
			}
			attach(i)
		}
		p.flush()
		for r := p.next(); r.name != ""; r = p.next() {
			if r.name != "attach" && r.name != "begin" {
				t.Fatalf("%s within the limit", r.name)
			}
		}
		attach(maxLinks)
		p.flush()
		if c := condition(p.expect("end")[0].end.Error); c != condLimit {
			t.Errorf("ended with %s", c)
		}
		// What the session held is free again, and only that.
		const kept = maxLinks / 256 * 256
		p.inspect(func(c *Conn) {
			if c.links != kept || len(c.names) != kept {
				t.Errorf("%d links and %d names are left of %d", c.links, len(c.names), kept)
			}
		})
	})
}

func TestMessagesWithoutAnEndAreBounded(t *testing.T) {
	withPeer(t, Config{}, func(p *peer) { // every sink takes 4 MiB
		const part, links = 200 << 10, maxAssembly/(4<<20) + 1
		for handle := range uint32(links) {
			p.sender(handle, "q")
		}
		sent, refused := 0, ""
		for handle := uint32(0); handle < links && refused == ""; handle++ {
			for range 4 << 20 / part {
				f := frames.Transfer{Handle: handle, DeliveryID: codec.Some(handle), More: true}
				start := len(p.out)
				p.out = frames.Append(p.out, frames.TypeAMQP, 0, f)
				p.out = frames.End(append(p.out, make([]byte, part)...), start)
				sent += part
			}
			p.flush()
			for r := p.next(); r.name != ""; r = p.next() {
				refused = r.name + " " + condition(r.detach.Error)
			}
		}
		if refused != "detach "+condLimit || sent < maxAssembly {
			t.Fatalf("%q after %d bytes", refused, sent)
		}
		put(p, frames.EndSession{})
		p.flush()
		p.inspect(func(c *Conn) {
			if c.assembled != 0 || c.links != 0 {
				t.Errorf("%d bytes and %d links are left after the session", c.assembled, c.links)
			}
		})
	})
}

func TestLinksThatWaitForTheWindowAreForgottenWithIt(t *testing.T) {
	b := newBench()
	b.queue("q").put([]byte("waiting"))
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		for range 10 {
			p.receiver(0, "q")
			f := credit(0, 0, 1, false)
			f.IncomingWindow = 0
			put(p, f)
			p.flush()
			put(p, frames.Detach{Handle: 0, Closed: true})
			p.flush()
			p.expect("detach")
		}
		p.inspect(func(c *Conn) {
			if n := len(c.sessions[0].blocked); n != 0 {
				t.Errorf("%d detached links wait for the window", n)
			}
		})
	})
}

func TestRepeatedDeliveryForgetsTheOldestUnsettled(t *testing.T) {
	t.Parallel()
	s := &session{c: &Conn{}, unsettled: map[uint32]unsettled{}}
	o := &outgoing{l: &link{s: s}}
	for range maxSpan + 10 {
		o.first(&Delivery{})
	}
	if _, known := s.unsettled[9]; len(s.unsettled) != maxSpan || known {
		t.Errorf("%d deliveries are remembered, the oldest among them: %v", len(s.unsettled), known)
	}
}

func TestDispositionOfManyIsAnsweredInRanges(t *testing.T) {
	b := newBench()
	b.queue("q").put([]byte("0"), []byte("1"), []byte("2"), []byte("3"))
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		p.receiver(0, "q")
		put(p, credit(0, 0, 4, false))
		p.flush()
		p.expect("transfer transfer transfer transfer")
		settle := func(first, last uint32, want string) []received {
			t.Helper()
			put(p, frames.Disposition{Role: frames.RoleReceiver, First: first, Last: codec.Some(last), State: frames.Accepted{}})
			p.flush()
			return p.expect(want)
		}
		settle(2, 2, "disposition")
		got := settle(0, 1<<31-2, "disposition disposition disposition")
		for i, want := range []struct {
			first, last uint32
			accepted    bool
		}{{0, 1, true}, {2, 2, false}, {3, 3, true}} {
			d := got[i].disposition
			if _, accepted := d.State.(frames.Accepted); d.First != want.first || d.Last.Value != want.last || accepted != want.accepted {
				t.Errorf("answer %d is %+v, want %+v", i, d, want)
			}
		}
		settle(0, 3, "disposition") // all are lost: one answer
		settle(4, 5000, "")         // none of them was ever sent
		if c := condition(settle(3, 2, "end")[0].end.Error); c != condInvalidField {
			t.Errorf("a range backwards: ended with %s", c)
		}
	})
}

func TestResponsesLeftUnreadAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	r := &responses{wake: func() {}}
	large := make([]byte, 1<<20)
	for r.push(large) {
	}
	if r.bytes < maxResponseBytes || r.bytes > maxResponseBytes+len(large) {
		t.Errorf("%d bytes are held", r.bytes)
	}
	if got := r.Acquire(nil, 3); len(got) != 3 || !r.push(large) {
		t.Error("reading makes no room")
	}
}
