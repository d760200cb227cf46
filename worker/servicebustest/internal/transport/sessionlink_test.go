package transport

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// sessionRequest is a session asked of the bench; a test answers it when it likes.
type sessionRequest struct {
	link      Link
	opened    func(SessionSource, error)
	cancelled atomic.Int32
}

// sessionSource is a queue dressed up as a session.
type sessionSource struct {
	source
	id   string
	lost atomic.Pointer[Error]
}

func (s *sessionSource) ID() string             { return s.id }
func (s *sessionSource) LockedUntil() time.Time { return time.UnixMilli(1) }

func (s *sessionSource) Lost() error {
	if why := s.lost.Load(); why != nil {
		return why
	}
	return nil
}

func (b *bench) request(t *testing.T, n int) *sessionRequest {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.asked) <= n {
		t.Fatalf("%d sessions were asked for, want more than %d", len(b.asked), n)
	}
	return b.asked[n]
}

func (b *bench) session(id string) *sessionSource {
	return &sessionSource{source: source{queue: b.queue("session " + id)}, id: id}
}

// described is a filter as Go writes it, bare as the other clients do.
func described(id any) any { return codec.Described{Descriptor: uint64(0x137000000C), Value: id} }
func bare(id any) any      { return id }

// sessionAttach is the attach of a session receiver whose source has more fields than most.
func sessionAttach(handle uint32, filter any, properties codec.Map) frames.Attach {
	w := codec.NewListWriter(nil, 0x28)
	w.String("sb://host/Q")
	w.Uint32(codec.Some[uint32](2)) // durable
	w.Nulls(5)
	w.Nested(func(b []byte) []byte {
		return mustAppend(b, codec.Map{{Key: codec.Symbol(sessionFilter), Value: filter}})
	})
	w.Nulls(2)
	w.Symbol("capability")
	a := frames.Attach{Name: "r", Handle: handle, Role: frames.RoleReceiver, Source: frames.Terminus{Raw: w.Close()}, Target: frames.Target("here")}
	if properties != nil {
		a.Properties = mustAppend(nil, properties)
	}
	return a
}

func mustAppend(b []byte, v any) []byte {
	b, err := codec.Append(b, v)
	if err != nil {
		panic(err)
	}
	return b
}

func TestSessionFilterIsAnsweredInTheShapeItCameIn(t *testing.T) {
	for name, shape := range map[string]func(any) any{"described": described, "bare": bare} {
		for kind, asked := range map[string]any{"by id": "s", "blank": "", "next": nil} {
			t.Run(name+" "+kind, func(t *testing.T) {
				b := newBench()
				withPeer(t, Config{Namespace: b}, func(p *peer) {
					put(p, sessionAttach(0, shape(asked), codec.Map{{Key: codec.Symbol(propertyTimeout), Value: uint32(1500)}}))
					p.flush()
					p.expect("")
					want := &Session{Next: true, Wait: codec.Some(1500 * time.Millisecond)}
					got := "found"
					if id, ok := asked.(string); ok {
						want, got = &Session{ID: id}, id
					}
					r := b.request(t, 0)
					if diff := cmp.Diff(want, r.link.Session); diff != "" {
						t.Errorf("asked for another session (-want +got):\n%s", diff)
					}
					r.opened(b.session(got), nil)
					synctest.Wait()
					reply := p.expect("attach")[0].attach
					if diff := cmp.Diff(sessionAttach(0, shape(got), nil).Source.Raw, reply.Source.Raw); diff != "" {
						t.Errorf("source differs (-want +got):\n%s", diff)
					}
					properties, _, err := codec.Decode(reply.Properties)
					ticks := codec.Map{{Key: codec.Symbol(propertyLockUntil), Value: int64(621355968000010000)}}
					if diff := cmp.Diff(any(ticks), properties); diff != "" || err != nil {
						t.Errorf("link properties differ, %v (-want +got):\n%s", err, diff)
					}
				})
			})
		}
	}
}

func TestSessionFilterOfAnotherTypeIsADecodeError(t *testing.T) {
	withPeer(t, Config{}, func(p *peer) {
		put(p, sessionAttach(0, int64(1), nil))
		p.flush()
		if got := condition(p.expect("close")[0].close.Error); got != condDecode {
			t.Errorf("closed with %s", got)
		}
	})
}

func TestMalformedSourceBehindTheFilterIsRefused(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		a := sessionAttach(0, nil, nil)
		raw := a.Source.Raw
		raw[len(raw)-len("capability")-1]++ // the last field claims a byte more than there is
		put(p, a)
		p.flush()
		p.expect("")
		b.request(t, 0).opened(b.session("s"), nil)
		synctest.Wait()
		if got := condition(p.expect("attach detach")[1].detach.Error); got != condDecode {
			t.Errorf("detached with %s", got)
		}
		if b.queue("session s").closed != 1 {
			t.Error("the session is still open")
		}
	})
}

