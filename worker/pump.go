package worker

// The pump: one receive loop that asks for exactly the free slots. Credit outstanding, buffered and in flight never exceed
// the concurrency plus a small ready buffer, so no lock ever burns on a message that nobody can work on soon.

import (
	"cmp"
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"go.uber.org/zap"
)

const (
	// pollLimit bounds one receive. Credit that is out is asked for again by the next one.
	pollLimit = 3 * time.Second
	// afterFirst is how long a receive waits for more after its first message. It is a latency knob only: measured, it adds
	// exactly itself to a lone message, and the SDK's default is 20 ms.
	afterFirst = time.Millisecond
	// cautious is how long the pump receives one message at a time after the SDK failed on one of a batch: long enough for the
	// locks of the innocent ones to end, so that only the culprit's delivery count rises.
	cautious = 2 * time.Minute
)

// pump holds the slots. Its methods are safe for concurrent use; wait is called by the receive loop only.
type pump struct {
	buffer   func() int // how many messages may wait ready, asked before each receive
	maxBytes int
	gates    *Gates
	lane     lane

	mu          sync.Mutex
	concurrency int    // under mu
	paused      *Pause // by a person, nil for not, under mu
	held        int    // messages with a slot, under mu
	bytes       int    // of their bodies, under mu
	// largest is what the next message may weigh for all that is known: as much as there is room for at the start, then as
	// the heaviest one, which is forgotten by a sixteenth of the difference with each lighter one. Under mu.
	largest int

	// changed has one token when held fell or a gate changed since the receive loop last looked.
	changed chan struct{}
}

func newPump(concurrency, maxBytes int, buffer func() int, gates *Gates) *pump {
	p := &pump{concurrency: concurrency, maxBytes: maxBytes, largest: maxBytes, buffer: buffer, gates: gates, changed: make(chan struct{}, 1)}
	p.lane.wake = p.wake
	return p
}

// free returns how many messages may be asked for now; when none, after what time it may be worth looking again. No more
// than are expected to fit into the bytes left, but one in any case: a receive cannot be told how large a message may be,
// and a queue may hold some of 100 MB.
func (p *pump) free() (n int, again time.Duration) {
	if p.lane.taken() {
		return 0, 0
	}
	limit, wait := p.gates.intake()
	buffer := p.buffer()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused != nil {
		return 0, 0
	}
	limit = min(limit, p.concurrency+min(buffer, p.concurrency/4))
	if p.held > 0 && p.bytes >= p.maxBytes {
		return 0, 0
	}
	fit := max(1, (p.maxBytes-p.bytes)/max(1, p.largest))
	return min(limit-p.held, fit), wait
}

