package worker

// What gates let through: attempts, one by one, and messages, as many as it makes sense to hold.

import (
	"context"
	"time"

	"batchterminator/handler"
)

// Admit implements [handler.Gate]. A closed gate whose pause is over admits one caller at a time: the probe.
func (g *Gates) Admit(ctx context.Context, endpoint string) (handler.Outcome, time.Duration, bool) {
	if c, wait, ok := g.pass(endpoint); !ok {
		return refusals[c], wait, false
	}
	if !g.place(ctx, endpoint) || g.gates[endpoint].limiter.Wait(ctx) != nil || !stillHeld(ctx) {
		g.Observe(endpoint, handler.Draining, 0) // nothing will come of this attempt, which may be the probe
		return handler.Draining, 0, false        // the delivery's context ended; its cause decides
	}
	if c, wait, paused := g.paused(endpoint); paused {
		g.leave(endpoint)
		return refusals[c], wait, false // it closed during the wait
	}
	return 0, 0, true
}

func (g *Gates) pass(endpoint string) (cause, time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gt, now := g.gates[endpoint], time.Now()
	c, until, shut := gt.shut()
	switch {
	case !shut:
		return 0, 0, true
	case now.Before(until):
		return c, until.Sub(now), false
	case now.Before(gt.probeEnds):
		return c, min(gt.probeEnds.Sub(now), probeAnswers), false
	}
	gt.probeEnds = now.Add(probeLimit)
	g.metrics.Gate(endpoint, c.String(), gateProbing)
	return 0, 0, true
}

// place waits until one more call may be under way, and takes its place, which the call has until it is observed. Waiting
// is rare: with one account the pump holds no more messages than may be called for. It returns false when ctx ended, with
// the place taken all the same, for then too the attempt is observed.
func (g *Gates) place(ctx context.Context, endpoint string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	gt := g.gates[endpoint]
	for gt.calls >= gt.climb.at(time.Now()) && ctx.Err() == nil {
		freed, step := g.freed, gt.climb.step()
		g.waiting++
		g.mu.Unlock()
		timer := time.NewTimer(step)
		select {
		case <-freed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		g.mu.Lock()
		g.waiting--
	}
	gt.calls++
	return ctx.Err() == nil
}

// leave gives the place of a call back.
func (g *Gates) leave(endpoint string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free(g.gates[endpoint])
}

// free is called with mu held.
func (g *Gates) free(gt *gate) {
	gt.calls--
	if g.waiting > 0 {
		close(g.freed)
		g.freed = make(chan struct{})
	}
}

// paused tells whether the gate is closed and not yet due for a probe.
func (g *Gates) paused(endpoint string) (cause, time.Duration, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, until, shut := g.gates[endpoint].shut()
	wait := time.Until(until)
	return c, wait, shut && wait > 0
}

// intake says how many messages may be held at once: everything while any account is open to all calls, as many as the
// open ones are climbing to, one probe while all are closed and one's pause is over, else none. The wait is when to look
// again if that is too few.
func (g *Gates) intake() (limit int, wait time.Duration) {
	const everything = int(^uint(0) >> 1)
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	open, probe := 0, false
	var next time.Time
	for _, endpoint := range g.endpoints {
		gt := g.gates[endpoint]
		_, until, shut := gt.shut()
		climbing := gt.climb.from != 0
		allowed := gt.climb.at(now)
		if climbing {
			g.metrics.ConcurrencyLimit(endpoint, allowed)
		}
		switch {
		case !shut && allowed == gt.climb.most:
			return everything, 0
		case !shut:
			open, wait = open+allowed, gt.climb.step()
		case !now.Before(until):
			probe = true
		case next.IsZero() || until.Before(next):
			next = until
		}
	}
	switch {
	case open > 0:
		return open, wait
	case probe:
		return 1, 0
	}
	return 0, next.Sub(now)
}

// whenClosing returns a channel that is closed when the next gate closes.
func (g *Gates) whenClosing() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closing
}
