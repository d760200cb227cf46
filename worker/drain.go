package worker

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"batchterminator/handler"
)

// The end of the grace period is divided from its end backwards.
const (
	// exitReserve is kept for the process to end before the platform kills it (promise P8).
	exitReserve = 2 * time.Second
	// farewellReserve is for closing the Service Bus client.
	farewellReserve = time.Second
	// settleReserve is for stragglers to be handed back, which takes two round trips to the broker.
	settleReserve = 3 * time.Second
)

// Report says how the deliveries ended that were under way when the drain began.
type Report struct {
	// Finished were decided and settled, HandedBack were put back into the queue without raising their delivery count, Left
	// keep their lock until it ends by itself.
	Finished, HandedBack, Left int
	// Took is the time from the signal to the end.
	Took time.Duration
}

// tally counts the deliveries that end during a drain.
type tally struct {
	mu       sync.Mutex
	draining bool
	report   Report
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.draining = true
}

func (t *tally) count(r handler.Result, s settlement) {
	t.mu.Lock()
	defer t.mu.Unlock()
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

func (t *tally) result() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.report
}

// drain ends the worker after its intake has ended: what is in flight finishes, its locks still renewed; stragglers are
// interrupted and handed back at once; then the client closes. Each step is bounded, the whole by the grace period.
func (w *Worker) drain(begun time.Time, closeClients func()) Report {
	deadline := begun.Add(w.config.Grace - exitReserve - farewellReserve)
	if !waitUntil(&w.deliveries, deadline.Add(-settleReserve)) {
		w.interrupt(handler.ErrDraining)
		waitUntil(&w.deliveries, deadline)
	}
	left := int(w.active.Load())
	closeClients()
	report := w.drained.result()
	report.Left += left
	report.Took = time.Since(begun)
	w.metrics.Drained(report.Finished, report.HandedBack, report.Left)
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
