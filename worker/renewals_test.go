package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"go.uber.org/zap/zapcore"

	"batchterminator/handler"
)

// Five hundred locks are kept at once by renewals that take their time, and all of the work ends well: nothing is lost, and
// nobody is warned of a race between a renewal and a settlement.
//
// Scorecard: R7, F5.
func TestHundredsOfLocksAreKeptAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		queue := newScripted(messages(n)...)
		queue.lockFor = 10 * time.Second
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "renew" {
				time.Sleep(200 * time.Millisecond)
			}
			return nil
		}
		r := run(t, queue, decisions(func(_ context.Context, m handler.Message) handler.Result {
			time.Sleep(time.Minute)
			return handler.Result{Outcome: handler.Terminated}
		}), func(c *Config) { c.Concurrency = n })
		time.Sleep(5 * time.Minute)
		r.end()
		equal(t, "settled", len(queue.operations()), n)
		equal(t, "outcomes other than success", n-len(r.outcomes()), 0)
		equal(t, "locks lost", r.metric(t, "locks_lost_total"), 0.0)
		equal(t, "clients", queue.clientsMade(), 1)
		for _, e := range r.logs.All() {
			if e.Level >= zapcore.WarnLevel {
				t.Errorf("warned: %s %v", e.Message, e.ContextMap())
			}
		}
	})
}
