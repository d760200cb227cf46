package transport

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// on makes an interceptor that acts on the first event of one kind.
func on(op Op, a Action) Interceptor {
	done := false // a test has one connection, so one goroutine asks
	return func(ev Event) Action {
		if ev.Op != op || done || ev.Link.Address == "$cbs" {
			return Action{}
		}
		done = true
		return a
	}
}

var busy = &Error{Condition: "com.microsoft:server-busy", Description: "try later"}

func TestFaultOnATransferToTheClient(t *testing.T) {
	for name, c := range map[string]struct {
		action Action
		want   string // sent at once
		later  string // sent within ten seconds more
		locked int
	}{
		"delay":         {Action{Delay: 5 * time.Second}, "", "transfer transfer", 2},
		"swallow":       {Action{Kind: Swallow}, "transfer", "", 2},
		"late swallow":  {Action{Kind: Swallow, Delay: time.Second}, "", "transfer", 2},
		"fail":          {Action{Kind: Fail, Err: busy}, "detach", "", 0},
		"detach":        {Action{Kind: DetachLink, Err: busy}, "detach", "", 0},
		"end":           {Action{Kind: EndSession, Err: busy}, "end", "", 0},
		"close":         {Action{Kind: CloseConn, Err: busy}, "close", "eof", 0},
		"drop":          {Action{Kind: DropConn}, "eof", "eof", 0},
		"drop, delayed": {Action{Kind: DropConn, Delay: time.Second}, "", "eof", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			b.queue("q").put([]byte("1"), []byte("2"))
			withPeer(t, Config{Namespace: b, Interceptor: on(OpTransferOut, c.action)}, func(p *peer) {
				p.receiver(0, "q")
				put(p, credit(0, 0, 2, false))
				p.flush()
				p.expect(c.want)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				p.expect(c.later)
				if _, locked := b.queue("q").counts(); locked != c.locked {
					t.Errorf("%d locked, want %d", locked, c.locked)
				}
			})
		})
	}
}

func TestDelayHoldsUpNothingElse(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b, Interceptor: on(OpAttach, Action{Delay: time.Minute})}, func(p *peer) {
		b.queue("q").put([]byte("1"))
		put(p, frames.Attach{Name: "slow", Handle: 0, Role: frames.RoleReceiver, Source: frames.Source("q")})
		put(p, credit(0, 0, 1, false)) // before the answer: collected
		put(p, frames.Attach{Name: "quick", Handle: 1, Role: frames.RoleReceiver, Source: frames.Source("q")})
		p.flush()
		if got := p.expect("attach"); got[0].attach.Name != "quick" {
			t.Errorf("%q was answered first", got[0].attach.Name)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		p.expect("attach transfer")
	})
}

func TestFaultOnASentMessage(t *testing.T) {
	for name, c := range map[string]struct {
		action Action
		want   string
		stored int
	}{
		"delay":   {Action{Delay: time.Second}, "disposition", 1},
		"fail":    {Action{Kind: Fail, Err: busy}, "disposition", 0},
		"swallow": {Action{Kind: Swallow}, "", 0},
		"detach":  {Action{Kind: DetachLink}, "detach", 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			withPeer(t, Config{Namespace: b, Interceptor: on(OpTransferIn, c.action)}, func(p *peer) {
				p.sender(0, "q")
				p.transfer(frames.Transfer{Handle: 0, DeliveryID: codec.Some[uint32](0)}, "1")
				p.flush()
				time.Sleep(time.Second)
				synctest.Wait()
				got := p.expect(c.want)
				if c.action.Kind == Fail {
					if r, ok := got[0].disposition.State.(frames.Rejected); !ok || condition(r.Error) != busy.Condition {
						t.Errorf("answered %+v", got[0].disposition.State)
					}
				}
				if ready, _ := b.queue("q").counts(); ready != c.stored {
					t.Errorf("%d stored, want %d", ready, c.stored)
				}
			})
		})
	}
}

func TestLostSettlementAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		op      Op
		applied int
	}{
		"answer lost":     {OpDispositionOut, 1},
		"settlement lost": {OpDispositionIn, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{Interceptor: on(c.op, Action{Kind: Swallow})}, func(w *world) {
				w.queue("q").put([]byte("1"))
				r := w.receiver("q", nil)
				m := w.receive(r, 1)[0]
				short, cancel := context.WithTimeout(w.ctx, 2*time.Second)
				defer cancel()
				if err := r.CompleteMessage(short, m, nil); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("complete: %v", err)
				}
				if n := len(w.queue("q").outcomes()); n != c.applied {
					t.Errorf("%d settlements applied, want %d", n, c.applied)
				}
			})
		})
	}
}

