package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"go.uber.org/zap"

	"batchterminator/handler"
)

// Scorecard: R6.
func TestSlotIsFreeBeforeTheSettlement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(4)...)
		queue.before = func(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error {
			if op == "complete" {
				time.Sleep(time.Second)
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated), func(c *Config) { c.Concurrency = 2 })
		time.Sleep(1500 * time.Millisecond)
		equal(t, "settled while two slots were settling slowly", len(queue.operations()), 3)
		r.end()
	})
}

func TestSettlementIsTriedAgainByLockToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		var tries []bool // whether the try carried more than the token
		queue.before = func(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error {
			if op == "complete" {
				if tries = append(tries, m.MessageID != ""); len(tries) == 1 {
					return errors.New("link detached")
				}
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(time.Minute)
		r.end()
		equal(t, "tries", tries, []bool{true, false})
		equal(t, "operations", queue.operations(), []string{"complete m0"})
		equal(t, "clients", queue.clientsMade(), 2)
	})
}

// The message arrived on a client that is gone: its delivery means nothing to the next one, its lock token does.
func TestMessageOfAReplacedClientIsSettledByLockTokenAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		var tries []string
		queue.before = func(_ context.Context, op string, m *azservicebus.ReceivedMessage) error {
			if op == "complete" {
				tries = append(tries, m.MessageID)
			}
			return nil
		}
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(10 * time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(time.Second)
		c, err := r.clients.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.fail("receive", errLinkFailed)
		time.Sleep(time.Minute)
		r.end()
		equal(t, "ids that the tries carried", tries, []string{""})
		equal(t, "operations", queue.operations(), []string{"complete m0"})
	})
}

// The broker did it and its answer was lost: "lock lost" is then no news, and nothing is wrong.
func TestLostLockAfterAnUnansweredTryIsUnconfirmed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "complete" && len(queue.operations()) == 0 {
				return errUnanswered
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(time.Minute)
		r.end()
		equal(t, "unconfirmed", r.metric(t, "settlements_total", "complete", "unconfirmed"), 1.0)
		equal(t, "all settlements", r.metric(t, "settlements_total"), 1.0)
		equal(t, "locks lost", r.metric(t, "locks_lost_total"), 0.0)
	})
}

// Nobody answers: the settlement ends with the lock or with the try that reaches its limit, and a second unanswered try
// ends the client.
//
// Scorecard: R6.
func TestSettlementThatNobodyAnswersEnds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lock, want time.Duration }{{time.Minute, settleLimit}, {shortestLock, shortestLock}} {
		t.Run(c.lock.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(1)...)
				queue.lockFor = c.lock
				queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op == "complete" {
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				}
				r := run(t, queue, always(handler.Terminated))
				time.Sleep(time.Minute)
				line := r.logs.FilterMessage("delivery").All()[0].ContextMap()
				if took, _ := line["took"].(time.Duration); took < c.want || took >= c.want+settleTry {
					t.Errorf("took %v; want %v and at most one try more", took, c.want)
				}
				equal(t, "result", line["result"], any("failed"))
				if queue.clientsMade() < 2 {
					t.Error("the client that does not answer is still in use")
				}
				r.end()
			})
		})
	}
}

// P10: one line and one count for each delivery, with what finds it again.
func TestDeliveryIsAccountedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := message("copy", 8)
		*m.EnqueuedTime = m.EnqueuedTime.Add(-time.Minute)
		m.ApplicationProperties = map[string]any{propRequestID: "first", propAttempts: int64(3), propRedeliveries: int64(2),
			propFirstEnqueued: m.EnqueuedTime.Add(-time.Hour).Format(time.RFC3339Nano)}
		queue := newScripted(m)
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(time.Second)
			return handler.Result{Outcome: handler.Refused, Attempts: 2, RequestID: "r", ClientRequestID: "c", Status: 400, Code: "InvalidInput", Detail: "no",
				Request: handler.Request{Endpoint: account, JobID: "j", TaskID: "t", Reason: "why", RequestedBy: "who"}}
		}))
		time.Sleep(time.Minute)
		r.end()
		lines := r.logs.FilterMessage("delivery").All()
		if len(lines) != 1 || lines[0].Level != zap.WarnLevel {
			t.Fatalf("%d lines, %v; want one warning", len(lines), lines)
		}
		equal(t, "line", lines[0].ContextMap(), map[string]any{
			"message_id": "copy", "sequence_number": int64(8), "delivery_count": uint32(1), "outcome": "refused", "settlement": "dead-letter", "result": "ok",
			"job_id": "j", "task_id": "t", "endpoint": account, "client_request_id": "c", "request_id": "r", "status": int64(400), "code": "InvalidInput",
			"attempts": int64(5), "redeliveries": int64(2), "took": time.Second, "age": time.Hour + time.Minute + time.Second, "detail": "no",
			"reason": "why", "requested_by": "who",
		})
		equal(t, "deliveries", [2]float64{r.metric(t, "deliveries_total"), r.metric(t, "deliveries_total", "refused")}, [2]float64{1, 1})
		equal(t, "received", r.metric(t, "messages_received_total"), 1.0)
	})
}
