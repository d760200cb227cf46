package worker

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"batchterminator/handler"
)

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestEachDecisionIsSettledOnceInItsOwnWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outcome handler.Outcome
		want    []string
	}{
		{handler.Terminated, []string{"complete m0"}},
		{handler.AlreadyGone, []string{"complete m0"}},
		{handler.InvalidMessage, []string{"dead-letter invalid_message m0"}},
		{handler.Throttled, []string{"copy m0", "complete m0"}},
		{handler.AuthFailed, []string{"copy m0", "complete m0"}},
		{handler.LockLost, nil},
		{handler.Panic, []string{"abandon m0"}},
	} {
		t.Run(c.outcome.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, newScripted(messages(1)...), always(c.outcome))
				synctest.Wait()
				equal(t, "operations", r.queue.operations(), c.want)
				equal(t, "outcomes", r.outcomes(), []string{c.outcome.String()})
				r.end()
			})
		})
	}
}

func TestPanicStaysWithItsMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		last := message("poison", 1)
		last.DeliveryCount = 9                                               // the queue's limit of 10 is reached with this delivery
		last.ApplicationProperties = map[string]any{propAccounted: int64(9)} // earlier panics
		queue := newScripted(last, message("good", 2))
		r := run(t, queue, decisions(func(_ context.Context, m handler.Message) handler.Result {
			if m.RequestIdentity == "poison" {
				panic("nil map")
			}
			return handler.Result{Outcome: handler.Terminated}
		}))
		synctest.Wait()
		got := queue.operations()
		slices.Sort(got)
		equal(t, "operations", got, []string{"complete good", "dead-letter crash_suspect poison"})
		r.end()
	})
}

// A handler falls free as the work is interrupted: the message that waited for it is not begun.
func TestInterruptedMessageIsNotBegun(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]handler.Outcome{handler.ErrLockLost: handler.LockLost, handler.ErrDraining: handler.Draining} {
		synctest.Test(t, func(t *testing.T) {
			r := run(t, newScripted(), decisions(func(context.Context, handler.Message) handler.Result {
				t.Error("begun")
				return handler.Result{}
			}))
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(cause)
			for range 100 { // a select takes either of two that are ready
				d := newDelivery(nil, message("a", 1))
				r.underway.begin(d)
				equal(t, "outcome", r.decide(ctx, d).Outcome, want)
				r.underway.end(d)
			}
			equal(t, "handlers taken", len(r.handlers), 0)
			r.end()
		})
	}
}
