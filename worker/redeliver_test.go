package worker

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"batchterminator/handler"
)

// Without the right to send there are no copies: the request is abandoned, and people are told at the start.
func TestWithoutTheRightToSendARequestIsAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "open" {
				return denied()
			}
			return nil
		}
		r := run(t, queue, always(handler.JobDisabled))
		time.Sleep(time.Minute)
		r.end()
		equal(t, "operations", queue.operations(), []string{"abandon m0"})
		equal(t, "warnings about the missing right", r.logs.FilterMessageSnippet("Azure Service Bus Data Sender").Len(), 1)
	})
}

// Abandoned at its last delivery, the broker would dead-letter it for having been delivered too often, which tells nobody why.
//
// Scorecard: M9, R13.
func TestLastDeliveryThatCannotBeCopiedIsDeadLetteredByUs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		last, before := message("last", 1), message("before", 2)
		last.DeliveryCount, before.DeliveryCount = 9, 8 // this one is not counted yet
		queue := newScripted(last, before)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "open" {
				return denied()
			}
			return nil
		}
		r := run(t, queue, always(handler.JobDisabled))
		time.Sleep(time.Minute)
		r.end()
		equal(t, "operations", slices.Sorted(slices.Values(queue.operations())), []string{"abandon before", "dead-letter retries_exhausted last"})
	})
}

// P4: the broker dead-letters what was delivered ten times, and an abandoned message comes back at once.
func TestRefusedCopiesDoNotSpendAllDeliveriesBeforeTheWorkerAsksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		granted := time.Now().Add(4 * sendAgain / 3)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			switch {
			case op == "open" && time.Now().Before(granted):
				return denied()
			case op == "abandon":
				queue.add(message("m0", 1)) // it comes back
			}
			return nil
		}
		r := run(t, queue, always(handler.JobDisabled))
		time.Sleep(time.Minute)
		r.end()
		operations := queue.operations()
		if n := len(operations); n > 10 || operations[n-1] != "complete m0" || operations[n-2] != "copy m0" {
			t.Errorf("%d operations, %q; want fewer than ten times abandon, then a copy", n, operations)
		}
	})
}

// arrived is a message of every section and property, as it comes off the wire.
func arrived() *azservicebus.ReceivedMessage {
	m := message("original", 7)
	ttl := 10 * time.Hour
	expires := m.EnqueuedTime.Add(ttl)
	m.TimeToLive, m.ExpiresAt = &ttl, &expires
	m.ApplicationProperties = map[string]any{"tenant": "blue", "weight": int64(3)}
	text := func(s string) *string { return &s }
	m.RawAMQPMessage = &azservicebus.AMQPAnnotatedMessage{
		ApplicationProperties: m.ApplicationProperties,
		Body:                  azservicebus.AMQPAnnotatedMessageBody{Data: [][]byte{m.Body}},
		DeliveryAnnotations:   map[any]any{"x-opt-lock-token": "t"},
		DeliveryTag:           []byte("tag"),
		Footer:                map[any]any{"f": "1"},
		Header:                &azservicebus.AMQPAnnotatedMessageHeader{DeliveryCount: 3, Durable: true, Priority: 7, TTL: ttl},
		MessageAnnotations: map[any]any{"x-opt-partition-key": "p", "x-opt-via-partition-key": "v", "x-opt-sequence-number": int64(7),
			"x-opt-enqueued-time": *m.EnqueuedTime, "x-opt-locked-until": time.Now()},
		Properties: &azservicebus.AMQPAnnotatedMessageProperties{
			ContentEncoding: text("identity"), ContentType: text("application/json"), CorrelationID: "c-1", CreationTime: m.EnqueuedTime, GroupID: text("s-1"),
			GroupSequence: new(uint32), MessageID: "original", ReplyTo: text("answers"), ReplyToGroupID: text("s-2"), Subject: text("terminate"), To: text("here"), UserID: []byte("u"),
		},
	}
	return m
}

