package transport

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

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

func TestWithdrawnCreditReturnsWhatWasAcquired(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		b.queue("q").put([]byte("1"), make([]byte, 2000), []byte("3"), []byte("4"))
		p.receiver(0, "q")
		put(p, credit(0, 0, 1, false)) // teaches the link that messages are small
		p.flush()
		tag := p.expect("transfer")[0].transfer.DeliveryTag
		if want := []byte{0x13, 0x12, 0x11, 0x10, 0x15, 0x14}; !bytes.Equal(tag[:6], want) || len(tag) != 16 {
			t.Errorf("delivery tag % x is not the lock token as a Guid", tag)
		}
		f := credit(0, 1, 3, false)
		f.IncomingWindow = 3 // three messages are acquired; the first needs all of it
		put(p, f)
		p.flush()
		p.expect("transfer transfer transfer")
		if ready, locked := b.queue("q").counts(); ready != 0 || locked != 4 {
			t.Fatalf("%d ready and %d locked: nothing waits", ready, locked)
		}
		f = credit(0, 1, 1, false)
		f.NextIncomingID, f.IncomingWindow = codec.Some[uint32](4), 0
		put(p, f)
		p.flush()
		p.expect("")
		if ready, locked := b.queue("q").counts(); ready != 2 || locked != 2 {
			t.Errorf("%d ready and %d locked after the credit was withdrawn", ready, locked)
		}
		p.receiver(1, "q") // a settlement of the first link's must not touch the second
		put(p, frames.Detach{Handle: 0, Closed: true})
		put(p, frames.Disposition{Role: frames.RoleReceiver, First: 0, State: frames.Accepted{}, Settled: true})
		p.flush()
		p.expect("detach")
		if n := len(b.queue("q").outcomes()); n != 2 {
			t.Errorf("%d outcomes: a detached link's delivery was settled over the link", n)
		}
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
