package main

import (
	"context"
	"sync"
	"time"
)

// watch follows what the workers take of the machine.
type watch struct {
	mu   sync.Mutex
	most vitals // any of them, at any time; under mu
}

const watchEvery = 2 * time.Second

// begin looks every so often until stop.
func (w *watch) begin(f *fleet) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var owner sync.WaitGroup
	owner.Go(func() {
		for ctx.Err() == nil {
			w.look(ctx, f)
			sleepFor(ctx, watchEvery)
		}
	})
	return func() {
		cancel()
		owner.Wait()
	}
}

// look asks every worker that is awake; who does not answer is left out.
func (w *watch) look(ctx context.Context, f *fleet) map[string]vitals {
	seen := map[string]vitals{}
	for _, c := range f.awake() {
		if v, err := c.scrape(ctx); err == nil {
			seen[c.name] = v
			w.mu.Lock()
			w.most = w.most.worst(v)
			w.mu.Unlock()
		}
	}
	return seen
}

// survivor is an idle worker after the storm.
type survivor struct {
	Name        string  `json:"name"`
	CPU         float64 `json:"cpuShare"`
	Goroutines  int     `json:"goroutines"`
	HeapBytes   int     `json:"heapBytes"`
	Descriptors int     `json:"fileDescriptors"`
}

// examine measures the workers while they have nothing to do.
func (c *chaos) examine(ctx context.Context) (all []survivor, err error) {
	sleepFor(ctx, time.Second) // what they still do for the last message
	began := time.Now()
	before := c.watch.look(ctx, c.fleet)
	sleepFor(ctx, c.Idle)
	after := c.watch.look(ctx, c.fleet)
	took := time.Since(began)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	for name, v := range after {
		if b, ok := before[name]; ok {
			all = append(all, survivor{name, (v.cpu - b.cpu) / took.Seconds(), v.goroutines, v.heap, v.descriptors})
		}
	}
	return all, nil
}
