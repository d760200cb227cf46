package worker

// The last layer. A broker that cannot be reached, an entity that is disabled or gone, a right that is missing: all of that
// is waited out, however long it lasts. But the SDK can break in ways that no new client cures, and so can we: a loop that
// does not come round, calls that never return, a handler that ignores its context, a goroutine that spins. Then the worker
// ends with a reason and the platform starts another; peek-lock makes that safe.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// checkEvery is the time between two checks.
	checkEvery = 10 * time.Second
	// lifeless is how long a loop may show no sign of life. Its longest turn, a dial with its first round trips, takes less
	// than a minute.
	lifeless = 2 * time.Minute
	// manyStuck calls inside the SDK that ignore the end of their client are more than replacing clients copes with: each
	// keeps its goroutines. The longest overrun measured is a minute, so a call that does come back is one of few.
	manyStuck = 32
	// spinning is the share of a core, or of what the process may use if that is less, that nothing to do cannot explain.
	spinning = 0.9
	// spinsFor is how long it has to be exceeded.
	spinsFor = time.Minute
)

// ErrStuck is what a worker ended for by itself: its own machinery stopped working. A new process is the cure.
var ErrStuck = errors.New("the worker got stuck")

// pulse is a loop's sign of life. The loop beats when it has come to something, rests while it waits for others, and works
// in between. Its methods are safe for concurrent use.
type pulse struct {
	mu      sync.Mutex
	last    time.Time // the last beat, without the time rested since, zero before the first; under mu
	resting time.Time // since when, zero while working; under mu
}

func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.resting = time.Now(), time.Time{}
}

func (p *pulse) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resting = time.Now(); p.last.IsZero() {
		p.last = p.resting
	}
}

func (p *pulse) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.resting = p.last.Add(time.Since(p.resting)), time.Time{}
}

// missing is for how long there was no beat that should have come.
func (p *pulse) missing() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.IsZero() || !p.resting.IsZero() {
		return 0
	}
	return time.Since(p.last)
}

// watchdog looks after the worker's own machinery.
type watchdog struct {
	fetching, connecting *pulse
	// stuck counts calls inside the SDK that were given up and have not come back.
	stuck *atomic.Int64
	// oldest is the delivery that has been under way for longest, nil without any. None may take longer than overdue: by then its
	// lock has ended, its work has been cancelled, and what was to be settled has been.
	oldest  func() *delivery
	overdue time.Duration
	// received counts deliveries begun, open those under way: both 0 more than before means idle.
	deliveries func() (begun, open int)
	// cpu is the processor time that the process has used; false where that cannot be told.
	cpu func() (time.Duration, bool)
	// core is the processor time that it may use in a second, at most a second.
	core time.Duration

	mu    sync.Mutex
	over  bool  // under mu
	found error // what watch ended with, under mu
}

// watch returns what is broken, or nil when ctx ends.
func (d *watchdog) watch(ctx context.Context) error {
	err := d.wait(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over, d.found = true, err
	return err
}

// broken returns what watch has found. Until it has ended that is what it would find now, but for a processor that spins: it
// may be what got stuck. After that the loops end too, within the grace period.
func (d *watchdog) broken() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return d.found
	}
	return d.lost()
}

// lost returns which sign of life is missing.
func (d *watchdog) lost() error {
	switch fetch, connect, stuck := d.fetching.missing(), d.connecting.missing(), d.stuck.Load(); {
	case fetch > lifeless:
		return fmt.Errorf("%w: the receive loop has shown no sign of life for %v", ErrStuck, fetch.Round(time.Second))
	case connect > lifeless:
		return fmt.Errorf("%w: connecting to Service Bus has neither succeeded nor failed for %v", ErrStuck, connect.Round(time.Second))
	case stuck >= manyStuck:
		return fmt.Errorf("%w: %d calls of the Service Bus SDK have not returned", ErrStuck, stuck)
	}
	return nil
}

func (d *watchdog) wait(ctx context.Context) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	spin := spin{watchdog: d}
	var late *delivery // at the last look: where a machine has stood still everything is late for a moment
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := d.lost(); err != nil {
			return err
		}
		if spin.lasts() >= spinsFor {
			return fmt.Errorf("%w: it takes a processor of its own although there is nothing to do", ErrStuck)
		}
		o := d.oldest()
		if o == nil || time.Since(o.received) <= d.overdue {
			late = nil
			continue
		}
		if o == late {
			return fmt.Errorf("%w: the delivery of message %d has been under way for %v, and does not end with its lock", ErrStuck, o.sequence(), time.Since(o.received).Round(time.Second))
		}
		late = o
	}
}

// spin measures for how long the process has been busy with nothing.
type spin struct {
	*watchdog
	at    time.Time // of the last look, zero before the first
	used  time.Duration
	begun int
	since time.Time // when the spin began
}

func (s *spin) lasts() time.Duration {
	now := time.Now()
	used, known := s.cpu()
	begun, open := s.deliveries()
	busy := float64(used-s.used) >= spinning*s.core.Seconds()*float64(now.Sub(s.at))
	if idle := begun == s.begun && open == 0; s.at.IsZero() || !known || !idle || !busy {
		s.since = now
	}
	s.at, s.used, s.begun = now, used, begun
	return now.Sub(s.since)
}
