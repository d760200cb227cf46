package worker

import (
	"context"
	"sync"

	"batchterminator/handler"
)

// underway sees to it that each message has one delivery at work. A broker may deliver a message twice under one lock, and
// delivers it again once its lock has ended, of which we may not know yet: that one waits for the first to end.
type underway struct {
	mu    sync.Mutex
	turns map[place]turn // under mu
}

// turn is one delivery's, until it is settled.
type turn struct {
	lock [16]byte
	over chan struct{}
}

func newUnderway() *underway { return &underway{turns: map[place]turn{}} }

// enter waits for d's turn. Where there is none, because this very delivery is at work already or because ctx ended
// first, it returns what d comes to instead.
func (u *underway) enter(ctx context.Context, d *delivery) (handler.Result, bool) {
	p, known := d.place()
	for known {
		u.mu.Lock()
		first, taken := u.turns[p]
		if !taken {
			d.turn = turn{d.msg.LockToken, make(chan struct{})}
			u.turns[p] = d.turn
		}
		u.mu.Unlock()
		switch {
		case !taken:
			return handler.Result{}, false
		case first.lock == d.msg.LockToken:
			return handler.Result{Outcome: handler.LockLost, Detail: "this delivery arrived twice; the first has the lock"}, true
		}
		select {
		case <-first.over:
		case <-ctx.Done():
			return interrupted(ctx), true
		}
	}
	return handler.Result{}, false
}

// leave ends d's turn, if it had one.
func (u *underway) leave(d *delivery) {
	if d.turn.over == nil {
		return
	}
	u.mu.Lock()
	p, _ := d.place()
	delete(u.turns, p)
	u.mu.Unlock()
	close(d.turn.over)
}
