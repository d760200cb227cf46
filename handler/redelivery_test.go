package handler

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// later is what Redelivery.Next says of one delivery.
type later struct {
	wait time.Duration
	Result
	ok bool
}

// next asks in a bubble, so that the clock stands still.
func next(t *testing.T, p Redelivery, m func(now time.Time) Message, r Result, down bool) (e later) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { e.wait, e.Result, e.ok = p.Next(m(time.Now()), r, down) })
	return e
}

const day = 24 * time.Hour

// failing is a request at the end of a delivery that did not finish it.
type failing struct {
	age, ttl     time.Duration // 0: not known
	redeliveries int
	deliveries   int
	outcome      Outcome
	retryAfter   time.Duration
	down         bool
}

var givenUp = []struct {
	name string
	in   failing
	want Outcome // the outcome itself: redelivered
}{
	{"young", failing{outcome: Throttled, age: time.Hour}, Throttled},
	{"of unknown age", failing{outcome: Throttled, redeliveries: 2}, Throttled},
	{"just young enough", failing{outcome: Throttled, age: day - time.Minute}, Throttled},
	{"too old at its next delivery", failing{outcome: Throttled, age: day - 29*time.Second, redeliveries: 1}, RetriesExhausted},
	{"too old at its first delivery, for want of a worker", failing{outcome: Throttled, age: 9 * day}, Throttled},
	{"too old where no copy can be sent", failing{outcome: Throttled, age: 9 * day, deliveries: 2}, RetriesExhausted},
	{"to wait for longer than a request may last", failing{outcome: Unavailable, age: time.Second, retryAfter: day}, Unavailable},
	{"too old when Batch lets it come back", failing{outcome: Throttled, age: day - time.Hour, retryAfter: time.Hour + 1, redeliveries: 1}, RetriesExhausted},
	{"too often", failing{outcome: Network, redeliveries: 3}, RetriesExhausted},
	{"not yet too often", failing{outcome: Network, redeliveries: 2}, Network},
	{"too old while the account is down", failing{outcome: Network, age: 9 * day, down: true}, Network},
	{"too often while the account is down", failing{outcome: Network, redeliveries: 99, down: true}, Network},
	{"too old while refused", failing{outcome: AuthFailed, age: 9 * day}, AuthFailed},
	{"too old at a wrong endpoint", failing{outcome: WrongEndpoint, age: 9 * day, redeliveries: 99}, WrongEndpoint},
	{"too old while draining", failing{outcome: Draining, age: 9 * day, redeliveries: 99}, Draining},
	{"too old while set apart", failing{outcome: Isolated, age: 9 * day, redeliveries: 99, retryAfter: 1}, Isolated},
	{"about to expire", failing{outcome: Throttled, ttl: 29 * time.Second}, Expired},
	{"expiring at the end of Batch's wait", failing{outcome: Throttled, ttl: time.Hour, retryAfter: time.Hour}, Expired},
	{"expiring just after it", failing{outcome: Throttled, ttl: time.Hour + 1, retryAfter: time.Hour}, Throttled},
	{"expiring while the account is down", failing{outcome: AuthFailed, ttl: time.Second, down: true}, Expired},
	{"expired while draining", failing{outcome: Draining, ttl: -1}, Expired},
	{"expiring soon while draining", failing{outcome: Draining, ttl: 1}, Draining},
}

func TestWhenARequestIsGivenUp(t *testing.T) {
	t.Parallel()
	p := Redelivery{Initial: time.Minute, Max: time.Hour, MaxAge: day, MaxCount: 3}
	for _, tt := range givenUp {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := next(t, p, func(now time.Time) Message {
				m := Message{Redeliveries: tt.in.redeliveries, Deliveries: tt.in.deliveries}
				if tt.in.age != 0 {
					m.FirstEnqueued = now.Add(-tt.in.age)
				}
				if tt.in.ttl != 0 {
					m.ExpiresAt = now.Add(tt.in.ttl)
				}
				return m
			}, Result{Outcome: tt.in.outcome, RetryAfter: tt.in.retryAfter, Detail: "Batch said so", Attempts: 4}, tt.in.down)
			checkEnding(t, e, tt.in.outcome, tt.want)
		})
	}
}

func checkEnding(t *testing.T, e later, was, want Outcome) {
	t.Helper()
	if e.Outcome != want || e.ok != (was == want) || e.Attempts != 4 {
		t.Fatalf("%v, redelivered %v, %d attempts; want %v", e.Outcome, e.ok, e.Attempts, want)
	}
	if !e.ok && (e.Outcome.Decision() != DeadLetter || e.wait != 0 || !strings.HasSuffix(e.Detail, "; last: Batch said so")) {
		t.Errorf("%v, wait %v, detail %q; want a dead-letter that keeps the last answer", e.Outcome, e.wait, e.Detail)
	}
	if e.ok && (e.Detail != "Batch said so" || (was == Draining) != (e.wait == 0)) {
		t.Errorf("wait %v, detail %q", e.wait, e.Detail)
	}
}

func TestGivingUpWithoutAnAnswerHasNoLastOne(t *testing.T) {
	t.Parallel()
	e := next(t, DefaultRedelivery, func(now time.Time) Message { return Message{FirstEnqueued: now.Add(-25 * time.Hour), Redeliveries: 1} }, Result{Outcome: Network}, false)
	if e.Detail != "still network after 24h0m0s" {
		t.Errorf("detail %q", e.Detail)
	}
}

