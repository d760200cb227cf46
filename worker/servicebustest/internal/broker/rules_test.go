package broker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestExpiredLockReturnsTheMessageCountedWithANewToken(t *testing.T) {
	bubble(t, Config{LockDuration: 30 * time.Second}, func(t *testing.T, q *Queue) {
		sendN(t, q, 1)
		m := acquireOne(t, q)
		time.Sleep(30*time.Second - 1)
		wantEmpty(t, q)
		time.Sleep(time.Nanosecond)
		for kind := Complete; kind <= Release; kind++ {
			if err := q.Settle(Outcome{Kind: kind}, m.LockToken); !errors.Is(err, ErrLockLost) {
				t.Errorf("%v at the instant of expiry returned %v, want lock lost", kind, err)
			}
		}
		if _, err := q.Renew(m.LockToken); !errors.Is(err, ErrLockLost) {
			t.Errorf("renew of an expired lock returned %v", err)
		}
		again := acquireOne(t, q)
		if again.DeliveryCount != 1 || again.LockToken == m.LockToken {
			t.Fatalf("redelivered as %+v", again)
		}
	})
}

func TestRenewMovesOnlyTheExpiry(t *testing.T) {
	bubble(t, Config{LockDuration: time.Minute}, func(t *testing.T, q *Queue) {
		sendN(t, q, 2)
		first, second := acquireOne(t, q), acquireOne(t, q)
		time.Sleep(50 * time.Second)
		until, err := q.Renew(first.LockToken)
		if err != nil || !until.Equal(time.Now().Add(time.Minute)) {
			t.Fatalf("renewed until %v, %v", until, err)
		}
		time.Sleep(30 * time.Second)
		settle(t, q, first, Complete)
		if err := q.Settle(Outcome{Kind: Complete}, second.LockToken); !errors.Is(err, ErrLockLost) {
			t.Fatalf("the lock that was not renewed settled with %v", err)
		}
	})
}

func TestSeveralTokensSettleOrRenewAllOrNothing(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		sendN(t, q, 2)
		m := acquireOne(t, q)
		if err := q.Settle(Outcome{Kind: Complete}, m.LockToken, Token{1}); !errors.Is(err, ErrLockLost) {
			t.Fatalf("settle with an unknown token returned %v", err)
		}
		if _, err := q.Renew(m.LockToken, Token{1}); !errors.Is(err, ErrLockLost) {
			t.Fatalf("renew with an unknown token returned %v", err)
		}
		wantCounts(t, q, Counts{Accepted: 2, Active: 1, Locked: 1})
		if err := q.Settle(Outcome{Kind: Complete}, m.LockToken, m.LockToken); err != nil {
			t.Fatalf("the same token named twice: %v", err)
		}
		wantCounts(t, q, Counts{Accepted: 2, Active: 1, Completed: 1})
	})
}

func TestSpentDeliveriesDeadLetterWithTheBrokersReason(t *testing.T) {
	fail := map[string]func(*testing.T, *Queue, Stored){
		"abandon":    func(t *testing.T, q *Queue, m Stored) { settle(t, q, m, Abandon) },
		"lock lapse": func(_ *testing.T, _ *Queue, m Stored) { time.Sleep(time.Until(m.LockedUntil)) },
	}
	for name, fail := range fail {
		t.Run(name, func(t *testing.T) {
			bubble(t, Config{MaxDeliveryCount: 3}, func(t *testing.T, q *Queue) {
				sendN(t, q, 1)
				for range 3 {
					fail(t, q, acquireOne(t, q))
				}
				wantEmpty(t, q)
				m := acquireOne(t, q.DeadLetter())
				wantOverlay(t, m, "MaxDeliveryCountExceeded", "Message could not be consumed after 3 delivery attempts.")
				if m.DeliveryCount != 3 || m.SequenceNumber != 1 || m.DeadLetterSource != "orders" {
					t.Fatalf("dead-lettered as %+v", m)
				}
			})
		})
	}
}

func wantOverlay(t *testing.T, m Stored, reason, description string) {
	t.Helper()
	if m.Overlay[PropertyDeadLetterReason] != reason || m.Overlay[PropertyDeadLetterDescription] != description {
		t.Fatalf("properties are %v, want reason %q and description %q", m.Overlay, reason, description)
	}
}

func TestDeadLetterQueueHasNoLimits(t *testing.T) {
	cfg := Config{MaxDeliveryCount: 1, DefaultTTL: time.Minute, DeadLetterOnExpiration: true, LockDuration: time.Second}
	bubble(t, cfg, func(t *testing.T, q *Queue) {
		sendN(t, q, 1)
		settle(t, q, acquireOne(t, q), Abandon)
		dead := q.DeadLetter()
		for range 3 {
			settle(t, dead, acquireOne(t, dead), Abandon)
		}
		acquireOne(t, dead)
		time.Sleep(time.Hour)
		m := acquireOne(t, dead)
		if m.DeliveryCount != 1 {
			t.Fatalf("delivery count is %d, want the 1 it came with", m.DeliveryCount)
		}
		if err := dead.Settle(Outcome{Kind: DeadLetter}, m.LockToken); !errors.Is(err, ErrNotAllowed) {
			t.Fatalf("dead-letter from the dead-letter queue returned %v", err)
		}
		settle(t, dead, m, Complete)
		wantCounts(t, q, Counts{Accepted: 1, Completed: 1})
	})
}

