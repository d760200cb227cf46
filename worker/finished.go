package worker

import (
	"sync"

	"batchterminator/handler"
)

// finished remembers what deliveries came to until their settlement is confirmed. The broker may have lost a settlement,
// or only its answer; the redelivery is then settled again without a second call. Only what is not confirmed stays in it,
// for a lock's time or so.
type finished struct {
	mu      sync.Mutex
	results memory[place, handler.Result] // under mu
}

// place names a message in its queue: message ids alone are the sender's and may repeat, and sequence numbers start again
// in a queue that is made anew.
type place struct {
	sequence, enqueued int64
	id                 string
}

func newFinished() *finished { return &finished{results: newMemory[place, handler.Result]()} }

// place returns false for a message that cannot be told from another.
func (d *delivery) place() (place, bool) {
	if d.msg.SequenceNumber == nil || d.msg.EnqueuedTime == nil {
		return place{}, false
	}
	return place{*d.msg.SequenceNumber, d.msg.EnqueuedTime.UnixNano(), d.msg.MessageID}, true
}

func (f *finished) remember(d *delivery, r handler.Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, ok := d.place(); ok {
		f.results.put(p, r)
	}
}

func (f *finished) forget(d *delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, _ := d.place()
	f.results.remove(p)
}

// recall returns what an earlier delivery of this message came to. A request that was to be completed, or whose copy is
// on its way, becomes a duplicate delivery: all that is left to do is to complete the message.
func (f *finished) recall(d *delivery) (handler.Result, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, _ := d.place()
	r, ok := f.results.get(p)
	if !ok {
		return handler.Result{}, false
	}
	r.Attempts, d.recalled = 0, true
	if r.Outcome.Decision() != handler.DeadLetter {
		r.Detail = "an earlier delivery ended as " + r.Outcome.String()
		r.Outcome = handler.DuplicateDelivery
	}
	return r, true
}