// Outcomes that come back later.
func redelivered() (all []Outcome) {
	for _, o := range Outcomes() {
		if d := o.Decision(); d == Redeliver || d == Pause {
			all = append(all, o)
		}
	}
	return all
}

func TestRedeliveryWaitsAreBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Redelivery{Initial: duration(t, "initial", 1, time.Hour), MaxAge: 1000 * time.Hour}
		p.Max = duration(t, "max", p.Initial, 100*time.Hour)
		redeliveries := rapid.IntRange(0, 1<<20).Draw(t, "redeliveries")
		r := Result{Outcome: rapid.SampledFrom(redelivered()).Draw(t, "outcome"), RetryAfter: duration(t, "retry-after", 0, 24*time.Hour)}
		wait, _, ok := p.Next(Message{Redeliveries: redeliveries}, r, rapid.Bool().Draw(t, "down"))
		bound := p.Initial
		for range min(redeliveries, 64) {
			bound = min(2*bound, p.Max)
		}
		switch {
		case !ok:
			t.Fatalf("%v given up without an age, a count or a time to live", r.Outcome)
		case r.Outcome == Draining:
			if wait != 0 {
				t.Fatalf("a drain waits %v", wait)
			}
		case r.Outcome == Isolated:
			if wait != r.RetryAfter {
				t.Fatalf("what comes back to run alone waits %v, not the %v that the worker chose", wait, r.RetryAfter)
			}
		case wait < max(bound/2, r.RetryAfter) || wait > max(bound, r.RetryAfter):
			t.Fatalf("wait %v of a bound of %v, retry-after %v", wait, bound, r.RetryAfter)
		}
	})
}

func duration(t *rapid.T, name string, least, most time.Duration) time.Duration {
	return time.Duration(rapid.Int64Range(int64(least), int64(most)).Draw(t, name))
}

// Promise P4: an outage, a pause and a drain never dead-letter. Only the sender's time to live ends a request then, and
// only the message's own makes it expired.
func TestOnlyTheSendersTimeToLiveEndsARequestDuringAnOutage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		p := Redelivery{Initial: time.Second, Max: time.Minute, MaxAge: duration(t, "max age", time.Second, time.Hour), MaxCount: rapid.IntRange(0, 5).Draw(t, "max count")}
		m := Message{Redeliveries: rapid.IntRange(0, 10).Draw(t, "redeliveries"), FirstEnqueued: now.Add(-duration(t, "age", 0, 2*time.Hour))}
		if rapid.Bool().Draw(t, "has time to live") {
			m.ExpiresAt = now.Add(duration(t, "time to live", -time.Hour, time.Hour))
		}
		r := Result{Outcome: rapid.SampledFrom(redelivered()).Draw(t, "outcome")}
		down := rapid.Bool().Draw(t, "down")
		_, got, ok := p.Next(m, r, down)
		spared := down || r.Outcome == Draining || r.Outcome == Isolated || r.Outcome.Decision() == Pause
		switch {
		case got.Outcome == Expired:
			if m.ExpiresAt.IsZero() || m.ExpiresAt.Sub(now) > p.Max+time.Minute {
				t.Fatalf("expired, but its time to live ends %v", m.ExpiresAt)
			}
		case got.Outcome == RetriesExhausted && spared:
			t.Fatalf("%v given up, account down %v", r.Outcome, down)
		case ok != (got.Outcome == r.Outcome):
			t.Fatalf("ok %v with %v", ok, got.Outcome)
		}
		if ok && !m.ExpiresAt.IsZero() && !m.ExpiresAt.After(now) {
			t.Fatalf("redelivered %v after its end", now.Sub(m.ExpiresAt))
		}
	})
}

// The upper half of the bound is used in full, so that a burst does not come back as one.
func TestRedeliveryWaitsSpread(t *testing.T) {
	t.Parallel()
	var waits []time.Duration
	for range 400 {
		waits = append(waits, DefaultRedelivery.wait(1))
	}
	// All 400 miss the outer tenth of the range with odds of 1 in 10^18.
	if least, most := slices.Min(waits), slices.Max(waits); least > 33*time.Second || most < 57*time.Second {
		t.Errorf("400 waits from %v to %v, want 30 s to 60 s", least, most)
	}
}

func TestRedeliverySettingsOutOfBoundsAreNamed(t *testing.T) {
	t.Parallel()
	if err := DefaultRedelivery.Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	bad := map[string]func(*Redelivery){
		"redelivery waits: 0s to 15m0s":    func(p *Redelivery) { p.Initial = 0 },
		"redelivery waits: 30s to 29s":     func(p *Redelivery) { p.Max = 29 * time.Second },
		"max age: 29s":                     func(p *Redelivery) { p.MaxAge = 29 * time.Second },
		"max redeliveries: -1; at least 0": func(p *Redelivery) { p.MaxCount = -1 },
	}
	for want, spoil := range bad {
		p := DefaultRedelivery
		spoil(&p)
		checkNames(t, p.Validate(), want)
	}
	checkNames(t, Redelivery{MaxAge: -1, MaxCount: -1}.Validate(), "redelivery waits", "max age", "max redeliveries")
}
