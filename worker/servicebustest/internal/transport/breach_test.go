package transport

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

func TestUnsupportedAttachIsRefusedLoudly(t *testing.T) {
	filter, err := codec.Append(nil, codec.Described{Descriptor: uint64(0x28), Value: []any{
		"q", nil, nil, nil, nil, nil, nil, codec.Map{{Key: codec.Symbol("apache.org:selector-filter:string"), Value: "a = 1"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	dynamic, err := codec.Append(nil, codec.Described{Descriptor: uint64(0x28), Value: []any{nil, nil, nil, nil, true}})
	if err != nil {
		t.Fatal(err)
	}
	coordinator, err := codec.Append(nil, codec.Described{Descriptor: uint64(0x30), Value: []any{}})
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]frames.Attach{
		"source filter":  {Role: frames.RoleReceiver, Source: frames.Terminus{Raw: filter}},
		"dynamic source": {Role: frames.RoleReceiver, Source: frames.Terminus{Raw: dynamic}},
		"coordinator":    {Role: frames.RoleSender, Target: frames.Terminus{Raw: coordinator}},
	} {
		t.Run(name, func(t *testing.T) {
			withPeer(t, Config{}, func(p *peer) {
				a.Name = "l"
				put(p, a)
				p.flush()
				got := p.expect("attach detach")
				if got[0].attach.Source.Raw != nil || got[0].attach.Target.Raw != nil {
					t.Error("the refusal names a terminus")
				}
				if c := condition(got[1].detach.Error); c != condNotImplemented || !got[1].detach.Closed {
					t.Errorf("refused with %s", c)
				}
				put(p, frames.Detach{Closed: true})
				p.flush()
				p.expect("")
			})
		})
	}
}

func TestSecondPairOfTokenLinksIsRefused(t *testing.T) {
	receiver := func(handle uint32, name string) frames.Attach {
		return frames.Attach{Name: name, Handle: handle, Role: frames.RoleReceiver, Source: frames.Source("$cbs"), Target: frames.Target(name)}
	}
	withPeer(t, Config{}, func(p *peer) {
		p.sender(0, "$cbs")
		put(p, receiver(1, "first"))
		p.flush()
		p.expect("attach")
		put(p, frames.Attach{Name: "again", Handle: 2, Role: frames.RoleSender, Target: frames.Target("$cbs")})
		put(p, receiver(3, "second"))
		p.flush()
		got := p.expect("attach detach attach detach")
		for _, refused := range []received{got[1], got[3]} {
			if c := condition(refused.detach.Error); c != condNotAllowed {
				t.Errorf("refused with %s", c)
			}
		}
		for handle := range uint32(4) {
			put(p, frames.Detach{Handle: handle, Closed: true})
		}
		p.flush()
		p.expect("detach detach")
		p.sender(4, "$cbs")
		put(p, receiver(5, "third"))
		p.flush()
		p.expect("attach")
	})
}

func TestLinkAttachedTwiceIsStolen(t *testing.T) {
	withPeer(t, Config{}, func(p *peer) {
		p.receiver(0, "q")
		put(p, frames.Attach{Name: "r0", Handle: 1, Role: frames.RoleReceiver, Source: frames.Source("q")})
		p.flush()
		got := p.expect("detach attach")
		if c := condition(got[0].detach.Error); c != condStolen || got[0].detach.Handle == got[1].attach.Handle {
			t.Errorf("stolen with %s, handles %d and %d", c, got[0].detach.Handle, got[1].attach.Handle)
		}
	})
}

func TestTransferOnAWrongLinkIsABreach(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		p.receiver(0, "q")
		p.transfer(frames.Transfer{Handle: 0, DeliveryID: codec.Some[uint32](0)}, "no link to send on")
		p.flush()
		if c := condition(p.expect("detach")[0].detach.Error); c != condTransfers {
			t.Errorf("detached with %s", c)
		}
		p.transfer(frames.Transfer{Handle: 9, DeliveryID: codec.Some[uint32](1)}, "no link at all")
		p.flush()
		if c := condition(p.expect("end")[0].end.Error); c != condUnattached {
			t.Errorf("ended with %s", c)
		}
	})
}

func TestIncomingWindowIsToppedUp(t *testing.T) {
	withPeer(t, Config{}, func(p *peer) {
		p.sender(0, "q")
		f := frames.Transfer{Handle: 0, DeliveryID: codec.Some[uint32](0), More: true}
		send := func(n int) {
			for range n {
				p.out = frames.Append(p.out, frames.TypeAMQP, 0, f)
			}
			p.flush()
		}
		send(window / 2)
		p.expect("")
		send(1)
		got := p.expect("flow")[0].flow
		if got.IncomingWindow != window || got.NextIncomingID != codec.Some[uint32](window/2+1) {
			t.Errorf("topped up with %+v", got)
		}
	})
}

func TestMessageTooLargeIsRejectedNotKept(t *testing.T) {
	b := newBench()
	b.limit = 100
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		p.sender(0, "q")
		for range 10 {
			p.out, _ = frames.AppendTransfer(p.out, 0, frames.Transfer{Handle: 0, DeliveryID: codec.Some[uint32](0)}, make([]byte, 500), 200)
		}
		p.transfer(frames.Transfer{Handle: 0}, "the end")
		p.transfer(frames.Transfer{Handle: 0, DeliveryID: codec.Some[uint32](1)}, "fits")
		p.flush()
		got := p.expect("disposition disposition")
		rejected, ok := got[0].disposition.State.(frames.Rejected)
		if !ok || condition(rejected.Error) != condSize {
			t.Errorf("too large: %+v", got[0].disposition)
		}
		if got[1].disposition.State != (frames.Accepted{}) {
			t.Errorf("the next one: %+v", got[1].disposition)
		}
	})
}

