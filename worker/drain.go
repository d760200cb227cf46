package worker

import (
	"context"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"go.uber.org/zap"

	"batchterminator/handler"
)

const (
	// quietLimit is how long nothing has to arrive before nothing is on its way: well above a round trip to the broker.
	quietLimit = 250 * time.Millisecond
	// collectLimit bounds the taking of what is on its way when intake ends.
	collectLimit = time.Second
	// slowLimit is collectLimit for a client that has ended, which nobody waits for, as long as anything arrives: a slow line has
	// yet to bring what the broker has long delivered.
	slowLimit = 8 * time.Second
)

// The end of the grace period is divided from its end backwards.
const (
	// exitReserve is kept for the process to end before the platform kills it (promise P8).
	exitReserve = 2 * time.Second
	// farewellReserve is for the last settlements to be cut short, and for closing the Service Bus client.
	farewellReserve = guardMargin + 500*time.Millisecond
	// intakeReserve is for the receive loop to notice the end, even of a call that hangs, to take back its credit, and to take
	// what is on its way.
	intakeReserve = 2*guardMargin + recallLimit + collectLimit
	// settleReserve is for stragglers to be handed back, which takes two round trips to the broker.
	settleReserve = 3 * time.Second
)

// Report says how the deliveries ended that were under way when the drain began.
type Report struct {
	// Finished were decided and settled, HandedBack were put back into the queue, Left keep their lock until it ends by itself.
	// Handing back raises no delivery count, but for the message of a panic and where copies cannot be sent.
	Finished, HandedBack, Left int
	// Took is the time from the signal to the end. Spare is what that left of the grace period, less the reserve for the
	// process to end.
	Took, Spare time.Duration
	// Stuck wraps ErrStuck when the worker ended by itself; nil after a stop signal.
	Stuck error
}

// tally counts the deliveries under way, and how those end that do so during a drain.
type tally struct {
	mu       sync.Mutex
	begun    int    // ever, under mu
	open     int    // under way, under mu
	draining bool   // under mu
	report   Report // under mu
}

func (t *tally) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun++
	t.open++
}

// deliveries returns how many have ever begun, and how many are under way.
func (t *tally) deliveries() (begun, open int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begun, t.open
}

// begin returns how many deliveries are under way as the drain begins.
func (t *tally) begin() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.draining = true
	return t.open
}

func (t *tally) count(r *handler.Result, s settlement) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open--
	switch {
	case !t.draining:
	case s.result != "ok" && s.result != "unconfirmed":
		t.report.Left++
	case r.Outcome.Decision() == handler.Redeliver || r.Outcome.Decision() == handler.Pause || r.Outcome == handler.Panic:
		t.report.HandedBack++
	default:
		t.report.Finished++
	}
}

// result counts what is still under way as left.
func (t *tally) result() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.report
	r.Left += t.open
	return r
}

// collect takes the credit back that is out, and what the broker has delivered on it by then. When intake ends, or the client,
// the link would close over messages on the wire, and their locks would have to expire, which burns a delivery of each. While
// a gate is closed they would come all the same.
func (w *Worker) collect(c *client) {
	collect(c, collectLimit, collectLimit, func(msgs []*azservicebus.ReceivedMessage) { w.admit(c, msgs) })
}

// recollect is collect for a client that goes on when the broker has given up what is out. It has the time of the recall too:
// nothing may be waited for without a receive.
func (w *Worker) recollect(c *client) {
	collect(c, recallLimit+collectLimit, recallLimit+collectLimit, func(msgs []*azservicebus.ReceivedMessage) { w.admit(c, msgs) })
}

// leftovers is collect for a client that has ended.
func (w *Worker) leftovers(c *client) {
	collect(c, collectLimit, slowLimit, func(msgs []*azservicebus.ReceivedMessage) { w.admit(c, msgs) })
}

// collect gives admit what it takes. Where credit cannot be withdrawn it takes what arrives until nothing does; what came
// longer ago than collectLimit the SDK has given back by itself. A receive without messages takes limit; it goes on for up to
// patience while anything arrives.
func collect(c *client, limit, patience time.Duration, admit func([]*azservicebus.ReceivedMessage)) {
	owed := c.owed()
	if owed.real() == 0 {
		return
	}
	end := (<-chan struct{})(nil)
	if c.credit != nil {
		end = c.credit.recall()
	} else {
		defer c.owes(lent{})
		if limit = quietLimit; time.Since(owed.since) > collectLimit {
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for n := owed.real(); n > 0; n = c.owed().real() {
		before := c.arrivals()
		msgs, err := ask(ctx, c, n, limit, end, admit)
		if admit(msgs); len(msgs) == 0 && (!idle(err) || ctx.Err() != nil || isOver(end) || c.arrivals() == before) {
			return
		}
	}
}

func isOver(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// drain ends the worker after its intake has ended: what is in flight finishes, its locks still renewed; stragglers are
// interrupted and handed back at once; then the client closes. Each step is bounded, the whole by the grace period.
// endClients ends what clients waits for.
func (w *Worker) drain(begun time.Time, endClients func(), clients *sync.WaitGroup) Report {
	w.closeIntake()
	defer w.crew.dismiss()
	end := begun.Add(w.config.Grace - exitReserve)
	deadline := end.Add(-farewellReserve)
	if !waitUntil(&w.deliveries, deadline.Add(-settleReserve)) {
		w.underway.interrupt(handler.ErrDraining)
		waitUntil(&w.deliveries, deadline)
		w.giveUp()
	}
	endClients()
	waitUntil(clients, end)
	waitUntil(&w.deliveries, end) // those given up are still recorded
	report := w.drained.result()
	report.Took, report.Spare = time.Since(begun), time.Until(end)
	w.metrics.Drained(report.Took, report.Finished, report.HandedBack, report.Left)
	w.log.Info("drained", zap.Int("finished", report.Finished), zap.Int("handed_back", report.HandedBack),
		zap.Int("left_to_their_locks", report.Left), zap.Duration("took", report.Took))
	return report
}

// waitUntil waits for the group, but not past the deadline.
func waitUntil(group *sync.WaitGroup, deadline time.Time) bool {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}
