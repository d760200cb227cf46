package broker

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// The model holds each message in one place, by its number, and finds what is due by looking at all of them. It is
// slow and has no heap, no chunks and no timer, which is the point of comparing.
type model struct {
	cfg                         Config
	messages                    map[int64]*modelMessage
	next                        int64
	accepted, completed, lapsed int
	cancelled                   int
}

type modelMessage struct {
	place   string // "active", "locked", "deferred", "deferred locked", "scheduled", "dead", "dead locked"
	until   time.Time
	expires time.Time
	ttl     time.Duration
	count   int
	token   Token
}

const modelLock = 10 * time.Second

// due returns when the next thing happens to m.
func (m *modelMessage) due() time.Time {
	if m.place == "active" {
		return m.expires
	}
	return m.until
}

func (d *model) advance(now time.Time) {
	for {
		var first int64
		for _, n := range slices.Sorted(maps.Keys(d.messages)) {
			due := d.messages[n].due()
			if !due.IsZero() && !due.After(now) && (first == 0 || due.Before(d.messages[first].due())) {
				first = n
			}
		}
		if first == 0 {
			return
		}
		d.happen(first, d.messages[first].due())
	}
}

func (d *model) happen(n int64, at time.Time) {
	m := d.messages[n]
	switch m.place {
	case "scheduled":
		delete(d.messages, n)
		d.next++
		d.messages[d.next] = m
		m.place, m.until = "active", time.Time{}
		if m.ttl > 0 {
			m.expires = at.Add(m.ttl)
		}
	case "active":
		d.unlock(n, at)
	default:
		d.fail(n, at)
	}
}

func (d *model) fail(n int64, at time.Time) {
	m := d.messages[n]
	if m.place != "dead locked" {
		if m.count++; m.count >= d.cfg.MaxDeliveryCount {
			m.place, m.until = "dead", time.Time{}
			return
		}
	}
	d.unlock(n, at)
}

func (d *model) unlock(n int64, at time.Time) {
	m := d.messages[n]
	m.until = time.Time{}
	switch m.place {
	case "locked", "active":
		m.place = "active"
		if !m.expires.IsZero() && !m.expires.After(at) {
			if d.cfg.DeadLetterOnExpiration {
				m.place = "dead"
				return
			}
			delete(d.messages, n)
			d.lapsed++
		}
	case "deferred locked":
		m.place = "deferred"
	case "dead locked":
		m.place = "dead"
	}
}

func (d *model) in(places ...string) []int64 {
	var numbers []int64
	for n, m := range d.messages {
		if slices.Contains(places, m.place) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

func (d *model) counts() Counts {
	return Counts{
		Accepted: d.accepted, Active: len(d.in("active")), Locked: len(d.in("locked", "deferred locked")),
		Deferred: len(d.in("deferred")), Scheduled: len(d.in("scheduled")), DeadLettered: len(d.in("dead", "dead locked")),
		Completed: d.completed, Expired: d.lapsed, Cancelled: d.cancelled,
	}
}

// machine drives queue and model with the same operations.
type machine struct {
	q *Queue
	d model
}

func TestQueueAgreesWithASimpleModelAndLosesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{
			LockDuration: modelLock, MaxDeliveryCount: rapid.IntRange(1, 3).Draw(rt, "limit"),
			DeadLetterOnExpiration: rapid.Bool().Draw(rt, "dead-letter on expiration"),
		}
		synctest.Test(t, func(*testing.T) {
			n := NewNamespace(true)
			defer n.Close()
			q, err := n.CreateQueue("q", cfg)
			if err != nil {
				rt.Fatal(err)
			}
			m := &machine{q: q, d: model{cfg: cfg, messages: make(map[int64]*modelMessage)}}
			rt.Repeat(map[string]func(*rapid.T){
				"send": m.send, "acquire": m.acquire, "acquire dead": m.acquireDead, "delete": m.receiveAndDelete,
				"settle": m.settle, "renew": m.renew, "deferred": m.receiveDeferred, "cancel": m.cancel,
				"wait": m.wait, "": m.check,
			})
		})
	})
}

func (m *machine) send(t *rapid.T) {
	now := time.Now()
	message := Message{
		TTL:          time.Duration(rapid.IntRange(0, 15).Draw(t, "ttl")) * time.Second,
		ScheduledFor: now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "schedule")) * time.Second),
	}
	if _, err := m.q.Enqueue(message); err != nil {
		t.Fatal(err)
	}
	m.d.next++
	m.d.accepted++
	stored := &modelMessage{place: "active", ttl: message.TTL}
	if message.TTL > 0 {
		stored.expires = now.Add(message.TTL)
	}
	if message.ScheduledFor.After(now) {
		stored.place, stored.until, stored.expires = "scheduled", message.ScheduledFor, time.Time{}
	}
	m.d.messages[m.d.next] = stored
}