func TestAbortedDeliveryLeavesNoTrace(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		p.sender(0, "q")
		put(p, frames.Transfer{Handle: 0, DeliveryID: codec.Some[uint32](0), More: true})
		put(p, frames.Transfer{Handle: 0, Aborted: true})
		p.transfer(frames.Transfer{Handle: 0, DeliveryID: codec.Some[uint32](1), Settled: true}, "whole")
		p.flush()
		p.expect("") // aborted, and settled by the sender
		if ready, _ := b.queue("q").counts(); ready != 1 {
			t.Errorf("%d messages stored", ready)
		}
	})
}

func TestUndecodableMessageIsRejected(t *testing.T) {
	withPeer(t, Config{}, func(p *peer) {
		p.sender(0, "q")
		p.out, _ = frames.AppendTransfer(p.out, 0, frames.Transfer{Handle: 0, DeliveryID: codec.Some[uint32](0)}, []byte("nonsense"), 1<<20)
		p.flush()
		rejected, ok := p.expect("disposition")[0].disposition.State.(frames.Rejected)
		if !ok || condition(rejected.Error) != condDecode {
			t.Errorf("answered with %+v", rejected)
		}
	})
}

func TestSlowReaderBoundsWhatIsAcquired(t *testing.T) {
	b := newBench()
	withDeaf(t, Config{Namespace: b}, func(p *peer) {
		for range 50 {
			b.queue("q").put(make([]byte, 100<<10))
		}
		p.out = append(p.out, "AMQP\x00\x01\x00\x00"...)
		put(p, frames.Open{ContainerID: "peer"})
		put(p, frames.BeginSession{IncomingWindow: 1 << 30, OutgoingWindow: 10})
		put(p, frames.Attach{Name: "l", Role: frames.RoleReceiver, Source: frames.Source("q")})
		f := credit(0, 0, 50, false)
		f.IncomingWindow = 1 << 30
		put(p, f)
		p.flush()
		// Two buffers of highWater, and the message that crossed it.
		if _, locked := b.queue("q").counts(); locked > 10 {
			t.Errorf("%d messages were acquired for a client that does not read", locked)
		}
		close(p.gate)
		synctest.Wait()
		if _, locked := b.queue("q").counts(); locked != 50 {
			t.Errorf("%d of 50 messages came once it read", locked)
		}
	})
}

func TestClientThatOnlySendsIsHeldBack(t *testing.T) {
	withDeaf(t, Config{}, func(p *peer) {
		p.out = append(p.out, "AMQP\x00\x01\x00\x00"...)
		put(p, frames.Open{ContainerID: "peer"})
		p.flush()
		echo := frames.BeginSession{IncomingWindow: 1, OutgoingWindow: 1}
		put(p, echo)
		flow := frames.Append(nil, frames.TypeAMQP, 0, frames.Flow{Echo: true})
		if err := p.nc.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		sent := 0
		for {
			n, err := p.nc.Write(append(p.out, bytes.Repeat(flow, 1000)...))
			p.out = p.out[:0]
			if sent += n; err != nil {
				break // it stopped reading
			}
			if sent > 4*hardLimit {
				t.Fatal("the server takes everything from a client that does not read")
			}
		}
		close(p.gate)
	})
}