func TestWaitForASessionHoldsUpNothingElse(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		put(p, sessionAttach(7, described(nil), nil))
		put(p, credit(7, 0, 1, false)) // collected
		p.flush()
		p.expect("")
		if wait := b.request(t, 0).link.Session.Wait; wait.Set {
			t.Errorf("the client did not say how long to wait, and yet %v", wait.Value)
		}
		p.receiver(1, "q")
		p.sender(2, "q")
		b.queue("session s").put([]byte("1"))
		time.Sleep(time.Minute)
		b.request(t, 0).opened(b.session("s"), nil)
		synctest.Wait()
		p.expect("attach transfer")
	})
}

func TestRefusedSessionNullsTheSource(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		put(p, sessionAttach(0, described(nil), nil))
		p.flush()
		b.request(t, 0).opened(nil, &Error{Condition: "com.microsoft:timeout", Description: "none came"})
		synctest.Wait()
		got := p.expect("attach detach")
		if got[0].attach.Source.Raw != nil || condition(got[1].detach.Error) != "com.microsoft:timeout" || !got[1].detach.Closed {
			t.Errorf("refused with %+v", got)
		}
		if n := b.request(t, 0).cancelled.Load(); n != 0 {
			t.Error("what the namespace refused was cancelled")
		}
		put(p, frames.Detach{Handle: 0, Closed: true})
		p.flush()
		p.receiver(0, "q") // the handle is free again
	})
}

func TestLinkThatEndsBeforeItsSessionCameGivesItUp(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(p *peer)
		want string
	}{
		"detach": {func(p *peer) { put(p, frames.Detach{Handle: 0, Closed: true}) }, "attach detach"},
		"end":    {func(p *peer) { put(p, frames.EndSession{}) }, "end"},
		"close":  {func(p *peer) { put(p, frames.Close{}) }, "close eof"},
		"loss":   {func(p *peer) { _ = p.nc.Close() }, "eof"},
		"stolen": {func(p *peer) { put(p, sessionAttach(1, described("s"), nil)) }, "attach detach"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			withPeer(t, Config{Namespace: b}, func(p *peer) {
				put(p, sessionAttach(0, described(nil), nil))
				p.flush()
				c.end(p)
				if name != "loss" {
					p.flush()
				}
				synctest.Wait()
				p.expect(c.want)
				r := b.request(t, 0)
				if n := r.cancelled.Load(); n != 1 {
					t.Fatalf("cancelled %d times, want once", n)
				}
				r.opened(b.session("s"), nil) // too late: it was under way
				synctest.Wait()
				if name == "detach" || name == "end" || name == "stolen" {
					p.expect("")
				}
				if opened := b.queue("session s"); opened.closed != 0 || len(opened.watchers) != 0 {
					t.Error("a session that was given up is used")
				}
			})
		})
	}
}

func TestLossOfASessionDetachesItsReceiver(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		put(p, sessionAttach(0, bare("s"), nil))
		put(p, credit(0, 0, 2, false))
		p.flush()
		s := b.session("s")
		s.put([]byte("1"))
		b.request(t, 0).opened(s, nil)
		synctest.Wait()
		p.expect("attach transfer")
		s.lost.Store(&Error{Condition: "com.microsoft:session-lock-lost", Description: "too late"})
		s.put([]byte("2")) // news, but not for this receiver
		synctest.Wait()
		if got := condition(p.expect("detach")[0].detach.Error); got != "com.microsoft:session-lock-lost" {
			t.Errorf("detached with %s", got)
		}
		if ready, _ := s.counts(); ready != 1 || s.closed != 1 {
			t.Errorf("%d messages are left and the source was closed %d times, want once each", ready, s.closed)
		}
	})
}

func TestSessionLostBeforeItsReceiverHadItIsRefused(t *testing.T) {
	b := newBench()
	withPeer(t, Config{Namespace: b}, func(p *peer) {
		put(p, sessionAttach(0, bare("s"), nil))
		p.flush()
		s := b.session("s")
		s.lost.Store(&Error{Condition: "com.microsoft:session-lock-lost", Description: "too late"})
		b.request(t, 0).opened(s, nil)
		synctest.Wait()
		if got := p.expect("attach detach"); got[0].attach.Source.Raw != nil || s.closed != 1 {
			t.Errorf("attach with a source % x, closed %d times", got[0].attach.Source.Raw, s.closed)
		}
	})
}
