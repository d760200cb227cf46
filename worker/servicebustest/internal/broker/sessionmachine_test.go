package broker

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// sessionMachine drives queue and model with the same operations.
type sessionMachine struct {
	q *Queue
	d sessionModel
}

func TestSessionsAgreeWithASimpleModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(*testing.T) {
			n := NewNamespace(true)
			defer n.Close()
			q, err := n.CreateQueue("q", Config{RequiresSession: true, LockDuration: modelLock, MaxDeliveryCount: modelLimit})
			if err != nil {
				rt.Fatal(err)
			}
			m := &sessionMachine{q: q, d: sessionModel{held: make(map[string]*client)}}
			for i := range 4 {
				m.d.clients = append(m.d.clients, &client{owner: Owner{uint64(i), "link"}})
			}
			rt.Repeat(map[string]func(*rapid.T){
				"send": m.send, "accept": m.accept, "next": m.next, "release": m.release, "acquire": m.acquire,
				"settle": m.settle, "deferred": m.deferred, "renew": m.renew, "wait": m.wait, "": m.check,
			})
		})
	})
}

func drawSession(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "session")
}

func (m *sessionMachine) send(t *rapid.T) {
	var batch []Message
	now := time.Now()
	for range rapid.IntRange(1, 3).Draw(t, "messages") {
		id := drawSession(t)
		batch = append(batch, Message{ID: fmt.Sprint(len(m.d.messages)), SessionID: id, InSession: true})
		m.d.messages = append(m.d.messages, &sessionMessage{session: id, place: "active"})
		m.d.match(now)
	}
	if _, err := m.q.Enqueue(batch...); err != nil {
		t.Fatal(err)
	}
}

// pick draws a client that does, or does not, have a session or a wait.
func (m *sessionMachine) pick(t *rapid.T, what string) *client {
	var fit []*client
	for _, c := range m.d.clients {
		holds, waits := m.d.held[c.session] == c, slices.Contains(m.d.waiting, c)
		if what == "holding" && holds || what == "busy" && (holds || waits) || what == "idle" && !holds && !waits {
			fit = append(fit, c)
		}
	}
	if len(fit) == 0 {
		t.Skip("nobody is " + what)
	}
	return rapid.SampledFrom(fit).Draw(t, what)
}

func (m *sessionMachine) accept(t *rapid.T) {
	c, id := m.pick(t, "idle"), drawSession(t)
	lock, err := m.q.AcceptSession(id, c.owner)
	if m.d.held[id] != nil {
		if !errors.Is(err, ErrSessionLocked) {
			t.Fatalf("%q is held, and accepting it returned %v", id, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.d.locks++
	c.lock, c.number = lock, m.d.locks
	m.d.hold(c, id, time.Now())
}

func (m *sessionMachine) next(t *rapid.T) {
	c := m.pick(t, "idle")
	wait := time.Duration(rapid.IntRange(1, 15).Draw(t, "seconds")) * time.Second
	lock, err := m.q.AcceptNextSession(wait, c.owner, func(*SessionLock, error) {})
	if err != nil {
		t.Fatal(err)
	}
	m.d.locks++
	c.lock, c.number, c.until = lock, m.d.locks, time.Now().Add(wait)
	m.d.waiting = append(m.d.waiting, c)
	m.d.match(time.Now())
}

func (m *sessionMachine) release(t *rapid.T) {
	c := m.pick(t, "busy")
	c.lock.Release()
	if m.d.held[c.session] == c {
		m.d.end(c, false, time.Now())
		return
	}
	m.d.waiting = slices.DeleteFunc(m.d.waiting, func(other *client) bool { return other == c })
}

func (m *sessionMachine) acquire(t *rapid.T) {
	c := m.pick(t, "holding")
	limit := rapid.IntRange(1, 3).Draw(t, "limit")
	available := m.d.of(c.session, "active")
	want := available[:min(limit, len(available))]
	got := c.lock.Acquire(nil, limit, PeekLock)
	if !slices.Equal(sequencesOf(got), want) {
		t.Fatalf("acquired %v from %q, want %v", sequencesOf(got), c.session, want)
	}
	for i, n := range want {
		message := m.d.messages[n-1]
		if got[i].DeliveryCount != message.count || !got[i].LockedUntil.Equal(c.until) {
			t.Fatalf("message %d has delivery count %d until %v, want %d until %v", n, got[i].DeliveryCount, got[i].LockedUntil, message.count, c.until)
		}
		message.place, message.token = "held", got[i].LockToken
	}
}

func (m *sessionMachine) settle(t *rapid.T) {
	c := m.pick(t, "holding")
	held := m.d.of(c.session, "held")
	if len(held) == 0 {
		t.Skip("nothing is held")
	}
	message := m.d.messages[rapid.SampledFrom(held).Draw(t, "message")-1]
	kind := rapid.SampledFrom([]OutcomeKind{Complete, Abandon, Defer, DeadLetter, Release}).Draw(t, "outcome")
	if err := c.lock.Settle(Outcome{Kind: kind}, message.token); err != nil {
		t.Fatal(err)
	}
	switch kind {
	case Complete:
		message.place = "done"
	case Abandon, Release:
		m.d.back(message, kind == Abandon)
	case Defer:
		message.place = "deferred"
	case DeadLetter:
		message.place = "dead"
	}
}

func (m *sessionMachine) deferred(t *rapid.T) {
	c := m.pick(t, "holding")
	numbers := m.d.of(c.session, "deferred")
	if len(numbers) == 0 {
		t.Skip("nothing is deferred")
	}
	got, err := c.lock.ReceiveDeferred(numbers[:1], ReceiveAndDelete)
	if err != nil || got[0].SessionID != c.session {
		t.Fatalf("received %v, %v", got, err)
	}
	m.d.messages[numbers[0]-1].place = "done"
}

func (m *sessionMachine) renew(t *rapid.T) {
	c := m.pick(t, "holding")
	until, err := c.lock.Renew()
	if err != nil {
		t.Fatal(err)
	}
	c.until = until
}

func (m *sessionMachine) wait(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 30).Draw(t, "half seconds")) * time.Second / 2)
	m.d.advance(time.Now())
}

// check compares what can be seen: nobody holds what the model gives to another, and no message is in two places.
func (m *sessionMachine) check(t *rapid.T) {
	for i, c := range m.d.clients {
		holds, waits := m.d.held[c.session] == c, slices.Contains(m.d.waiting, c)
		if c.lock == nil {
			continue
		}
		if over := c.lock.Err() != nil; over == (holds || waits) {
			t.Fatalf("client %d: holds %v, waits %v, and its lock says %v", i, holds, waits, c.lock.Err())
		}
		if holds && (c.lock.ID() != c.session || !c.lock.LockedUntil().Equal(c.until) || m.q.Holder(c.session) != c.lock) {
			t.Fatalf("client %d holds %q until %v, want %q until %v", i, c.lock.ID(), c.lock.LockedUntil(), c.session, c.until)
		}
	}
	want := Counts{Accepted: len(m.d.messages)}
	for _, message := range m.d.messages {
		switch message.place {
		case "active":
			want.Active++
		case "held":
			want.Locked++
		case "deferred":
			want.Deferred++
		case "dead":
			want.DeadLettered++
		case "done":
			want.Completed++
		}
	}
	if got := m.q.Counts(); got != want {
		t.Fatalf("counts are\n%+v, want\n%+v", got, want)
	}
}