func (m *machine) acquire(t *rapid.T)     { m.acquireFrom(t, m.q, "active", "locked") }
func (m *machine) acquireDead(t *rapid.T) { m.acquireFrom(t, m.q.DeadLetter(), "dead", "dead locked") }

func (m *machine) acquireFrom(t *rapid.T, q *Queue, from, to string) {
	limit := rapid.IntRange(1, 3).Draw(t, "limit")
	available := m.d.in(from)
	want := available[:min(limit, len(available))]
	got := q.Acquire(nil, limit, PeekLock)
	if !slices.Equal(sequencesOf(got), want) {
		t.Fatalf("acquired %v, want %v", sequencesOf(got), want)
	}
	for i, n := range want {
		if int(got[i].DeliveryCount) != m.d.messages[n].count {
			t.Fatalf("message %d has delivery count %d, want %d", n, got[i].DeliveryCount, m.d.messages[n].count)
		}
		m.d.messages[n].place, m.d.messages[n].token, m.d.messages[n].until = to, got[i].LockToken, time.Now().Add(modelLock)
	}
}

func (m *machine) receiveAndDelete(t *rapid.T) {
	available := m.d.in("active")
	got := m.q.Acquire(nil, 1, ReceiveAndDelete)
	if !slices.Equal(sequencesOf(got), available[:min(1, len(available))]) {
		t.Fatalf("received %v of %v", sequencesOf(got), available)
	}
	for _, n := range sequencesOf(got) {
		delete(m.d.messages, n)
		m.d.completed++
	}
}

// pick draws one message of the places, or skips the step.
func (m *machine) pick(t *rapid.T, places ...string) (int64, *modelMessage) {
	numbers := m.d.in(places...)
	if len(numbers) == 0 {
		t.Skip("no such message")
	}
	n := rapid.SampledFrom(numbers).Draw(t, "message")
	return n, m.d.messages[n]
}

func (m *machine) settle(t *rapid.T) {
	n, message := m.pick(t, "locked", "deferred locked", "dead locked")
	kind := rapid.SampledFrom([]OutcomeKind{Complete, Abandon, Defer, DeadLetter, Release}).Draw(t, "outcome")
	q, now := m.q, time.Now()
	if message.place == "dead locked" {
		q = q.DeadLetter()
		if kind == DeadLetter || kind == Defer {
			t.Skip("covered by table tests")
		}
	}
	if err := q.Settle(Outcome{Kind: kind}, message.token); err != nil {
		t.Fatal(err)
	}
	if err := q.Settle(Outcome{Kind: Complete}, message.token); !errors.Is(err, ErrLockLost) {
		t.Fatalf("second settlement returned %v", err)
	}
	switch kind {
	case Complete:
		delete(m.d.messages, n)
		m.d.completed++
	case Abandon:
		m.d.fail(n, now)
	case Defer:
		message.place, message.until = "deferred", time.Time{}
	case DeadLetter:
		message.place, message.until = "dead", time.Time{}
	case Release:
		m.d.unlock(n, now)
	}
}

func (m *machine) renew(t *rapid.T) {
	_, message := m.pick(t, "locked", "deferred locked")
	until, err := m.q.Renew(message.token)
	if err != nil {
		t.Fatal(err)
	}
	message.until = until
}

func (m *machine) receiveDeferred(t *rapid.T) {
	n, message := m.pick(t, "deferred")
	got, err := m.q.ReceiveDeferred([]int64{n}, PeekLock)
	if err != nil {
		t.Fatal(err)
	}
	message.place, message.token, message.until = "deferred locked", got[0].LockToken, got[0].LockedUntil
}

func (m *machine) cancel(t *rapid.T) {
	n, _ := m.pick(t, "scheduled")
	if err := m.q.Cancel(n); err != nil {
		t.Fatal(err)
	}
	delete(m.d.messages, n)
	m.d.cancelled++
}

func (m *machine) wait(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 12).Draw(t, "seconds")) * time.Second)
	m.d.advance(time.Now())
}

func (m *machine) check(t *rapid.T) {
	counts := m.q.Counts()
	if want := m.d.counts(); counts != want {
		t.Fatalf("counts are\n%+v, want\n%+v", counts, want)
	}
	somewhere := counts.Active + counts.Locked + counts.Deferred + counts.Scheduled + counts.DeadLettered
	if ended := counts.Completed + counts.Expired + counts.Cancelled; somewhere+ended != counts.Accepted {
		t.Fatalf("%d live and %d ended of %d accepted", somewhere, ended, counts.Accepted)
	}
	if got, want := sequencesOf(m.q.Peek(0, 1000)), m.d.in("active", "locked", "deferred", "deferred locked", "scheduled"); !slices.Equal(got, want) {
		t.Fatalf("peeked %v, want %v", got, want)
	}
}
