package worker

// How much work is wanted, for who decides how many workers there are. A queue's length says it badly: messages of an account that
// is out of order ask for workers that can do nothing, and retries that are scheduled ask for none until they all come
// at once. The length itself takes the right to manage the queue, which this worker does not have; what it may do is look into it.

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

const (
	// demandEvery is the time between two estimates of what waits. None is made while receives find the queue empty.
	demandEvery = 30 * time.Second
	// demandStale is how long an estimate is believed that could not be made again.
	demandStale = 3 * demandEvery
	// soon is how far ahead scheduled retries count: about what a new replica takes to be there.
	soon = time.Minute
	// unmeasured is what a message takes before one has been worked on.
	unmeasured = time.Second
	// mostLooks bounds one estimate, in looks.
	mostLooks = 48
	// dueGrain is how exactly it is remembered when a copy is due.
	dueGrain = 10 * time.Second
	// firstOfPartitions is the least sequence number of a partitioned queue that has more than one partition in use: the upper 16
	// bits name the partition, so that the numbers say nothing about how many messages there are.
	firstOfPartitions = 1 << 48
)

// demand knows of the work that is not held yet.
type demand struct {
	look func() // counts one

	mu       sync.Mutex
	received int64     // the sequence number received last, under mu
	dry      time.Time // when a receive last found nothing, under mu
	waiting  int       // messages in the queue that could be worked on, under mu
	known    time.Time // as of, under mu
	copies   map[scheduledFor]int
}

// scheduledFor is where copies of ours come back, and when.
type scheduledFor struct {
	endpoint string
	due      int64 // in dueGrain since 1970
}

func newDemand(look func()) *demand {
	return &demand{look: look, copies: map[scheduledFor]int{}}
}

// ran records what the receive loop found: the last of the messages that came, nil when the queue was empty.
func (d *demand) ran(last *azservicebus.ReceivedMessage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last != nil {
		d.received = sequenceOf(last)
		return
	}
	d.dry = time.Now()
	d.waiting, d.known = 0, d.dry
}

// scheduled remembers a copy of ours.
func (d *demand) scheduled(r handler.Result, back time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.copies) < rememberAtMost {
		d.copies[scheduledFor{r.Request.Endpoint, back.UnixNano() / int64(dueGrain)}]++
	}
}

// due counts the copies of ours that come back soon and could be worked on then. Those that have come back are in the queue.
func (d *demand) due(now time.Time, closed func(endpoint string) bool) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	first, last := now.UnixNano()/int64(dueGrain), now.Add(soon).UnixNano()/int64(dueGrain)
	for c, copies := range d.copies {
		switch {
		case c.due < first:
			delete(d.copies, c)
		case c.due <= last && !closed(c.endpoint):
			n += copies
		}
	}
	return n
}

// Demand is the work wanted now, in seconds of one call after the other: what waits in the queue, as far as this worker can
// see, what it holds, and what it has itself scheduled for the next minute. What a closed gate blocks counts nothing, and so does
// everything while this worker is paused or draining. What waits is an estimate; every worker of a queue makes the same.
func (w *Worker) Demand() time.Duration {
	s := w.Status()
	if s.Paused != nil || s.Draining || w.gates.allClosed() {
		return 0
	}
	now := time.Now()
	_, held := w.drained.deliveries()
	n := held + w.demand.due(now, w.gates.isClosed)
	w.demand.mu.Lock()
	if now.Sub(w.demand.known) <= demandStale {
		n += w.demand.waiting
	}
	w.demand.mu.Unlock()
	each := time.Duration(w.ready.call.Load())
	if each <= 0 {
		each = unmeasured
	}
	return time.Duration(n) * each
}

// isClosed tells whether an account's gate is closed.
func (g *Gates) isClosed(endpoint string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	gt := g.gates[endpoint]
	if gt == nil {
		return false
	}
	_, _, shut := gt.shut()
	return shut
}

// allClosed tells whether every account's is.
func (g *Gates) allClosed() bool {
	for _, endpoint := range g.endpoints {
		if !g.isClosed(endpoint) {
			return false
		}
	}
	return true
}

// estimates looks into the queue from time to time until ctx ends, unless receives say enough, or nothing may be received.
// A look that fails says nothing: whether the connection works is for others to find out.
func (w *Worker) estimates(ctx context.Context) {
	tick := time.NewTicker(demandEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.demand.mu.Lock()
		from, dry := w.demand.received, time.Since(w.demand.dry) < demandEvery
		w.demand.mu.Unlock()
		s := w.Status()
		if dry || from == 0 || !s.Attached || s.Paused != nil || w.gates.allClosed() {
			continue
		}
		if n, err := w.waitingAfter(ctx, from); err == nil {
			w.demand.mu.Lock()
			w.demand.waiting, w.demand.known = n, time.Now()
			w.demand.mu.Unlock()
		}
	}
}

// waitingAfter estimates how many messages with higher sequence numbers could be received. The nearest hundred are counted. If
// there are more, the numbers of the others are taken to be as densely used as theirs; how far they reach is found by
// doubling and halving steps, to within a few in a hundred.
func (w *Worker) waitingAfter(ctx context.Context, received int64) (int, error) {
	looks := 0
	at := func(from int64, n int) ([]*azservicebus.ReceivedMessage, error) {
		c, err := w.clients.get(ctx)
		if err != nil {
			return nil, err
		}
		if looks++; looks > mostLooks {
			return nil, errors.New("too many looks")
		}
		w.demand.look()
		return peek(ctx, c, from, n)
	}
	page, err := at(received+1, lookPage)
	if err != nil {
		return 0, err
	}
	active := 0
	for _, m := range page {
		if m.State == azservicebus.MessageStateActive {
			active++
		}
	}
	if len(page) < lookPage || sequenceOf(page[lookPage-1]) >= firstOfPartitions {
		return active, nil
	}
	end := sequenceOf(page[lookPage-1]) // there is a message with it
	density := float64(active) / float64(end-received)
	for step, beyond := int64(lookPage), int64(0); ; { // no message has beyond, or a higher number; 0: not known yet
		next := end + step
		if beyond > 0 {
			next = end + (beyond-end)/2
		}
		if beyond > 0 && beyond-end <= max(1, (end-received)/32) {
			return int(density * float64(end-received)), nil
		}
		found, err := at(next, 1)
		switch {
		case err != nil:
			return 0, err
		case len(found) == 0:
			beyond = next
		default:
			end = max(sequenceOf(found[0]), next)
			step *= 2
		}
	}
}
