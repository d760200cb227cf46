package transport

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
	"batchterminator/worker/servicebustest/internal/message"
)

// peer is a client written by hand, for what the Go client never does: drain, small
// windows, pipelining, breaches of protocol.
type peer struct {
	t       *testing.T
	nc      net.Conn
	out     []byte
	served  error
	gate    chan struct{} // read waits until it is closed
	serving sync.WaitGroup

	mu  sync.Mutex
	in  []byte // all that was received, under mu
	eof bool   // under mu
	at  int    // what next has looked at
}

// withPeer runs f in a bubble with an open connection and a session on channel 0.
func withPeer(t *testing.T, cfg Config, f func(p *peer)) {
	t.Helper()
	withStranger(t, cfg, func(p *peer) {
		p.out = append(p.out, "AMQP\x00\x01\x00\x00"...)
		put(p, frames.Open{ContainerID: "peer", MaxFrameSize: codec.Some[uint32](1024)})
		put(p, frames.BeginSession{IncomingWindow: 2048, OutgoingWindow: 2048})
		p.flush()
		p.expect("AMQP open begin")
		f(p)
	})
}

// withStranger is withPeer before the first byte.
func withStranger(t *testing.T, cfg Config, f func(p *peer)) {
	t.Helper()
	withDeaf(t, cfg, func(p *peer) {
		close(p.gate)
		f(p)
	})
}

// withDeaf is withStranger with a peer that reads nothing until its gate is closed.
func withDeaf(t *testing.T, cfg Config, f func(p *peer)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if cfg.Namespace == nil {
			cfg.Namespace = newBench()
		}
		ours, theirs := net.Pipe()
		p := &peer{t: t, nc: theirs, gate: make(chan struct{})}
		p.serving.Go(func() { p.served = Serve(context.Background(), ours, cfg) })
		p.serving.Go(p.read)
		f(p)
		_ = theirs.Close()
		p.serving.Wait()
	})
}

