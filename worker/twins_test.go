package worker

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

// received is a copy as it comes back from the queue.
func received(c *azservicebus.AMQPAnnotatedMessage, sequence int64) *azservicebus.ReceivedMessage {
	m := message(c.Properties.MessageID.(string), sequence)
	m.Body, m.RawAMQPMessage, m.ApplicationProperties = c.Body.Data[0], c, c.ApplicationProperties
	return m
}

// P9: a broker that stores every copy and answers none must not turn one request into thousands. The ledger of the queue
// is played here by hand: what was sent arrives later, and what was not settled comes back.
//
// Scorecard: R15.
func TestUnansweredCopiesDoNotMultiplyARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := message("a", 1)
		queue := newScripted()
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "send" {
				return errUnanswered
			}
			return nil
		}
		r := run(t, queue, always(handler.JobDisabled), func(c *Config) { c.Concurrency = 1 })
		inQueue := []*azservicebus.ReceivedMessage{first}
		// A copy carries the request for two deliveries, since its own copy arrives after its second one began; so two copies
		// carry it in one round. Each is sent again for as long as its lock lasts, a minute, and the dial that follows each try
		// waits 2 to 4 s in the end.
		const most = 2 * 40
		for round := range 12 {
			before := len(queue.copies())
			if before > most*round {
				t.Errorf("%d copies of one request after %d rounds; want at most %d for each", before, round, most)
				break
			}
			for _, m := range inQueue {
				queue.add(m)
				time.Sleep(time.Minute) // its settlement, and its lock
			}
			inQueue = slices.DeleteFunc(inQueue, func(m *azservicebus.ReceivedMessage) bool {
				return slices.Contains(queue.completions(), *m.SequenceNumber)
			})
			for i, c := range queue.copies()[before:] {
				inQueue = append(inQueue, received(c, int64(before+i+100)))
			}
		}
		r.end()
	})
}

func TestMessageIsRedundantOnceItsCopyOrATwinArrived(t *testing.T) {
	t.Parallel()
	bare := func(m *azservicebus.ReceivedMessage) *delivery { return newDelivery(nil, m) }
	w := newTwins()
	redundant := func(d *delivery) bool {
		r, ok := w.redundant(d)
		return ok && r.Outcome == handler.DuplicateDelivery
	}
	original := bare(message("a", 1))
	one := copyOf(original, handler.Result{Outcome: handler.JobDisabled}, time.Minute)
	twin, other := bare(received(one, 2)), bare(received(one, 3))
	if redundant(twin) || redundant(other) {
		t.Error("copies that nobody doubted were taken for twins")
	}
	w.suspect(original)
	if redundant(original) {
		t.Error("the original is given up although its copy may not exist")
	}
	if forged := bare(message(one.Properties.MessageID.(string), 9)); redundant(forged) || redundant(original) {
		t.Error("a message with the copy's id, but of another request, was taken for the copy")
	}
	for range 2 { // its own redelivery is no twin
		if redundant(twin) {
			t.Error("the copy that arrived first does not carry the request")
		}
	}
	if !redundant(other) || !redundant(original) {
		t.Error("its twin and its original are not redundant")
	}
	w.suspect(original) // sent once more, unanswered
	if redundant(twin) || !redundant(other) {
		t.Error("another copy changed which one carries the request")
	}
	next := bare(received(copyOf(twin, handler.Result{}, 0), 4))
	w.suspect(twin)
	if redundant(next) || !redundant(twin) || !redundant(original) {
		t.Error("want the second copy to carry the request now")
	}
}

// A sender that uses a message id again means another request. Found by review: the second one was completed without a call.
//
// Scorecard: M11.
func TestCopiesOfTwoRequestsWithOneMessageIDAreNoTwins(t *testing.T) {
	t.Parallel()
	w := newTwins()
	redundant := func(d *delivery) bool { _, ok := w.redundant(d); return ok }
	first, second := newDelivery(nil, message("a", 1)), newDelivery(nil, message("a", 500))
	w.suspect(first)
	copied := func(d *delivery) *azservicebus.AMQPAnnotatedMessage {
		return copyOf(d, handler.Result{Outcome: handler.JobDisabled}, time.Minute)
	}
	one, two := copied(first), copied(second)
	if one.Properties.MessageID == two.Properties.MessageID {
		t.Error("duplicate detection would drop the copy of the second request")
	}
	if redundant(newDelivery(nil, received(one, 2))) || redundant(second) || redundant(newDelivery(nil, received(two, 501))) {
		t.Error("the second request, or its copy, is taken for a twin of the first one")
	}
	if again := copied(newDelivery(nil, received(one, 2))); again.ApplicationProperties[propOrigin] != one.ApplicationProperties[propOrigin] {
		t.Errorf("the copy's copy comes from %v, the copy from %v", again.ApplicationProperties[propOrigin], one.ApplicationProperties[propOrigin])
	}
}

// Found by review: two workers that had each seen another twin first would have dropped both, once the locks had ended and each
// twin came to the other one.
func TestWorkersThatSeeTheTwinsInAnotherOrderKeepOne(t *testing.T) {
	t.Parallel()
	original := newDelivery(nil, message("a", 1))
	one := copyOf(original, handler.Result{Outcome: handler.JobDisabled}, time.Minute)
	copies := []*delivery{newDelivery(nil, received(one, 2)), newDelivery(nil, received(one, 3))}
	workers := []*twins{newTwins(), newTwins()}
	drops := func(worker, twin int) bool {
		_, dropped := workers[worker].redundant(copies[twin])
		return dropped
	}
	for i := range workers {
		workers[i].suspect(original)
		if drops(i, i) {
			t.Fatal("the first to arrive is dropped")
		}
	}
	if drops(1, 0) || !drops(0, 1) || !drops(1, 1) {
		t.Error("want the twin with the lower sequence number to stay, wherever it comes, and the other one to go")
	}
}

// The tries to send one copy share the time at which it is due, so twins mostly come in one receive. Found by review.
func TestTwinsThatComeTogetherGoOnAsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(message("a", 1))
		lost := 1
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "send" && lost > 0 {
				lost--
				return errUnanswered
			}
			return nil
		}
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(time.Second)
			return handler.Result{Outcome: handler.JobDisabled, Request: handler.Request{Endpoint: account}}
		}), func(c *Config) { c.Concurrency = 16 })
		time.Sleep(20 * time.Second)
		before := queue.copies()
		const twins = 8
		for i := range int64(twins) {
			queue.add(received(before[0], 100-i))
		}
		time.Sleep(20 * time.Second)
		equal(t, "copies of the copy", len(queue.copies())-len(before), 1)
		completed := 0
		for _, op := range queue.operations() {
			if strings.HasPrefix(op, "complete ") {
				completed++
			}
		}
		equal(t, "completed", completed, twins+1)
		r.end()
	})
}
