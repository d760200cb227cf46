package transport

import (
	"bytes"
	"testing"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

func TestMuteLinkSaysNothingAtAll(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b, Interceptor: on(OpAttach, Action{Kind: MuteLink})}, func(p *peer) {
		p.receiver(0, "q")
		b.queue("q").put([]byte("1"))
		flow := credit(0, 0, 5, false)
		flow.Echo = true
		put(p, flow)
		put(p, credit(0, 0, 5, true)) // drain: only a live link answers
		p.flush()
		p.expect("")
		if ready, locked := b.queue("q").counts(); ready != 1 || locked != 0 {
			t.Errorf("%d ready and %d locked, want one and none", ready, locked)
		}
		put(p, frames.Detach{Handle: 0, Closed: true})
		p.flush()
		p.expect("detach")
	})
}

func TestMuteLinkGivesBackWhatItHeldWhenItEnds(t *testing.T) {
	b := newBench()
	b.queue("q").put([]byte("1"), []byte("2"))
	withPeer(t, Config{Namespace: b, Interceptor: on(OpTransferOut, Action{Kind: MuteLink})}, func(p *peer) {
		p.receiver(0, "q")
		put(p, credit(0, 0, 2, false))
		p.flush()
		p.expect("")
		if _, locked := b.queue("q").counts(); locked != 1 {
			t.Errorf("%d locked, want the one that it met", locked)
		}
		put(p, frames.Detach{Handle: 0, Closed: true})
		p.flush()
		p.expect("detach")
		if ready, _ := b.queue("q").counts(); ready != 2 {
			t.Errorf("%d ready, want both", ready)
		}
	})
}

func TestDuplicateNeedsCreditOfItsOwnAndNeverReleasesTheLock(t *testing.T) {
	b := newBench()
	b.queue("q").put([]byte("1"), []byte("2"))
	withPeer(t, Config{Namespace: b, Interceptor: on(OpTransferOut, Action{Kind: Duplicate})}, func(p *peer) {
		p.receiver(0, "q")
		put(p, credit(0, 0, 1, false))
		p.flush()
		first := p.expect("transfer")[0].transfer
		put(p, credit(0, 1, 1, false))
		p.flush()
		second := p.expect("transfer")[0].transfer
		if !bytes.Equal(first.DeliveryTag, second.DeliveryTag) || first.DeliveryID == second.DeliveryID {
			t.Errorf("delivered %+v and %+v", first, second)
		}
		if _, locked := b.queue("q").counts(); locked != 1 {
			t.Errorf("%d locked, want one", locked)
		}
	})
}

func TestUnsentDuplicateDoesNotTakeTheLockAway(t *testing.T) {
	b := newBench()
	b.queue("q").put(make([]byte, 1500)) // two frames
	withPeer(t, Config{Namespace: b, Interceptor: on(OpTransferOut, Action{Kind: Duplicate})}, func(p *peer) {
		p.receiver(0, "q")
		flow := credit(0, 0, 2, false)
		flow.IncomingWindow = 3 // the message, and half of its copy
		put(p, flow)
		p.flush()
		p.expect("transfer transfer transfer")
		put(p, frames.Detach{Handle: 0, Closed: true})
		p.flush()
		p.expect("detach")
		if _, locked := b.queue("q").counts(); locked != 1 {
			t.Errorf("%d locked, want the one that was delivered", locked)
		}
	})
}

func TestSlowTransferLeavesTheConnectionToOthers(t *testing.T) {
	b := newBench()
	b.queue("q").put(make([]byte, 500))
	b.queue("other").put([]byte("quick"))
	withPeer(t, Config{Namespace: b, Interceptor: on(OpTransferOut, Action{Parts: 5, Pause: time.Second})}, func(p *peer) {
		p.receiver(0, "q")
		p.receiver(1, "other")
		put(p, credit(0, 0, 1, false))
		p.flush()
		if got := p.expect("transfer"); !got[0].transfer.More {
			t.Error("the first frame is the last")
		}
		put(p, credit(1, 0, 1, false))
		p.flush()
		if got := p.expect("transfer"); got[0].transfer.More || got[0].transfer.Handle != 1 {
			t.Errorf("got %+v while the slow one waits", got[0].transfer)
		}
		frames := 0
		for range 10 {
			pass(time.Second)
			for r := p.next(); r.name == "transfer"; r = p.next() {
				frames++
				if last := !r.transfer.More; last && frames < 4 {
					t.Errorf("over after %d more frames", frames)
				}
			}
		}
		if frames < 4 || frames > 6 {
			t.Errorf("%d more frames, want about 4", frames)
		}
	})
}

func TestDetachEndsASlowTransfer(t *testing.T) {
	b := newBench()
	b.queue("q").put(make([]byte, 500))
	withPeer(t, Config{Namespace: b, Interceptor: on(OpTransferOut, Action{Parts: 5, Pause: time.Second})}, func(p *peer) {
		p.receiver(0, "q")
		put(p, credit(0, 0, 1, false))
		p.flush()
		p.expect("transfer")
		put(p, frames.Detach{Handle: 0, Closed: true})
		p.flush()
		p.expect("detach")
		pass(time.Minute)
		p.expect("")
		if ready, _ := b.queue("q").counts(); ready != 1 {
			t.Errorf("%d ready, want the message back: the client drops a part of it", ready)
		}
	})
}

func TestMutedConnectionStrikesAtAnOperation(t *testing.T) {
	withPeer(t, Config{Interceptor: on(OpAttach, Action{Kind: MuteConn}), IdleTimeout: time.Minute}, func(p *peer) {
		put(p, frames.Attach{Name: "r", Handle: 0, Role: frames.RoleReceiver, Source: frames.Source("q")})
		put(p, frames.Flow{IncomingWindow: 1, OutgoingWindow: 1, Echo: true})
		p.flush()
		p.expect("")
		pass(time.Minute)
		p.expect("")
	})
}

func TestRewrittenMessageFromTheClientIsWhatIsStored(t *testing.T) {
	for name, c := range map[string]struct {
		to     []byte
		stored int
	}{
		"a message":  {[]byte("\x00\x53\x75\xa0\x05other"), 1},
		"no message": {[]byte("other"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			rewrite := Action{Rewrite: func([]byte) []byte { return c.to }}
			withPeer(t, Config{Namespace: b, Interceptor: on(OpTransferIn, rewrite)}, func(p *peer) {
				p.sender(0, "q")
				p.transfer(frames.Transfer{Handle: 0, DeliveryID: codec.Some[uint32](0)}, "mine")
				p.flush()
				p.expect("disposition")
				if ready, _ := b.queue("q").counts(); ready != c.stored {
					t.Errorf("%d stored, want %d", ready, c.stored)
				}
			})
		})
	}
}