func TestDeadLetterKeepsReasonDescriptionAndExtraProperties(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		sendN(t, q, 2)
		outcome := Outcome{Kind: DeadLetter, Reason: "why", Description: "how", Properties: map[string]any{"code": 7}}
		if err := q.Settle(outcome, acquireOne(t, q).LockToken); err != nil {
			t.Fatal(err)
		}
		settle(t, q, acquireOne(t, q), DeadLetter)
		got := q.DeadLetter().Acquire(nil, 2, PeekLock)
		wantOverlay(t, got[0], "why", "how")
		if got[0].Overlay["code"] != 7 {
			t.Fatalf("properties are %v", got[0].Overlay)
		}
		if len(got[1].Overlay) != 0 {
			t.Fatalf("a dead-letter without a reason set %v", got[1].Overlay)
		}
	})
}

func TestAbandonedPropertiesAccumulateWithoutTouchingSnapshots(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, q *Queue) {
		sendN(t, q, 1)
		for _, key := range []string{"a", "b"} {
			m := acquireOne(t, q)
			before := len(m.Overlay)
			if err := q.Settle(Outcome{Kind: Abandon, Properties: map[string]any{key: key}}, m.LockToken); err != nil {
				t.Fatal(err)
			}
			if len(m.Overlay) != before {
				t.Fatal("a snapshot changed")
			}
		}
		if m := acquireOne(t, q); m.Overlay["a"] != "a" || m.Overlay["b"] != "b" {
			t.Fatalf("properties are %v", m.Overlay)
		}
	})
}

func TestTimeToLive(t *testing.T) {
	for name, test := range map[string]struct {
		cfg  Config
		ttl  time.Duration
		ends time.Duration // 0: never
	}{
		"sender's":               {ttl: time.Second, ends: time.Second},
		"queue's default":        {cfg: Config{DefaultTTL: time.Hour}, ends: time.Hour},
		"queue's caps sender's":  {cfg: Config{DefaultTTL: time.Hour}, ttl: 2 * time.Hour, ends: time.Hour},
		"sender's below queue's": {cfg: Config{DefaultTTL: time.Hour}, ttl: time.Minute, ends: time.Minute},
		"neither":                {},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, test.cfg, func(t *testing.T, q *Queue) {
				send(t, q, Message{TTL: test.ttl})
				if test.ends == 0 {
					time.Sleep(1000 * time.Hour)
					acquireOne(t, q)
					return
				}
				time.Sleep(test.ends - 1)
				wantCounts(t, q, Counts{Accepted: 1, Active: 1})
				time.Sleep(time.Nanosecond)
				wantCounts(t, q, Counts{Accepted: 1, Expired: 1})
			})
		})
	}
}

func TestExpiredMessageIsDeadLetteredWhereTheQueueSaysSo(t *testing.T) {
	bubble(t, Config{DeadLetterOnExpiration: true}, func(t *testing.T, q *Queue) {
		send(t, q, Message{TTL: time.Second})
		changed := q.Changed()
		<-changed // nobody calls in: the timer must do it
		m := acquireOne(t, q.DeadLetter())
		wantOverlay(t, m, "TTLExpiredException", "The message expired and was dead lettered.")
	})
}

func TestTimeToLiveWaitsForTheLockAndThenAppliesAtOnce(t *testing.T) {
	bubble(t, Config{LockDuration: time.Minute}, func(t *testing.T, q *Queue) {
		send(t, q, Message{TTL: time.Second}, Message{TTL: time.Second}, Message{TTL: time.Second})
		locked := q.Acquire(nil, 3, PeekLock)
		time.Sleep(30 * time.Second)
		settle(t, q, locked[0], Complete)
		settle(t, q, locked[1], Abandon)
		wantCounts(t, q, Counts{Accepted: 3, Locked: 1, Completed: 1, Expired: 1})
		time.Sleep(30 * time.Second)
		wantCounts(t, q, Counts{Accepted: 3, Completed: 1, Expired: 2})
	})
}

func TestCloseStopsTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := NewNamespace(true)
		q, err := n.CreateQueue("q", Config{})
		if err != nil {
			t.Fatal(err)
		}
		send(t, q, Message{TTL: time.Second})
		n.Close()
		q.Counts() // looking must not start the clock again
		changed := q.Changed()
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case <-changed:
			t.Fatal("the timer fired after Close")
		default:
		}
	})
}
