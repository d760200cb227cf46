package worker

import (
	"cmp"
	"sync"

	"batchterminator/handler"
)

// finished remembers what deliveries came to whose settlement was not confirmed. The broker may have lost it, or only its
// answer; the redelivery is then settled again without a second call. One that arrives before waits for its turn (underway.go).
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

// before is an order on which all workers agree.
func (p place) before(q place) bool {
	return cmp.Or(cmp.Compare(p.sequence, q.sequence), cmp.Compare(p.enqueued, q.enqueued)) < 0
}

func newFinished() *finished { return &finished{results: newMemory[place, handler.Result]()} }

// place returns false for a message that cannot be told from another.
func (d *delivery) place() (place, bool) {
	if d.msg.SequenceNumber == nil || d.msg.EnqueuedTime == nil {
		return place{}, false
	}
	return place{*d.msg.SequenceNumber, d.msg.EnqueuedTime.UnixNano(), d.msg.MessageID}, true
}

// end takes note of a settlement: what it was for is remembered while it is not confirmed. Of a request that was to come
// back, only that its copy has been sent is worth it.
func (f *finished) end(d *delivery, s settlement) {
	p, known := d.place()
	decision := d.result.Outcome.Decision()
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case s.result == "ok":
		f.results.remove(p)
	case known && (decision == handler.Complete || decision == handler.DeadLetter || s.copied):
		f.results.put(p, d.result)
	}
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
