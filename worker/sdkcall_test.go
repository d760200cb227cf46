package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

func lonelyClient() (*client, *atomic.Int64) {
	var stuck atomic.Int64
	return newClient(&connection{}, &stuck, func(error) {}), &stuck
}

// A settlement runs on the goroutine of its delivery. One that the SDK keeps costs that goroutine, not the delivery, which
// goes on by lock token on the next client and is accounted for once (P10).
func TestDeliveryWhoseGoroutineTheSDKKeepsIsSettledByAnother(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[handler.Outcome][]string{
		handler.Terminated:     {"complete m0"},
		handler.InvalidMessage: {"dead-letter invalid_message m0"},
		handler.Throttled:      {"copy m0", "complete m0"},
		handler.Panic:          {"abandon m0"},
	} {
		t.Run(outcome.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(1)...)
				release := make(chan struct{})
				queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if queue.clientsMade() == 1 && (op == "complete" || op == "abandon" || op == "dead-letter invalid_message") {
						<-release // whatever its context says
						return errDone
					}
					return nil
				}
				r := run(t, queue, always(outcome))
				time.Sleep(10 * time.Second)
				equal(t, "operations", queue.operations(), want)
				equal(t, "outcomes", r.outcomes(), []string{outcome.String()})
				equal(t, "replaced as hung", r.metric(t, "client_replacements_total", "hung"), 1.0)
				close(release)
				synctest.Wait()
				equal(t, "outcomes after the late answer", r.outcomes(), []string{outcome.String()})
				r.end()
			})
		})
	}
}

// The context that the SDK gets behaves as any other, also for what the SDK derives from it.
func TestContextOfACallEndsInTimeAndWithItsClient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*client)
		want error
		took time.Duration
	}{
		"in time":         {func(*client) {}, context.DeadlineExceeded, time.Minute},
		"with its client": {func(c *client) { c.fail("receive", errLinkFailed) }, context.Canceled, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, stuck := lonelyClient()
				begun := time.Now()
				time.AfterFunc(time.Second, func() { c.end(client) })
				_, err, inTime := guard(&sdkCall{client: client}, time.Minute, func(ctx context.Context) (struct{}, error) {
					derived, cancel := context.WithTimeout(ctx, time.Hour)
					defer cancel()
					if until, ok := derived.Deadline(); !ok || until.Sub(begun) != time.Minute {
						t.Errorf("deadline after %v", until.Sub(begun))
					}
					<-derived.Done()
					<-ctx.Done()
					return struct{}{}, derived.Err()
				})
				if !errors.Is(err, c.want) || !inTime || time.Since(begun) != c.took {
					t.Errorf("%v, in time: %v, after %v; want %v after %v", err, inTime, time.Since(begun), c.want, c.took)
				}
				client.fail("", context.Canceled)
				<-client.idle
				equal(t, "stuck", stuck.Load(), 0)
			})
		})
	}
}

// A call that is given up counts as stuck only while it has not come back.
func TestCallThatIsGivenUpIsStuckUntilItComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, stuck := lonelyClient()
		release := make(chan struct{})
		var late atomic.Int32
		got, err := doOrLate(t.Context(), client, time.Second, func(context.Context) (int, error) {
			<-release
			return 7, nil
		}, func(n int) { late.Store(int32(n)) })
		if got != 0 || !errors.Is(err, errHung) {
			t.Errorf("%d, %v; want it given up", got, err)
		}
		if _, err := do(t.Context(), client, time.Second, func(context.Context) (int, error) { return 1, nil }); !errors.Is(err, errReplaced) {
			t.Errorf("a call on the client of a hung one: %v; want it refused", err)
		}
		time.Sleep(lifeless + 1)
		equal(t, "stuck", stuck.Load(), 1)
		close(release)
		synctest.Wait()
		equal(t, "stuck after its return", stuck.Load(), 0)
		equal(t, "late answer", late.Load(), 7)
		<-client.idle
	})
}

// Calls come and go in any order: the client is idle when the last has gone.
func TestClientIsIdleWhenItsLastCallHasGone(t *testing.T) {
	t.Parallel()
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}} {
		client, _ := lonelyClient()
		calls := []*sdkCall{{client: client}, {client: client}, {client: client}}
		for _, k := range calls {
			k.begin(time.Hour)
			if !client.enter(k) {
				t.Fatal("refused")
			}
		}
		client.fail("", context.Canceled)
		for n, i := range order {
			if calls[i].Err() == nil || isOver(client.idle) {
				t.Errorf("%v: call %d goes on: %v, idle: %v", order, i, calls[i].Err() == nil, isOver(client.idle))
			}
			calls[i].back()
			client.leave(calls[i])
			equal(t, "idle", isOver(client.idle), n == len(order)-1)
		}
	}
}

// Who is free ends when there is nothing to do, and who is busy once it is free, after the dismissal.
func TestCrewEndsWithItsWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var done, busy atomic.Int32
		c := newCrew(func(wait time.Duration) {
			busy.Add(1)
			time.Sleep(wait)
			busy.Add(-1)
			done.Add(1)
		})
		for range 10 {
			c.run(time.Second)
		}
		c.run(time.Minute)
		time.Sleep(2 * time.Second)
		c.rest()
		for range 3 { // by new ones: nobody is free
			c.run(time.Second)
		}
		synctest.Wait()
		equal(t, "busy", busy.Load(), 4)
		c.dismiss()
		time.Sleep(time.Minute) // the bubble would not end with one that waits
		equal(t, "done", done.Load(), 14)
	})
}

// The deadline's timer may fire in the moment in which another ends the context: that has used up no part of the margin yet.
func TestCallThatIsEndedAtItsDeadlineHasItsMarginStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := lonelyClient()
		var hung atomic.Int32
		k := &sdkCall{client: c, hung: func() { hung.Add(1) }}
		k.begin(time.Minute)
		k.end(context.Canceled)
		k.due() // the timer, as if it had fired before it was set anew
		equal(t, "given up at once", hung.Load(), 0)
		time.Sleep(guardMargin)
		synctest.Wait()
		equal(t, "given up after the margin", hung.Load(), 1)
		k.back()
		c.fail("", context.Canceled)
	})
}
