package broker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

const idleTime = 10 * time.Minute

var idling = Config{AutoDeleteOnIdle: idleTime}

func wantThere(t *testing.T, p plan, path string, want bool) {
	t.Helper()
	synctest.Wait()
	_, err := p.Resolve(path)
	if (err == nil) != want || err != nil && !errors.Is(err, ErrEntityNotFound) {
		t.Fatalf("%v after the start: resolve %s: %v, want it there: %v", time.Since(bubbleStart), path, err, want)
	}
}

// bubbleStart is when every bubble begins.
var bubbleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestUnusedEntityIsDeleted(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		var told []Change
		p.Notify(func(c Change) { told = append(told, c) })
		p.queue("q", idling)
		time.Sleep(idleTime - 1)
		wantThere(t, p, "q", true)
		time.Sleep(time.Nanosecond)
		wantThere(t, p, "q", false)
		if len(told) != 1 || told[0].Path != "q" || !errors.Is(told[0].Err, ErrEntityNotFound) {
			t.Errorf("told %+v", told)
		}
	})
}

func TestUseKeepsAnEntity(t *testing.T) {
	for name, use := range map[string]func(p plan, q *Queue){
		"send":    func(p plan, q *Queue) { send(p.t, q, Message{}) },
		"receive": func(_ plan, q *Queue) { q.Acquire(nil, 1, PeekLock) },
		"update": func(p plan, _ *Queue) {
			if _, err := p.Update(KindQueue, "q", idling); err != nil {
				p.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			planned(t, func(t *testing.T, p plan) {
				q := p.queue("q", idling)
				time.Sleep(idleTime - 1)
				use(p, q)
				time.Sleep(idleTime - 1)
				wantThere(t, p, "q", true)
				time.Sleep(time.Nanosecond)
				wantThere(t, p, "q", false)
			})
		})
	}
}

func TestAttachedReceiverScheduledMessageOrLockKeepsAnEntity(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		p.queue("unused", idling)
		watched, scheduled, locked := p.queue("watched", idling), p.queue("scheduled", idling), p.queue("locked", idling)
		stop := watched.DeadLetter().Watch(func() {})
		send(t, scheduled, Message{ScheduledFor: time.Now().Add(15 * time.Minute)})
		send(t, locked, Message{})
		m := acquireOne(t, locked)
		for range 30 {
			time.Sleep(30 * time.Second)
			if _, err := locked.Renew(m.LockToken); err != nil {
				t.Fatal(err)
			}
		}
		wantThere(t, p, "unused", false)
		for _, path := range []string{"watched", "scheduled", "locked"} {
			wantThere(t, p, path, true)
		}
		stop()
		time.Sleep(time.Hour)
		for _, path := range []string{"watched", "scheduled", "locked"} {
			wantThere(t, p, path, false)
		}
	})
}

func TestTopicLivesAsLongAsItsSubscriptionsAreUsed(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		p.topic("t", idling)
		sub := p.subscription("t", "s", Config{})
		p.subscription("t", "idle", idling)
		time.Sleep(idleTime - 1)
		sub.Acquire(nil, 1, PeekLock)
		time.Sleep(idleTime - 1)
		wantThere(t, p, "t", true)
		wantThere(t, p, "t/subscriptions/idle", false)
		time.Sleep(time.Nanosecond)
		wantThere(t, p, "t", false)
		wantThere(t, p, "t/subscriptions/s", false)
	})
}

func TestIdleTimeCanBeTakenAway(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		p.queue("q", idling)
		if _, err := p.Update(KindQueue, "q", Config{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		wantThere(t, p, "q", true)
	})
}