func TestFailedSettlementCarriesTheError(t *testing.T) {
	inBubble(t, Config{Interceptor: on(OpDispositionIn, Action{Kind: Fail, Err: &Error{Condition: condLockLost}})}, func(w *world) {
		w.queue("q").put([]byte("1"))
		r := w.receiver("q", nil)
		m := w.receive(r, 1)[0]
		var sbErr *azservicebus.Error
		if err := r.CompleteMessage(w.ctx, m, nil); !errors.As(err, &sbErr) || sbErr.Code != azservicebus.CodeLockLost {
			t.Errorf("complete: %v", err)
		}
	})
}

func TestFailedRequestCarriesTheStatus(t *testing.T) {
	for name, op := range map[string]Op{"request": OpRequest, "response": OpResponse} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{Interceptor: on(op, Action{Kind: Fail, Err: &Error{Condition: condLockLost}})}, func(w *world) {
				w.queue("q").put([]byte("1"))
				r := w.receiver("q", nil)
				m := w.receive(r, 1)[0]
				var sbErr *azservicebus.Error
				if err := r.RenewMessageLock(w.ctx, m, nil); !errors.As(err, &sbErr) || sbErr.Code != azservicebus.CodeLockLost {
					t.Errorf("renew: %v", err)
				}
				if err := r.RenewMessageLock(w.ctx, m, nil); err != nil {
					t.Errorf("second renew: %v", err)
				}
			})
		})
	}
}

func TestServerEndsThingsFromOutside(t *testing.T) {
	// Not busy: that condition makes the client spin, and a bubble's clock stand still.
	forced := &Error{Condition: condInternal, Description: "ended by the test"}
	for name, c := range map[string]struct {
		do   func(w *world)
		sane bool // the next receive gets through without a word
	}{
		"detach": {func(w *world) { w.conn().Detach(nil, forced) }, false},
		"end":    {func(w *world) { w.conn().End(forced) }, false},
		"close":  {func(w *world) { w.conn().Close(forced) }, false},
		"drop":   {func(w *world) { w.conn().Drop() }, false},
		"other link": {func(w *world) {
			w.conn().Detach(func(l Link) bool { return l.Address == "other" }, forced)
		}, true},
		"muted for a while": {func(w *world) {
			w.conn().Mute(true)
			synctest.Wait()
			w.conn().Mute(false)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{}, func(w *world) {
				w.queue("q").put([]byte("1"))
				r := w.receiver("q", nil)
				w.receive(r, 1)
				c.do(w)
				synctest.Wait()
				w.queue("q").put([]byte("2"))
				msgs, err := r.ReceiveMessages(w.ctx, 1, nil)
				if got := len(msgs) == 1 && err == nil; got != c.sane {
					t.Errorf("receive after it: %d messages, %v", len(msgs), err)
				}
			})
		})
	}
}

func TestMutedConnectionIsFoundByTheClient(t *testing.T) {
	inBubble(t, Config{}, func(w *world) {
		r := w.receiver("q", nil)
		short, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		if _, err := r.ReceiveMessages(short, 1, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		w.conn().Mute(true)
		start := time.Now()
		if msgs, err := r.ReceiveMessages(w.ctx, 1, nil); len(msgs) > 0 || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("receive on a dead connection: %d messages, %v", len(msgs), err)
		}
		if took := time.Since(start); took > time.Minute {
			t.Errorf("found after %v", took)
		}
	})
}

func TestTracerSeesBothDirectionsInOrder(t *testing.T) {
	var seen []uint64
	trace := func(_ uint64, out bool, _ uint16, body []byte) {
		code, _, err := frames.Split(body)
		if err != nil {
			t.Error(err)
		}
		if out {
			code |= 0x100
		}
		seen = append(seen, code)
	}
	withPeer(t, Config{Tracer: trace}, func(p *peer) {
		if want := []uint64{0x10, 0x110, 0x11, 0x111}; len(seen) != 4 || [4]uint64(seen) != [4]uint64(want) {
			t.Errorf("trace %x, want %x", seen, want)
		}
	})
}

func TestALostDeliveryLeavesItsCreditWithTheClient(t *testing.T) {
	b := newBench()
	b.queue("q").put([]byte("1"), []byte("2"))
	withPeer(t, Config{Namespace: b, Interceptor: on(OpTransferOut, Action{Kind: Swallow})}, func(p *peer) {
		p.receiver(0, "q")
		put(p, credit(0, 0, 1, false))
		p.flush()
		if got := p.expect("transfer"); !strings.HasSuffix(string(got[0].payload), "2") {
			t.Errorf("delivered %q", got[0].payload)
		}
		if _, locked := b.queue("q").counts(); locked != 2 {
			t.Errorf("%d locked, want both", locked)
		}
	})
}
