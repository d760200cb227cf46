package transport

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

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

func TestOpenAnnouncesNoLargerFramesThanTheClientTakes(t *testing.T) {
	for _, c := range []struct{ theirs, ours, want uint32 }{
		{theirs: 1024, ours: 4096, want: 1024},
		{theirs: 4096, ours: 1024, want: 1024},
	} {
		t.Run(fmt.Sprintf("%d of %d", c.theirs, c.ours), func(t *testing.T) {
			withStranger(t, Config{MaxFrameSize: c.ours}, func(p *peer) {
				p.out = append(p.out, "AMQP\x00\x01\x00\x00"...)
				put(p, frames.Open{ContainerID: "peer", MaxFrameSize: codec.Some(c.theirs)})
				p.flush()
				if got := p.expect("AMQP open")[1].open.MaxFrameSize; got != codec.Some(c.want) {
					t.Errorf("announced %v, want %d", got, c.want)
				}
			})
		})
	}
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

func TestIdleTimeoutTooShortToKeepIsRefused(t *testing.T) {
	for idle, answer := range map[uint32]string{99: "AMQP open close", 100: "AMQP open heartbeat"} {
		t.Run(fmt.Sprint(idle), func(t *testing.T) {
			withStranger(t, Config{}, func(p *peer) {
				p.out = append(p.out, "AMQP\x00\x01\x00\x00"...)
				put(p, frames.Open{ContainerID: "peer", IdleTimeout: codec.Some(idle)})
				p.flush()
				time.Sleep(50 * time.Millisecond) // the bubble's clock
				synctest.Wait()
				got := p.expect(answer)
				if last := got[len(got)-1]; last.name == "close" && condition(last.close.Error) != condNotAllowed {
					t.Errorf("closed with %s", condition(last.close.Error))
				}
			})
		})
	}
}

// go-amqp sends an end when its caller gives a session up, whether or not the begin had left.
func TestEndWithoutASessionIsPassedOver(t *testing.T) {
	withPeer(t, Config{}, func(p *peer) {
		p.out = frames.Append(p.out, frames.TypeAMQP, 7, frames.EndSession{})
		p.flush()
		p.expect("")
		p.out = frames.Append(p.out, frames.TypeAMQP, 7, frames.Flow{})
		p.flush()
		if c := condition(p.expect("close")[0].close.Error); c != condNotAllowed {
			t.Errorf("another frame without a session closed with %s", c)
		}
	})
}
