package worker

// The dead letters that an errand has received: those in its way, which are held, and those that are worked on.

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"golang.org/x/sync/errgroup"
)

const (
	// holdAtMost bounds what is held: each costs a renewal in half a lock's time.
	holdAtMost = 50_000
	// renewEvery is how often the locks are looked at, renewTogether how many are renewed at once.
	renewEvery    = 500 * time.Millisecond
	renewTogether = 64
	// freshLock is what a lock must have left before work begins: enough to send and to complete.
	freshLock = 3 * time.Second
)

// holding is a dead letter under our lock. Its fields are under the errand's mu, but d, which does not change.
type holding struct {
	d     *delivery
	until time.Time // the lock ends, by our clock
	half  time.Time // it is to be renewed
}

func newHolding(d *delivery) *holding {
	h := &holding{d: d}
	h.lockedUntil(d.lockEnds)
	return h
}

func (h *holding) lockedUntil(until time.Time) {
	h.until = until
	h.half = time.Now().Add(time.Until(until) / 2)
}

// admit takes in what was received, also late.
func (r *errand) admit(c *client, msgs []*azservicebus.ReceivedMessage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range msgs {
		c.fed.Store(true)
		w := r.wanted[sequenceOf(m)]
		if w == nil || w.done != nil { // only its lock is of interest
			m = &azservicebus.ReceivedMessage{LockToken: m.LockToken, LockedUntil: m.LockedUntil, SequenceNumber: m.SequenceNumber}
			w = nil
		}
		d := newDelivery(c, m)
		r.held[d.sequence()] = newHolding(d)
		if w != nil && !w.queued {
			w.queued = true
			r.todo = append(r.todo, w)
		}
	}
	if len(r.held) > holdAtMost {
		r.failure = errTooMany
		r.stop(errTooMany)
	}
	r.notify()
}

// hand works on one dead letter after the other, at the errand's rate, until there are no more or ctx ends.
func (r *errand) hand(ctx context.Context) {
	for {
		r.mu.Lock()
		changed, over, some := r.changed, r.finished, len(r.todo) > 0
		r.mu.Unlock()
		switch {
		case ctx.Err() != nil || !some && over:
			return
		case !some:
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		if r.limiter.Wait(ctx) != nil {
			return
		}
		if w, h := r.next(); w != nil {
			r.handle(ctx, w, h)
		}
	}
}

// next takes the first dead letter whose lock is still there.
func (r *errand) next() (*wanted, *holding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.todo) > 0 {
		w := r.todo[0]
		r.todo = r.todo[1:]
		if h := r.held[w.sequence]; h != nil {
			delete(r.held, w.sequence)
			r.working[w.sequence] = h
			return w, h
		}
		w.queued = false // its lock was lost, and it comes again
		r.notify()
	}
	return nil, nil
}

// handle is the life of one dead letter: decide, send, complete. What began is finished, whatever ends the run.
func (r *errand) handle(ctx context.Context, w *wanted, h *holding) {
	hand, cancel := r.line.detached(ctx, handLimit)
	defer cancel()
	defer r.letGo(w)
	if !r.fresh(h) && !r.extend(hand, h) {
		r.putBack(w, nil)
		return
	}
	action := Resubmit
	if r.Decide != nil && !r.wasSent(w) {
		var err error
		if action, err = r.Decide(ctx, newStored(h.d.msg)); err != nil {
			r.putBack(w, h)
			if ctx.Err() == nil {
				r.fail(err)
			}
			return
		}
	}
	if action == Keep {
		r.putBack(nil, h)
		r.conclude(w, &r.tally.Kept)
		return
	}
	if action == Resubmit && !r.wasSent(w) {
		r.mu.Lock()
		w.sending = true
		r.mu.Unlock()
		if err := r.send(hand, w, resubmission(h.d, r.TimeToLive)); err != nil {
			r.putBack(w, h)
			r.fail(err)
			return
		}
	}
	r.mu.Lock()
	w.sent, w.taking = w.sent || action == Resubmit, true
	r.mu.Unlock()
	if !r.settle(hand, h.d, func(ctx context.Context, rc receiver, m *azservicebus.ReceivedMessage) error {
		return rc.CompleteMessage(ctx, m, nil)
	}) {
		r.putBack(w, nil) // it comes again, and then only has to be completed, or a look tells that it has gone
		return
	}
	r.mu.Lock()
	as := r.removed(w)
	r.mu.Unlock()
	r.conclude(w, as)
}