func (p *peer) read() {
	<-p.gate
	buf := make([]byte, 4096)
	for {
		n, err := p.nc.Read(buf)
		p.mu.Lock()
		p.in = append(p.in, buf[:n]...)
		p.eof = err != nil
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func put[P frames.Performative](p *peer, f P) {
	p.out = frames.Append(p.out, frames.TypeAMQP, 0, f)
}

// flush writes what was put and waits until the server has nothing more to do.
func (p *peer) flush() {
	p.t.Helper()
	if _, err := p.nc.Write(p.out); err != nil {
		p.t.Fatalf("peer write: %v", err)
	}
	p.out = p.out[:0]
	synctest.Wait()
}

// received is one frame from the server; what it is not stays zero.
type received struct {
	name        string
	attach      frames.Attach
	flow        frames.Flow
	transfer    frames.Transfer
	payload     []byte
	disposition frames.Disposition
	detach      frames.Detach
	end         frames.EndSession
	close       frames.Close
	open        frames.Open
}

// next returns the next frame, with name "" if there is none.
func (p *peer) next() received {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == len(p.in) {
		if p.eof {
			return received{name: "eof"}
		}
		return received{}
	}
	b := p.in[p.at:]
	if isProtocolHeader(b) {
		p.at += 8
		return received{name: string(b[:4])}
	}
	h, err := frames.ParseHeader(b, 1<<20)
	if err != nil {
		p.t.Fatal(err)
	}
	p.at += int(h.Size)
	if int(h.Size) == h.Offset {
		return received{name: "heartbeat"}
	}
	code, fields, err := frames.Split(b[h.Offset:h.Size])
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := decodeReceived(code, fields)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func decodeReceived(code uint64, fields []byte) (r received, err error) {
	switch code {
	case frames.CodeOpen:
		r.name, err = "open", r.open.Decode(fields)
	case frames.CodeBegin:
		var b frames.BeginSession
		r.name, err = "begin", b.Decode(fields)
	case frames.CodeAttach:
		r.name, err = "attach", r.attach.Decode(fields)
	case frames.CodeFlow:
		r.name, err = "flow", r.flow.Decode(fields)
	case frames.CodeTransfer:
		r.name = "transfer"
		r.payload, err = r.transfer.Decode(fields)
	case frames.CodeDisposition:
		r.name, err = "disposition", r.disposition.Decode(fields)
	case frames.CodeDetach:
		r.name, err = "detach", r.detach.Decode(fields)
	case frames.CodeEnd:
		r.name, err = "end", r.end.Decode(fields)
	case frames.CodeClose:
		r.name, err = "close", r.close.Decode(fields)
	case frames.CodeSASLMechanisms, frames.CodeSASLOutcome:
		r.name = "sasl"
	default:
		err = fmt.Errorf("frame %#02x", code)
	}
	return r, err
}

// expect takes all that has come and holds its names against want.
func (p *peer) expect(want string) []received {
	p.t.Helper()
	var all []received
	var names string
	for r := p.next(); r.name != ""; r = p.next() {
		all = append(all, r)
		if names != "" {
			names += " "
		}
		names += r.name
		if r.name == "eof" {
			break
		}
	}
	if names != want {
		p.t.Fatalf("server sent %q, want %q", names, want)
	}
	return all
}

// receiver attaches a receiving link.
func (p *peer) receiver(handle uint32, queue string) {
	p.t.Helper()
	put(p, frames.Attach{
		Name: fmt.Sprint("r", handle), Handle: handle, Role: frames.RoleReceiver,
		Source: frames.Source(queue), Target: frames.Target("here"),
	})
	p.flush()
	p.expect("attach")
}

// sender attaches a sending link.
func (p *peer) sender(handle uint32, queue string) {
	p.t.Helper()
	put(p, frames.Attach{
		Name: fmt.Sprint("s", handle), Handle: handle, Role: frames.RoleSender,
		Source: frames.Source("here"), Target: frames.Target(queue),
	})
	p.flush()
	p.expect("attach flow")
}

// credit is a flow for a receiving link.
func credit(handle, seen, n uint32, drain bool) frames.Flow {
	return frames.Flow{
		NextIncomingID: codec.Some(seen), IncomingWindow: 2048, OutgoingWindow: 2048,
		Handle: codec.Some(handle), DeliveryCount: codec.Some(seen), LinkCredit: codec.Some(n), Drain: drain,
	}
}

// transfer puts a whole message on a sending link.
func (p *peer) transfer(t frames.Transfer, body string) {
	m := &message.Message{}
	m.SetData([]byte(body))
	p.out, _ = frames.AppendTransfer(p.out, 0, t, m.Append(nil), 1<<20)
}

func condition(e *frames.Error) string {
	if e == nil {
		return "none"
	}
	return string(e.Condition)
}

func TestHandshakeMayBePipelined(t *testing.T) {
	withStranger(t, Config{}, func(p *peer) {
		p.out = append(p.out, "AMQP\x03\x01\x00\x00"...)
		p.out = frames.Append(p.out, frames.TypeSASL, 0, frames.SASLInit{Mechanism: "MSSBCBS"})
		p.out = append(p.out, "AMQP\x00\x01\x00\x00"...)
		put(p, frames.Open{ContainerID: "peer", IdleTimeout: codec.Some[uint32](10_000)})
		p.flush()
		p.expect("AMQP sasl sasl AMQP open")
		time.Sleep(16 * time.Second) // the bubble's clock
		synctest.Wait()
		p.expect("heartbeat heartbeat heartbeat")
	})
}

func TestUnknownProtocolIsAnsweredWithOurs(t *testing.T) {
	withStranger(t, Config{}, func(p *peer) {
		p.out = append(p.out, "AMQP\x02\x01\x00\x00"...)
		p.flush()
		p.expect("AMQP eof")
	})
}

func TestSilentClientIsClosed(t *testing.T) {
	withPeer(t, Config{IdleTimeout: time.Minute}, func(p *peer) {
		time.Sleep(2*time.Minute - time.Second)
		synctest.Wait()
		p.expect("")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		got := p.expect("close eof")
		if c := condition(got[0].close.Error); c != condLimit {
			t.Errorf("closed with %s", c)
		}
	})
}

func TestOversizedFrameClosesTheConnection(t *testing.T) {
	withPeer(t, Config{MaxFrameSize: 1024}, func(p *peer) {
		p.out = append(p.out, 0, 0, 4, 1, 2, 0, 0, 0)
		p.flush()
		got := p.expect("close")
		if c := condition(got[0].close.Error); c != condFraming {
			t.Errorf("closed with %s", c)
		}
	})
}

func TestGarbageInsideAFrameClosesTheConnection(t *testing.T) {
	withPeer(t, Config{}, func(p *peer) {
		p.out = frames.End(append(frames.Begin(nil, 0, 0), 0x00, 0x53, 0x13, 0xc0, 0xff, 0x09), 0)
		p.flush()
		got := p.expect("close")
		if c := condition(got[0].close.Error); c != condDecode {
			t.Errorf("closed with %s", c)
		}
	})
}

func TestClosedConnectionEndsServeWithoutError(t *testing.T) {
	withPeer(t, Config{}, func(p *peer) {
		put(p, frames.Close{})
		p.flush()
		p.expect("close eof")
		if p.served != nil {
			t.Errorf("Serve: %v", p.served)
		}
	})
}

func TestDrainReportsUnusedCredit(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		b.queue("q").put([]byte("1"), []byte("2"), []byte("3"))
		p.receiver(0, "q")
		put(p, credit(0, 0, 10, true))
		p.flush()
		got := p.expect("transfer transfer transfer flow")
		f := got[3].flow
		if !f.Drain || f.Echo || f.LinkCredit.Value != 0 || f.DeliveryCount.Value != 10 || !f.NextIncomingID.Set {
			t.Errorf("drained with %+v", f)
		}
		put(p, credit(0, 10, 0, true)) // nothing left to drain, and still an answer
		p.flush()
		if f := p.expect("flow")[0].flow; !f.Drain || f.DeliveryCount.Value != 10 {
			t.Errorf("second drain answered with %+v", f)
		}
	})
}

func TestNewCreditReplacesTheOld(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		p.receiver(0, "q")
		put(p, credit(0, 0, 10, false))
		put(p, credit(0, 0, 1, false))
		p.flush()
		b.queue("q").put([]byte("1"), []byte("2"))
		synctest.Wait()
		p.expect("transfer")
	})
}

