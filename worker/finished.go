package worker

import (
	"container/list"
	"sync"

	"batchterminator/handler"
)

// rememberAtMost bounds the memory of finished deliveries. Only those whose settlement is not confirmed stay in it, and
// they stay for a lock's time or so.
const rememberAtMost = 16 << 10

// finished remembers what deliveries came to until their settlement is confirmed. The broker may have lost a settlement,
// or only its answer; the redelivery is then settled again without a second call.
type finished struct {
	mu    sync.Mutex
	at    map[finishedKey]*list.Element // of remembered, under mu
	order *list.List                    // oldest first, under mu
}

// finishedKey names a message in its queue: message ids alone are the sender's and may repeat.
type finishedKey struct {
	sequence int64
	id       string
}

type remembered struct {
	key    finishedKey
	result handler.Result
}

func newFinished() *finished {
	return &finished{at: map[finishedKey]*list.Element{}, order: list.New()}
}

func keyOf(d *delivery) finishedKey { return finishedKey{d.sequence(), d.msg.MessageID} }

func (f *finished) remember(d *delivery, r handler.Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := keyOf(d)
	if e, ok := f.at[key]; ok {
		e.Value = remembered{key, r}
		return
	}
	f.at[key] = f.order.PushBack(remembered{key, r})
	if f.order.Len() > rememberAtMost {
		delete(f.at, f.order.Remove(f.order.Front()).(remembered).key)
	}
}

func (f *finished) forget(d *delivery) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, ok := f.at[keyOf(d)]; ok {
		delete(f.at, f.order.Remove(e).(remembered).key)
	}
}

// recall returns what an earlier delivery of this message came to. A request that was to be completed, or whose copy is
// on its way, becomes a duplicate delivery: all that is left to do is to complete the message.
func (f *finished) recall(d *delivery) (handler.Result, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.at[keyOf(d)]
	if !ok {
		return handler.Result{}, false
	}
	r := e.Value.(remembered).result
	r.Attempts = 0
	if r.Outcome.Decision() != handler.DeadLetter {
		r.Detail = "an earlier delivery ended as " + r.Outcome.String()
		r.Outcome = handler.DuplicateDelivery
	}
	return r, true
}
