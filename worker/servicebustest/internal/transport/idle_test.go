package transport

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

var limits = IdleLimits{Link: 10 * time.Minute, Linkless: 5 * time.Minute, FirstLink: time.Minute}

// pass lets time go by and the server catch up.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestUnusedLinkIsDetachedAtItsLimit(t *testing.T) {
	withPeer(t, Config{Idle: limits, IdleTimeout: time.Hour}, func(p *peer) {
		p.receiver(0, "q")
		pass(4 * time.Minute)
		p.sender(1, "q")
		pass(6*time.Minute - time.Nanosecond)
		p.expect("")
		pass(time.Nanosecond)
		if why := p.expect("detach")[0].detach.Error; condition(why) != condDetachForced ||
			!strings.Contains(why.Description, "AmqpMessageConsumer.IdleTimerExpired: Idle timeout: 00:10:00.") {
			t.Errorf("detached with %+v", why)
		}
		pass(4 * time.Minute)
		if why := p.expect("detach")[0].detach.Error; condition(why) != condDetachForced ||
			!strings.Contains(why.Description, "publisher(link1). Details: AmqpMessagePublisher.IdleTimerExpired") {
			t.Errorf("detached with %+v", why)
		}
		pass(5 * time.Minute)
		got := p.expect("close")
		if why := got[0].close.Error; condition(why) != condConnForced || !strings.Contains(why.Description, "300000 milliseconds") {
			t.Errorf("closed with %+v", why)
		}
	})
}

func TestUseOfALinkMovesItsEnd(t *testing.T) {
	for name, use := range map[string]func(b *bench, p *peer){
		"flow":     func(_ *bench, p *peer) { put(p, credit(0, 0, 5, false)) },
		"transfer": func(b *bench, _ *peer) { b.queue("q").put([]byte("1")) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			withPeer(t, Config{Namespace: b, Idle: limits, IdleTimeout: time.Hour}, func(p *peer) {
				p.receiver(0, "q")
				put(p, credit(0, 0, 1, false))
				p.flush()
				pass(9 * time.Minute)
				use(b, p)
				p.flush()
				pass(9 * time.Minute)
				for r := p.next(); r.name != ""; r = p.next() {
					if r.name == "detach" {
						t.Errorf("detached with %+v", r.detach.Error)
					}
				}
				pass(time.Minute)
				p.expect("detach")
			})
		})
	}
}

func TestSendingAndSettlingAreUse(t *testing.T) {
	b := newBench()
	b.queue("q").put([]byte("1"))
	withPeer(t, Config{Namespace: b, Idle: limits, IdleTimeout: time.Hour}, func(p *peer) {
		p.receiver(0, "q")
		p.sender(1, "other")
		put(p, credit(0, 0, 1, false))
		p.flush()
		p.expect("transfer")
		pass(9 * time.Minute)
		put(p, frames.Disposition{Role: frames.RoleReceiver, Settled: true, State: frames.Accepted{}})
		p.transfer(frames.Transfer{Handle: 1, DeliveryID: codec.Some[uint32](0), Settled: true}, "2")
		p.flush()
		pass(9 * time.Minute)
		p.expect("")
		pass(time.Minute)
		p.expect("detach detach")
	})
}

func TestHeartbeatsDoNotKeepALink(t *testing.T) {
	withPeer(t, Config{Idle: limits, IdleTimeout: time.Minute}, func(p *peer) {
		p.receiver(0, "q")
		for range 10 {
			put(p, frames.Flow{IncomingWindow: 2048, OutgoingWindow: 2048})
			p.out = frames.End(frames.Begin(p.out, frames.TypeAMQP, 0), len(p.out))
			p.flush()
			p.expect("")
			pass(time.Minute)
		}
		p.expect("detach")
	})
}

func TestConnectionWithoutAnyLinkIsClosed(t *testing.T) {
	withPeer(t, Config{Idle: limits, IdleTimeout: time.Hour}, func(p *peer) {
		pass(time.Minute)
		got := p.expect("close")
		if why := got[0].close.Error; condition(why) != condConnForced || !strings.Contains(why.Description, "60000 milliseconds") {
			t.Errorf("closed with %+v", why)
		}
	})
}

func TestNewLinkKeepsTheConnection(t *testing.T) {
	withPeer(t, Config{Idle: limits, IdleTimeout: time.Hour}, func(p *peer) {
		p.receiver(0, "q")
		put(p, frames.Detach{Handle: 0, Closed: true})
		p.flush()
		p.expect("detach")
		pass(4 * time.Minute)
		p.receiver(0, "q")
		pass(9 * time.Minute)
		p.expect("")
		put(p, frames.Detach{Handle: 0, Closed: true})
		p.flush()
		p.expect("detach")
		pass(5*time.Minute - time.Nanosecond)
		p.expect("")
		pass(time.Nanosecond)
		p.expect("close")
	})
}
