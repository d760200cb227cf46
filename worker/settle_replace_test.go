package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

// The settlement's own end may cut its last try short, on a client that has only just been dialled. That says nothing about
// the client.
func TestTryThatIsCutShortEndsNoClient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		outcome handler.Outcome
		op      string
	}{"settlement": {handler.Terminated, "complete"}, "copy": {handler.JobDisabled, "send"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(1)...)
				var warm time.Time // written and read in turn: by the owner of the clients while nobody has one
				queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					switch {
					case op == "probe" && queue.clientsMade() == 2:
						time.Sleep(time.Until(warm)) // the reconnect takes all of the settlement's time but a moment
					case op == c.op && queue.clientsMade() == 1:
						warm = time.Now().Add(settleLimit - 100*time.Millisecond)
						return errors.New("detached")
					case op == c.op:
						select {
						case <-time.After(time.Second):
						case <-ctx.Done():
							return ctx.Err()
						}
					}
					return nil
				}
				r := run(t, queue, always(c.outcome))
				time.Sleep(30 * time.Second)
				equal(t, "clients", queue.clientsMade(), 2)
				r.end()
			})
		})
	}
}

// A try that found its client already replaced reached nobody: a lock that is lost then is lost, not settled by it.
func TestTryThatReachedNobodyConfirmsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, newScripted(), always(handler.Terminated))
		synctest.Wait()
		c, err := r.clients.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := newDelivery(c, message("m", 1))
		tries := 0
		var s settlement
		r.settleBy(d, "complete", time.Now().Add(settleLimit), func(context.Context, receiver, *azservicebus.ReceivedMessage, int) error {
			if tries++; tries == 1 {
				return errReplaced // as do answers when the client ended between the two
			}
			return lostLock()
		}, func(result settlement) { s = result })
		equal(t, "result", s.result, "lock_lost")
		r.end()
	})
}

// A link that takes every call and answers none is not idle: without the receive loop noticing, it is replaced.
func TestClientThatAnswersNoSettlementIsReplaced(t *testing.T) {
	t.Parallel()
	for op, c := range map[string]struct {
		outcome handler.Outcome
		want    []string
	}{
		"complete": {handler.Terminated, []string{"complete m0"}},
		"send":     {handler.JobDisabled, []string{"copy m0", "complete m0"}},
	} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(1)...)
				queue.before = func(ctx context.Context, got string, _ *azservicebus.ReceivedMessage) error {
					if got == op && queue.clientsMade() == 1 {
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				}
				r := run(t, queue, always(c.outcome))
				time.Sleep(settleLimit)
				equal(t, "operations", queue.operations(), c.want)
				equal(t, "clients", queue.clientsMade(), 2)
				r.end()
			})
		})
	}
}