func TestClosedWindowHoldsTransfersBack(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		big := make([]byte, 2500) // three frames of 1024
		b.queue("q").put(big, big)
		p.receiver(0, "q")
		p.receiver(1, "q")
		f := credit(0, 0, 2, false)
		f.IncomingWindow = 2
		put(p, f)
		p.flush()
		got := p.expect("transfer transfer")
		if !got[1].transfer.More {
			t.Fatal("the window cut no delivery in two")
		}
		f = credit(0, 0, 2, false)
		f.NextIncomingID, f.IncomingWindow = codec.Some[uint32](2), 3
		put(p, f)
		p.flush()
		got = p.expect("transfer transfer transfer")
		if got[0].transfer.More || got[1].transfer.DeliveryID != codec.Some[uint32](1) {
			t.Errorf("after the window: %+v, %+v", got[0].transfer, got[1].transfer)
		}
	})
}

func TestDeliveryIDsAreContiguousAcrossLinks(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		for i := range 200 {
			b.queue("a").put([]byte{byte(i)})
			b.queue("b").put([]byte{byte(i)})
		}
		p.receiver(0, "a")
		p.receiver(1, "b")
		put(p, credit(0, 0, 200, false))
		put(p, credit(1, 0, 200, false))
		p.flush()
		var turns []uint32
		for i := range uint32(400) {
			r := p.next()
			if r.transfer.DeliveryID != codec.Some(i) {
				t.Fatalf("delivery %d has id %v", i, r.transfer.DeliveryID)
			}
			if len(turns) == 0 || turns[len(turns)-1] != r.transfer.Handle {
				turns = append(turns, r.transfer.Handle)
			}
		}
		if !slices.Equal(turns, []uint32{0, 1, 0, 1, 0, 1, 0, 1}) {
			t.Errorf("links sent in turns %v", turns)
		}
	})
}

func TestRangeOfDispositionsIsAnsweredInRanges(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		b.queue("q").put([]byte("1"), []byte("2"), []byte("3"), []byte("4"))
		p.receiver(0, "q")
		put(p, credit(0, 0, 4, false))
		p.flush()
		p.expect("transfer transfer transfer transfer")
		put(p, frames.Disposition{Role: frames.RoleReceiver, First: 1, State: frames.Released{}, Settled: true})
		p.flush()
		p.expect("") // settled by the client: no answer
		put(p, frames.Disposition{Role: frames.RoleReceiver, First: 0, Last: codec.Some[uint32](1 << 30), State: frames.Accepted{}})
		p.flush()
		got := p.expect("disposition disposition disposition")
		for i, want := range []frames.Disposition{
			{First: 0, Last: codec.Some[uint32](0), Settled: true, State: frames.Accepted{}},
			{First: 1, Last: codec.Some[uint32](1), Settled: true},
			{First: 2, Last: codec.Some[uint32](3), Settled: true, State: frames.Accepted{}},
		} {
			have := got[i].disposition
			if rejected, ok := have.State.(frames.Rejected); ok && i == 1 && rejected.Error.Condition == condLockLost {
				have.State = nil
			}
			if have != want {
				t.Errorf("answer %d is %+v", i, have)
			}
		}
	})
}

func TestDetachReleasesWhatWasNotSent(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		b.queue("q").put([]byte("1"), make([]byte, 2000))
		p.receiver(0, "q")
		f := credit(0, 0, 5, false)
		f.IncomingWindow = 2 // the second message is cut in two
		put(p, f)
		p.flush()
		p.expect("transfer transfer")
		put(p, frames.Detach{Handle: 0, Closed: true})
		p.flush()
		p.expect("detach")
		if ready, locked := b.queue("q").counts(); ready != 1 || locked != 1 {
			t.Errorf("%d ready and %d locked, want the sent one locked", ready, locked)
		}
		put(p, frames.Disposition{Role: frames.RoleReceiver, First: 0, State: frames.Accepted{}, Settled: true})
		p.receiver(0, "q") // the handle is free again
	})
}

func TestEndDropsLinks(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		p.receiver(0, "q")
		p.sender(1, "$cbs")
		put(p, frames.EndSession{})
		p.flush()
		p.expect("end")
		if q := b.queue("q"); q.opened != 1 || q.closed != 1 {
			t.Errorf("opened %d, closed %d", q.opened, q.closed)
		}
		put(p, frames.BeginSession{IncomingWindow: 10, OutgoingWindow: 10})
		p.flush()
		p.expect("begin")
		p.sender(0, "$cbs") // the one before is gone with its session
	})
}