func TestCopyIsTheMessageWithItsHistory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := arrived()
		d := newDelivery(nil, m)
		c := copyOf(d, handler.Result{Outcome: handler.Throttled, Attempts: 2}, time.Hour)
		before := m.RawAMQPMessage

		equal(t, "body and footer", []any{c.Body, c.Footer}, []any{before.Body, before.Footer})
		want := *before.Properties
		want.MessageID = c.Properties.MessageID
		equal(t, "properties but for the id", *c.Properties, want)
		equal(t, "header", *c.Header, azservicebus.AMQPAnnotatedMessageHeader{Durable: true, Priority: 7, TTL: 9 * time.Hour})
		equal(t, "annotations", c.MessageAnnotations, map[any]any{"x-opt-partition-key": "p", "x-opt-via-partition-key": "v",
			"x-opt-scheduled-enqueue-time": time.Now().Add(time.Hour).UTC()})
		if c.DeliveryAnnotations != nil || c.DeliveryTag != nil {
			t.Error("the copy carries what belongs to the delivery of the original")
		}
		equal(t, "application properties", c.ApplicationProperties, map[string]any{
			"tenant": "blue", "weight": int64(3), "bt-request-id": "original", "bt-redeliveries": int64(1), "bt-attempts": int64(2),
			"bt-first-enqueued": m.EnqueuedTime.UTC().Format(time.RFC3339Nano), "bt-ledger": "2000-01-01T00:00:00Z throttled/2",
			"bt-origin": int64(7),
		})
		equal(t, "properties of the original", m.ApplicationProperties, map[string]any{"tenant": "blue", "weight": int64(3)})
	})
}

// The copy of a copy goes on where the copy stood.
func TestCopyOfACopyGoesOnCounting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := newDelivery(nil, arrived())
		one := copyOf(first, handler.Result{Outcome: handler.Throttled, Attempts: 2}, time.Minute)
		time.Sleep(time.Minute)
		m := message(one.Properties.MessageID.(string), 8)
		m.RawAMQPMessage, m.ApplicationProperties, m.TimeToLive = one, one.ApplicationProperties, &one.Header.TTL
		expires := m.EnqueuedTime.Add(*m.TimeToLive)
		m.ExpiresAt = &expires
		second := newDelivery(nil, m)
		equal(t, "identity", second.message.RequestIdentity, "original")
		equal(t, "first enqueued", second.message.FirstEnqueued.Equal(first.message.FirstEnqueued), true)
		equal(t, "expiry", second.message.ExpiresAt.Equal(first.message.ExpiresAt), true)
		two := copyOf(second, handler.Result{Outcome: handler.Network, Attempts: 4}, time.Minute)
		equal(t, "counts", []any{two.ApplicationProperties["bt-redeliveries"], two.ApplicationProperties["bt-attempts"]}, []any{int64(2), int64(6)})
		equal(t, "ledger", two.ApplicationProperties["bt-ledger"], any("2000-01-01T00:00:00Z throttled/2; 2000-01-01T00:01:00Z network/4"))
		if two.Properties.MessageID == one.Properties.MessageID {
			t.Error("both copies have one message id; duplicate detection would drop the second")
		}
		// The same redelivery again, by whichever worker: one id, so that duplicate detection drops the twin.
		equal(t, "id of a twin", copyOf(second, handler.Result{Outcome: handler.TimedOut}, time.Hour).Properties.MessageID, two.Properties.MessageID)
	})
}

func TestCopyOfABareMessageIsWhole(t *testing.T) {
	t.Parallel()
	m := message("bare", 1)
	c := copyOf(newDelivery(nil, m), handler.Result{Outcome: handler.Draining}, 0)
	equal(t, "body", c.Body.Data, [][]byte{m.Body})
	equal(t, "header: durable, no time to live", *c.Header, azservicebus.AMQPAnnotatedMessageHeader{Durable: true})
	if _, delayed := c.MessageAnnotations[scheduledEnqueueTime]; delayed {
		t.Error("a copy without a wait is scheduled")
	}
}

// On the wire the time to live is whole milliseconds in 32 bits, and 0 is none: whatever the clocks say, the copy's is
// neither nothing nor more than the original's.
func TestTimeToLiveOfACopyStaysWithinTheOriginals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ ttl, age, wait, want time.Duration }{
		"remaining":                                  {time.Hour, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute},
		"nothing remains":                            {time.Hour, time.Hour, 0, time.Millisecond},
		"less than nothing remains":                  {time.Hour, 2 * time.Hour, 0, time.Millisecond},
		"less than one unit":                         {time.Hour, time.Hour - time.Microsecond, 0, time.Millisecond},
		"the broker's clock is ahead of the longest": {math.MaxUint32 * time.Millisecond, -time.Hour, 0, math.MaxUint32 * time.Millisecond},
		"none": {0, time.Hour, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := message("a", 1)
				enqueued := time.Now().Add(-c.age)
				expires := enqueued.Add(c.ttl)
				m.EnqueuedTime, m.TimeToLive, m.ExpiresAt = &enqueued, &c.ttl, &expires
				equal(t, "time to live", copyOf(newDelivery(nil, m), handler.Result{Outcome: handler.Draining}, c.wait).Header.TTL, c.want)
			})
		})
	}
}

