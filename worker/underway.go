package worker

import (
	"context"
	"sync"

	"batchterminator/handler"
)

// underway knows the deliveries under way, and sees to it that each message has one of them at work. A broker may deliver a
// message twice under one lock, and delivers it again once its lock has ended, of which we may not know yet: that one waits
// for the first to end.
type underway struct {
	mu sync.Mutex
	at map[int64]*delivery // by sequence number the last that began; it leads to the others. Under mu.
}

func newUnderway() *underway { return &underway{at: map[int64]*delivery{}} }

// begin adds a delivery, which has its lock by now.
func (u *underway) begin(d *delivery) {
	u.mu.Lock()
	defer u.mu.Unlock()
	d.before = u.at[d.sequence()]
	u.at[d.sequence()] = d
}

// end takes a delivery out, and lets one that waits for its turn have it.
func (u *underway) end(d *delivery) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last := u.at[d.sequence()]; last != d {
		for last != nil && last.before != d {
			last = last.before
		}
		if last != nil {
			last.before = d.before
		}
	} else if d.before != nil {
		u.at[d.sequence()] = d.before
	} else {
		delete(u.at, d.sequence())
	}
	d.turn = false
	if d.over != nil {
		close(d.over)
	}
}

// holds tells whether a message with that sequence number is under way.
func (u *underway) holds(sequence int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.at[sequence] != nil
}

// oldest returns the delivery that has been under way for longest, nil without any.
func (u *underway) oldest() (oldest *delivery) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, d := range u.at {
		for ; d != nil; d = d.before {
			if oldest == nil || d.received.Before(oldest.received) {
				oldest = d
			}
		}
	}
	return oldest
}

// others returns the deliveries of d's message that are under way beside it.
func (u *underway) others(d *delivery) (list []passage) {
	p, known := d.place()
	if !known {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for e := u.at[d.sequence()]; e != nil; e = e.before {
		if other, _ := e.place(); e != d && other == p {
			list = append(list, passage{count: e.msg.DeliveryCount, begun: e.received})
		}
	}
	return list
}

// interrupt ends the work of all.
func (u *underway) interrupt(cause error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, d := range u.at {
		for ; d != nil; d = d.before {
			d.lock.cancel(cause)
		}
	}
}

// enter waits for d's turn. Where there is none, because this very delivery is at work already or because ctx ended
// first, it returns what d comes to instead.
func (u *underway) enter(ctx context.Context, d *delivery) (handler.Result, bool) {
	for {
		first, over := u.takeTurn(d)
		switch {
		case first == nil:
			return handler.Result{}, false
		case first.msg.LockToken == d.msg.LockToken:
			return handler.Result{Outcome: handler.LockLost, Detail: "this delivery arrived twice; the first has the lock"}, true
		}
		select {
		case <-over:
		case <-ctx.Done():
			return interrupted(ctx), true
		}
	}
}

// takeTurn gives d the turn, or returns who has it and what is closed at its end. A message that cannot be told from others
// waits for nobody.
func (u *underway) takeTurn(d *delivery) (first *delivery, over <-chan struct{}) {
	p, known := d.place()
	u.mu.Lock()
	defer u.mu.Unlock()
	for e := u.at[d.sequence()]; known && e != nil; e = e.before {
		if other, _ := e.place(); e == d || !e.turn || other != p {
			continue
		}
		if e.over == nil {
			e.over = make(chan struct{})
		}
		return e, e.over
	}
	d.turn = true
	return nil, nil
}
