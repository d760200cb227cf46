package transport

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
	"batchterminator/worker/servicebustest/internal/message"
)

// peer is a client written by hand, for what the Go client never does: drain, small
// windows, pipelining, breaches of protocol.
type peer struct {
	t       *testing.T
	nc      net.Conn
	conn    *Conn // the server's end
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
		p := &peer{t: t, nc: theirs, conn: NewConn(ours, cfg), gate: make(chan struct{})}
		p.serving.Go(func() { p.served = p.conn.Serve(context.Background()) })
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