// A broker that refuses the copy has answered: the link is well, the message is handed back, and nobody else notices.
func TestCopyThatTheBrokerRefusesEndsNoClient(t *testing.T) {
	t.Parallel()
	refusals := map[string]error{"too large, to the SDK": azservicebus.ErrMessageTooLarge}
	for _, condition := range []amqp.ErrCond{amqp.ErrCondMessageSizeExceeded, amqp.ErrCondResourceLimitExceeded, amqp.ErrCondUnauthorizedAccess, "com.microsoft:entity-disabled"} {
		refusals[string(condition)] = &amqp.Error{Condition: condition}
	}
	for name, refusal := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(1)...)
				queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op == "send" {
						return refusal
					}
					return nil
				}
				r := run(t, queue, always(handler.JobDisabled))
				time.Sleep(time.Minute)
				equal(t, "operations", queue.operations(), []string{"abandon m0"})
				equal(t, "clients", queue.clientsMade(), 1)
				line := r.logs.FilterMessage("delivery").All()[0].ContextMap()
				if !strings.Contains(fmt.Sprint(line["settle_error"]), refusal.Error()) || line["settlement"] != "abandon" {
					t.Errorf("logged %v; want the abandon and why", line)
				}
				r.end()
			})
		})
	}
}

// Neither copy nor original is certain: the original is left to its lock rather than completed (P1).
func TestCopyThatNobodyAnsweredLeavesTheOriginal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "send" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		r := run(t, queue, always(handler.JobDisabled))
		time.Sleep(30 * time.Second)
		equal(t, "operations", queue.operations(), nil)
		equal(t, "settlements", r.metric(t, "settlements_total", "redeliver", "failed"), 1.0)
		equal(t, "copies counted", r.metric(t, "redeliveries_scheduled_total"), 0.0)
		r.end()
	})
}

func TestRequestThatMayNotComeBackIsDeadLettered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old := message("old", 1)
		*old.EnqueuedTime = old.EnqueuedTime.Add(-25 * time.Hour)
		old.ApplicationProperties = map[string]any{propRedeliveries: int64(1)}
		queue := newScripted()
		r := run(t, queue, always(handler.JobDisabled))
		r.gates.Observe(account, handler.JobDisabled, 0) // as the real handler tells the gate
		queue.add(old)
		synctest.Wait()
		equal(t, "operations", queue.operations(), []string{"dead-letter retries_exhausted old"})
		equal(t, "outcomes", r.outcomes(), []string{"retries_exhausted"})
		r.end()
	})
}

// The request was given up, and its dead-letter was lost: it is dead-lettered for the same reason, without another call.
func TestRequestThatWasGivenUpIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old := message("old", 1)
		*old.EnqueuedTime = old.EnqueuedTime.Add(-25 * time.Hour)
		old.ApplicationProperties = map[string]any{propRedeliveries: int64(1)}
		again := *old
		queue := newScripted()
		var lost atomic.Bool
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if strings.HasPrefix(op, "dead-letter") && lost.CompareAndSwap(false, true) {
				return lostLock()
			}
			return nil
		}
		calls := 0
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			calls++
			return handler.Result{Outcome: handler.JobDisabled, Request: handler.Request{Endpoint: account}}
		}))
		r.gates.Observe(account, handler.JobDisabled, 0)
		queue.add(old)
		time.Sleep(time.Minute)
		queue.add(&again)
		time.Sleep(time.Minute)
		r.end()
		equal(t, "calls", calls, 1)
		equal(t, "outcomes", r.outcomes(), []string{"retries_exhausted", "retries_exhausted"})
		equal(t, "operations", queue.operations(), []string{"dead-letter retries_exhausted old"})
	})
}
