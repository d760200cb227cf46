package worker

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

// The call had its answer, the settlement was lost: the redelivery is settled without a second call (P2, I12).
//
// Scorecard: R31, F6.
func TestFinishedWorkIsNotRepeatedWhenItsSettlementWasLost(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[handler.Outcome][]string{
		handler.Terminated: {"terminated", "duplicate_delivery"},
		handler.Refused:    {"refused", "refused"},
		handler.Throttled:  {"throttled", "duplicate_delivery"},
	} {
		t.Run(outcome.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := message("a", 7)
				again := *first
				queue := newScripted(first)
				var lost atomic.Bool
				lost.Store(true)
				queue.before = func(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error {
					if lost.Load() && (op == "complete" || strings.HasPrefix(op, "dead-letter")) {
						return lostLock()
					}
					return nil
				}
				calls := 0
				r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
					calls++
					return handler.Result{Outcome: outcome, Code: "InvalidInput", Request: handler.Request{Endpoint: account}}
				}))
				time.Sleep(time.Minute)
				lost.Store(false)
				queue.add(&again)
				time.Sleep(time.Minute)
				r.end()
				equal(t, "calls", calls, 1)
				equal(t, "outcomes", r.outcomes(), want)
				equal(t, "copies", len(queue.copies()), map[bool]int{true: 1}[outcome == handler.Throttled])
			})
		})
	}
}

// unsettled is a settlement that nobody answered.
var unsettled = settlement{kind: "complete", result: "failed"}

// Scorecard: M11.
func TestMemoryOfFinishedWorkNamesTheMessageByPlaceAndId(t *testing.T) {
	t.Parallel()
	f := newFinished()
	a := &delivery{msg: message("same-id", 1)}
	a.result = handler.Result{Outcome: handler.Terminated}
	f.end(a, unsettled)
	if _, ok := f.recall(&delivery{msg: message("same-id", 2)}); ok {
		t.Error("another message with the same id was taken for the finished one")
	}
	for i := range rememberAtMost {
		f.end(&delivery{msg: message("x", int64(i+10)), result: handler.Result{}}, unsettled)
	}
	if _, ok := f.recall(a); ok || len(f.results.at) != rememberAtMost || f.results.length() != rememberAtMost {
		t.Errorf("memory holds %d entries, the oldest among them: %v; want %d without it", len(f.results.at), ok, rememberAtMost)
	}
}

// Sequence numbers start again in a queue that was deleted and made anew, and senders repeat their ids.
func TestMemoryOfFinishedWorkOutlivesNoQueue(t *testing.T) {
	t.Parallel()
	f := newFinished()
	old, anew := message("same-id", 1), message("same-id", 1)
	later := old.EnqueuedTime.Add(time.Minute)
	anew.EnqueuedTime = &later
	f.end(&delivery{msg: old, result: handler.Result{Outcome: handler.Terminated}}, unsettled)
	if _, ok := f.recall(&delivery{msg: anew}); ok {
		t.Error("a message of the new queue was taken for one of the old")
	}
	if _, ok := f.recall(&delivery{msg: old}); !ok {
		t.Error("the finished message was forgotten")
	}
	unplaced := message("same-id", 1)
	unplaced.SequenceNumber = nil
	f.end(&delivery{msg: unplaced, result: handler.Result{Outcome: handler.Terminated}}, unsettled)
	if _, ok := f.recall(&delivery{msg: unplaced}); ok {
		t.Error("a message without a place in the queue was recognised by the sender's id alone")
	}
}

func TestConfirmedSettlementIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, newScripted(messages(50)...), always(handler.Terminated))
		synctest.Wait()
		r.end()
		equal(t, "remembered", len(r.finished.results.at)+r.finished.results.length(), 0)
	})
}

// length follows the ring, which the map has to agree with.
func (m *memory[K, V]) length() (n int) {
	for r := m.all.next; r != m.all; r = r.next {
		n++
	}
	return n
}