// settle makes one settlement, first on the link that the dead letter came on, then by lock token over the management node,
// which works from any client. It tells whether the broker has confirmed it: not, when the lock is gone, perhaps by a try
// whose answer was lost.
func (r *errand) settle(ctx context.Context, d *delivery, call func(context.Context, receiver, *azservicebus.ReceivedMessage) error) bool {
	for try := 0; ; try++ {
		c, err := r.line.get(ctx)
		if err != nil {
			return false
		}
		m := d.msg
		if try > 0 || c != d.client {
			m = &azservicebus.ReceivedMessage{LockToken: d.msg.LockToken}
		}
		_, err = do(ctx, c, settleTry, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx, c.receiver, m) })
		switch {
		case err == nil:
			return true
		case lockLost(err) || ctx.Err() != nil:
			return false
		case errors.Is(err, errReplaced):
			continue // it reached nobody
		case !idle(err) || try > 0: // the first try may have met a link that is gone, while the client is not
			c.fail("settle", err)
		}
		sleep(ctx, settlePause)
	}
}

// fresh tells whether the lock lasts long enough to begin.
func (r *errand) fresh(h *holding) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Until(h.until) >= freshLock
}

// letGo ends the renewal of what was worked on.
func (r *errand) letGo(w *wanted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.working, w.sequence)
}

// putBack ends the work on w, nil if it is done; h, unless nil, is held on.
func (r *errand) putBack(w *wanted, h *holding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h != nil && r.held[h.d.sequence()] == nil {
		r.held[h.d.sequence()] = h
	}
	// It is held, by this lock or by that of a delivery that came while it was worked on: nobody else can have it.
	if w != nil {
		if w.queued = r.held[w.sequence] != nil; w.queued {
			r.todo = append(r.todo, w)
		}
	}
	r.notify()
}

// renew keeps the locks of all that is held, until ctx ends.
func (r *errand) renew(ctx context.Context) {
	look := time.NewTicker(renewEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		var group errgroup.Group
		group.SetLimit(renewTogether)
		for _, h := range r.due() {
			group.Go(func() error { r.extend(ctx, h); return nil })
		}
		_ = group.Wait() // none fails
	}
}

// due returns the holdings whose lock is to be renewed.
func (r *errand) due() (due []*holding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, hands := range []map[int64]*holding{r.held, r.working} {
		for _, h := range hands {
			if now.After(h.half) {
				due = append(due, h)
			}
		}
	}
	return due
}

// extend renews one lock, and forgets what has been lost.
func (r *errand) extend(ctx context.Context, h *holding) bool {
	c, err := r.line.get(ctx)
	if err != nil {
		return false
	}
	until, err := c.renew(ctx, renewLimit, h.d.msg.LockToken)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		h.lockedUntil(until)
		return true
	case lockLost(err):
		if r.held[h.d.sequence()] == h {
			delete(r.held, h.d.sequence())
		}
	case ctx.Err() == nil:
		c.fail("renew", err)
	}
	return false
}

// handBack gives up all locks. Those that it cannot give up end by themselves.
func (r *errand) handBack(ctx context.Context) {
	r.mu.Lock()
	held := r.held
	r.held, r.todo = map[int64]*holding{}, nil
	r.mu.Unlock()
	var hands sync.WaitGroup
	next := make(chan *holding)
	for range handsAtMost {
		hands.Go(func() {
			for h := range next {
				r.settle(ctx, h.d, func(ctx context.Context, rc receiver, m *azservicebus.ReceivedMessage) error {
					return rc.AbandonMessage(ctx, m, nil)
				})
			}
		})
	}
	for _, h := range held {
		next <- h
	}
	close(next)
	hands.Wait()
}
