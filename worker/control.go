package worker

// What a person may change while the worker runs. Nothing of it outlives the process.

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Pause is a stop of the intake by a person.
type Pause struct {
	By    string
	Since time.Time
}

// Pause stops the intake until Resume, as a closed gate does: nothing is asked for any more, credit that is out is taken back,
// and what is held is finished. It returns the pause as it stands: an earlier one stays.
func (w *Worker) Pause(by string) Pause {
	w.pump.mu.Lock()
	if w.pump.paused == nil {
		w.pump.paused = &Pause{By: by, Since: time.Now()}
	}
	pause := *w.pump.paused
	w.pump.mu.Unlock()
	w.gates.recall()
	return pause
}

// Resume ends a pause, and tells whether there was one.
func (w *Worker) Resume() bool {
	w.pump.mu.Lock()
	was := w.pump.paused != nil
	w.pump.paused = nil
	w.pump.mu.Unlock()
	w.pump.wake()
	return was
}

// Concurrency returns the most calls under way at once, by the configuration and now.
func (w *Worker) Concurrency() (most, now int) {
	w.pump.mu.Lock()
	defer w.pump.mu.Unlock()
	return w.config.Concurrency, w.pump.concurrency
}

// SetConcurrency changes the most calls under way at once, to 1 and up to what is configured: for that many the process has
// its memory and its limits. Calls under way go on, so that a lower number takes as long to hold as they last. It returns
// what held before.
func (w *Worker) SetConcurrency(n int) (before int, err error) {
	if n < 1 || n > w.config.Concurrency {
		return 0, fmt.Errorf("concurrency: %d; want 1 to %d, as configured", n, w.config.Concurrency)
	}
	w.pump.mu.Lock()
	before, w.pump.concurrency = w.pump.concurrency, n
	w.pump.mu.Unlock()
	w.ballast.hold(w.config.Concurrency - n)
	w.gates.limit(n)
	return before, nil
}

// ballast takes places for calls away, by taking them.
type ballast struct {
	places chan struct{}

	mu      sync.Mutex
	want    int  // under mu
	have    int  // under mu
	loading bool // under mu
}

// hold has n places be taken: what is too many at once, and what is too few as calls end.
func (b *ballast) hold(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.want = n
	for ; b.have > b.want; b.have-- {
		<-b.places
	}
	if b.have < b.want && !b.loading {
		b.loading = true
		go b.load()
	}
}

// load ends as soon as enough calls have, which at the worker's end all have.
func (b *ballast) load() {
	for {
		b.places <- struct{}{}
		b.mu.Lock()
		if b.have++; b.have > b.want { // it was lowered meanwhile
			<-b.places
			b.have--
		}
		b.loading = b.have < b.want
		again := b.loading
		b.mu.Unlock()
		if !again {
			return
		}
	}
}

// recall has the receive under way end.
func (g *Gates) recall() {
	g.mu.Lock()
	close(g.closing)
	g.closing = make(chan struct{})
	g.mu.Unlock()
	g.changed()
}

// limit changes the most calls to each account under way at once.
func (g *Gates) limit(n int) {
	g.mu.Lock()
	now := time.Now()
	for _, endpoint := range g.endpoints {
		c := &g.gates[endpoint].climb
		c.most, c.from = n, min(c.from, n)
		g.metrics.ConcurrencyLimit(endpoint, c.at(now))
	}
	if g.waiting > 0 {
		close(g.freed)
		g.freed = make(chan struct{})
	}
	g.mu.Unlock()
	g.changed()
}

// Reset opens the gate of an account, or with "" of all, whatever has closed it: should that last, the gate closes again by
// itself. It returns what was closed, as "endpoint: cause".
func (g *Gates) Reset(endpoint string) (opened []string, err error) {
	if endpoint != "" && !slices.Contains(g.endpoints, endpoint) {
		return nil, fmt.Errorf("endpoint: %q is none of %q", endpoint, g.endpoints)
	}
	g.mu.Lock()
	for _, e := range g.endpoints {
		if endpoint != "" && e != endpoint {
			continue
		}
		gt := g.gates[e]
		for c, s := range gt.closed {
			if !s.until.IsZero() {
				opened = append(opened, e+": "+cause(c).String())
				gt.closed[c] = closure{}
				g.metrics.Gate(e, cause(c).String(), gateOpen)
			}
		}
		gt.failures, gt.probeEnds = 0, time.Time{}
		gt.climb.from, gt.climb.since = 0, time.Time{}
		g.metrics.ConcurrencyLimit(e, gt.climb.most)
	}
	g.mu.Unlock()
	if len(opened) > 0 {
		g.log.Info("gates opened by hand", zap.Strings("gates", opened))
	}
	g.changed()
	return opened, nil
}