// wait blocks until messages may be asked for, and returns how many; 0 when ctx ended, and at once when fewer may be asked
// for than are out already. The channel is closed when a gate closes after that.
func (p *pump) wait(ctx context.Context, out int) (n int, closing <-chan struct{}) {
	for ctx.Err() == nil {
		closing = p.gates.whenClosing()
		n, again := p.free()
		if n = max(n, 0); n > 0 || out > 0 {
			return n, closing
		}
		if again <= 0 {
			again = math.MaxInt64
		}
		timer := time.NewTimer(again)
		select {
		case <-p.changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return 0, nil
}

func (p *pump) take(size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held++
	p.bytes += size
	p.largest = max(size, p.largest-(p.largest-size+15)/16)
}

func (p *pump) give(size int) {
	p.mu.Lock()
	p.held--
	p.bytes -= size
	p.mu.Unlock()
	p.wake()
}

func (p *pump) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// fetch is the receive loop. It ends when ctx does; messages that arrive together with the end are worked on. It is long for
// all the ways in which a receive can end are seen at once. The connection comes first: what may be asked for can change
// while it is waited for. It returns the client whose credit may still be out.
func (w *Worker) fetch(ctx context.Context) *client {
	var careful time.Time
	var out *client
	silence := silence{ours: w.underway.holds, count: func() { w.metrics.Operation("probe") }, patience: firstPatience}
	for {
		w.fetching.rest()
		c, err := w.clients.get(ctx)
		if err != nil {
			return out
		}
		n, closing := w.wish(ctx, c, time.Now().Before(careful))
		if ctx.Err() != nil {
			return out
		}
		w.fetching.work()
		if n == 0 {
			continue
		}
		asked := time.Now()
		msgs, err := w.receive(ctx, c, n, closing)
		if errors.Is(err, errReplaced) {
			continue
		}
		out = c
		if errors.Is(c.ended(), errUnreadable) { // whatever the receive came to: its link is gone, and may not say so
			careful = time.Now().Add(cautious)
			c.fail("receive", errUnreadable)
			w.log.Error("the SDK cannot read a message; receiving one message at a time for a while", zap.Duration("while", cautious))
		}
		switch caught, panicked := errors.AsType[*panicError](err); {
		case len(msgs) > 0:
			silence.broken()
			w.demand.ran(msgs[len(msgs)-1])
			w.admit(c, msgs)
		case panicked:
			careful = time.Now().Add(cautious)
			c.fail("panic", err)
			w.log.Error("the SDK panicked while receiving; receiving one message at a time for a while", zap.Error(err), zap.Duration("while", cautious), zap.ByteString("stack", caught.stack))
		case idle(err):
			if errors.Is(err, context.DeadlineExceeded) { // else the wish was withdrawn, and the queue may be full
				w.metrics.Idle()
				w.crew.rest()
				w.demand.ran(nil)
			}
			if proof := silence.endured(ctx, c, time.Since(asked)); !proof {
				continue // nothing is known that was not known before
			}
		default:
			c.fail("receive", cmp.Or(err, errLinkFailed))
		}
		w.fetching.beat()
	}
}

// wish waits until there is something to ask c for, and returns how many messages; 0 when it has to be asked anew. What is out
// beyond that is taken back first: a limit has fallen, or a gate has closed. What has begun to be taken back is seen to its end.
func (w *Worker) wish(ctx context.Context, c *client, careful bool) (n int, closing <-chan struct{}) {
	out := c.owed().real()
	n, closing = w.pump.wait(ctx, out)
	if ctx.Err() != nil {
		return 0, nil
	}
	n = min(n, mostCredit)
	if careful {
		n = min(n, 1)
	}
	if out > n || c.recalling() {
		w.recollect(c)
	}
	if c.lend(n); c.ctx.Err() != nil {
		return 0, nil
	}
	return n, closing
}

// receive is one receive of the loop, which says what it asks for.
func (w *Worker) receive(ctx context.Context, c *client, n int, closing <-chan struct{}) ([]*azservicebus.ReceivedMessage, error) {
	w.metrics.Credits(n)
	defer w.metrics.Credits(0)
	return w.ask(ctx, c, n, pollLimit, closing)
}

// ask asks for n messages, and takes the wish back when the channel is closed, which may be nil.
func (w *Worker) ask(ctx context.Context, c *client, n int, limit time.Duration, closing <-chan struct{}) ([]*azservicebus.ReceivedMessage, error) {
	return ask(ctx, c, n, limit, closing, func(late []*azservicebus.ReceivedMessage) { w.admit(c, late) })
}

// ask gives late what comes when the receive has been given up. When ctx ends, or closing, the credit is taken back before the
// receive ends: between receives the SDK would give back what comes, and the broker send it again, as fast as they can.
func ask(ctx context.Context, c *client, n int, limit time.Duration, closing <-chan struct{}, late func([]*azservicebus.ReceivedMessage)) ([]*azservicebus.ReceivedMessage, error) {
	wanted, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-closing:
		case <-ctx.Done():
		case <-done:
			return
		}
		if c.credit != nil {
			c.takeBack()
		}
		cancel()
	}()
	asked, gone := time.Now(), c.owed().gone
	msgs, err := doOrLate(wanted, c, limit, func(ctx context.Context) ([]*azservicebus.ReceivedMessage, error) {
		c.owes(lent{asked: asked}) // a link that fails takes its credit with it
		msgs, err := c.receiver.ReceiveMessages(ctx, n+gone, &azservicebus.ReceiveMessagesOptions{TimeAfterFirstMessage: afterFirst})
		if len(msgs) > 0 || idle(err) {
			c.owes(lent{out: n + gone - len(msgs), gone: gone, asked: asked, since: time.Now()})
		}
		return msgs, err
	}, late)
	if idle(err) && wanted.Err() == nil && c.ctx.Err() == nil && time.Since(asked) < limit {
		return nil, errEarly // taken for idleness it would be repeated at once, for ever
	}
	return msgs, err
}

// idle tells whether the receive ended because its time did. Everything else without messages is a failure.
func idle(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, errReplaced)
}
