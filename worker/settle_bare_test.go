package worker

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

// A broker that takes no dead letter with its texts, for their size or another reason, is asked for one without: but only
// when the settlement of an earlier delivery failed too, since the SDK does not tell a refusal from a broker that is busy.
func TestDeadLetterThatIsRefusedWithItsTextsLandsWithoutThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := message("a", 1)
		queue := newScripted(m)
		tries := 0
		queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if !strings.HasPrefix(op, "dead-letter ") || op == "dead-letter without a word" {
				return nil
			}
			tries++
			<-ctx.Done() // the SDK waits for its own next try
			return ctx.Err()
		}
		calls := 0
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			calls++
			return handler.Result{Outcome: handler.Refused, Attempts: 1}
		}))
		time.Sleep(time.Minute)
		equal(t, "operations after the first delivery", queue.operations(), nil)
		first := tries
		queue.add(m) // its lock has ended
		time.Sleep(time.Minute)
		equal(t, "operations", queue.operations(), []string{"dead-letter without a word a"})
		equal(t, "tries with texts", []int{first, tries - first}, []int{4, bareTry})
		equal(t, "calls", calls, 1)
		equal(t, "outcomes", r.outcomes(), []string{"refused", "refused"})
		r.end()
	})
}
