package worker

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

// P7: credit outstanding, buffered and in flight never exceed the concurrency plus the buffer.
func TestPumpNeverAsksForMoreThanItsFreeSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(200)...)
		r := run(t, queue, decisions(func(ctx context.Context, m handler.Message) handler.Result {
			time.Sleep(50 * time.Millisecond)
			return handler.Result{Outcome: handler.Terminated}
		}), func(c *Config) { c.Concurrency, c.ReadyBuffer = 8, 2 })
		time.Sleep(time.Minute)
		if len(queue.operations()) != 200 {
			t.Fatalf("%d of 200 messages settled", len(queue.operations()))
		}
		for i, n := range queue.demands() {
			if n > 10 {
				t.Fatalf("receive %d asked for %d messages with 10 slots", i, n)
			}
		}
		if queue.maxLocked > 10+cap(r.settling) {
			t.Errorf("%d locks held at once; slots and settlements allow %d", queue.maxLocked, 10+cap(r.settling))
		}
		r.end()
	})
}

// Scorecard: R10.
func TestReceiveFailuresReplaceTheClient(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault func(context.Context) error
		cause string
	}{
		"nothing and no error means that the link failed": {func(context.Context) error { return errDone }, "receive"},
		"error": {func(context.Context) error { return errors.New("detached") }, "receive"},
		"panic": {func(context.Context) error { panic("DeadLetterReason is an int") }, "panic"},
		"hung": {func(context.Context) error {
			time.Sleep(time.Minute)
			return errors.New("too late")
		}, "hung"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(3)...)
				var faulty atomic.Bool
				faulty.Store(true)
				queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op == "receive" && faulty.CompareAndSwap(true, false) {
						return c.fault(ctx)
					}
					return nil
				}
				r := run(t, queue, always(handler.Terminated))
				time.Sleep(3 * time.Minute)
				equal(t, "clients", queue.clientsMade(), 2)
				equal(t, "replacements, by cause", [2]float64{r.metric(t, "client_replacements_total"), r.metric(t, "client_replacements_total", c.cause)}, [2]float64{1, 1})
				equal(t, "settled", len(queue.operations()), 3)
				if name == "panic" {
					equal(t, "asked for after the panic", queue.demands()[1], 1)
				}
				r.end()
			})
		})
	}
}

func TestSilenceIsProvedToBeIdleness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		var dead atomic.Bool
		queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "peek" && dead.Load() && queue.clientsMade() == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(10 * time.Minute)
		equal(t, "clients while the broker answers probes", queue.clientsMade(), 1)
		dead.Store(true)
		time.Sleep(2 * time.Minute)
		equal(t, "clients after a probe went unanswered", queue.clientsMade(), 2)
		r.end()
	})
}

// The gate may close while the loop waits for a connection: the slots that it saw before are not to be asked for then.
func TestGateThatClosesDuringAReconnectStopsIntake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(3)...)
		var down atomic.Bool
		down.Store(true)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "dial" && down.Load() {
				return errors.New("refused")
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(time.Millisecond)
		r.gates.Observe(account, handler.AuthFailed, 0)
		down.Store(false)
		time.Sleep(pauses[causeAuth].first - time.Second)
		equal(t, "connected", r.Status().Attached, true)
		equal(t, "asked for while the gate is closed", queue.demands(), nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		equal(t, "asked for as the probe", queue.demands()[0], 1)
		r.end()
	})
}

func TestGateThatClosesWithdrawsTheReceiveUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old := message("old", 99)
		*old.EnqueuedTime = old.EnqueuedTime.Add(-time.Hour)
		queue := newScripted(old)
		r := run(t, queue, always(handler.Terminated))
		synctest.Wait()
		r.gates.Observe(account, handler.AuthFailed, 0)
		synctest.Wait()
		equal(t, "oldest message, while nobody knows that the queue is empty", r.metric(t, "oldest_message_age_seconds"), 3600.0)
		time.Sleep(collectLimit) // this transport has no way to take credit back
		queue.add(messages(2)...)
		time.Sleep(pauses[causeAuth].first - 2*time.Second)
		equal(t, "settled while the gate is closed", queue.operations(), []string{"complete old"})
		equal(t, "credit outstanding", r.metric(t, "credits_outstanding"), 0.0)
		equal(t, "clients", queue.clientsMade(), 1)
		r.end()
	})
}

// P9: the bodies held are bounded too. One message is always let in, however large.
//
// Scorecard: S4, M3.
func TestHeldBytesStopIntake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		large := messages(3)
		for _, m := range large {
			m.Body = make([]byte, handler.MaxBody)
		}
		queue := newScripted(large[0])
		release := make(chan struct{})
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			<-release
			return handler.Result{Outcome: handler.InvalidMessage}
		}), func(c *Config) { c.MaxHeldBytes = handler.MaxBody })
		synctest.Wait()
		queue.add(large[1:]...)
		time.Sleep(time.Minute)
		equal(t, "receives", len(queue.demands()), 1)
		close(release)
		time.Sleep(time.Minute)
		equal(t, "settled", len(queue.operations()), 3)
		equal(t, "asked for, all of them being large", queue.demands()[:4], []int{1, 1, 1, 1})
		r.end()
	})
}

// Scorecard: M3.
// P7, P9: how large a message is shows when it is there, so large ones are expected until small ones have come.
func TestHugeMessagesAreAskedForAsTheyFit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const huge, room = 1 << 20, 4 << 20
		all := messages(40)
		for _, m := range all {
			m.Body = make([]byte, huge)
		}
		queue := newScripted(all...)
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(time.Second)
			return handler.Result{Outcome: handler.InvalidMessage}
		}), func(c *Config) { c.Concurrency, c.MaxHeldBytes = 32, room })
		time.Sleep(time.Minute)
		equal(t, "settled", len(queue.operations()), len(all))
		if n := queue.maxLocked; n > 2*room/huge { // those held, and as many that are being settled
			t.Errorf("%d messages of 1 MiB were locked at once in 4 MiB", n)
		}
		r.end()
	})
}

// Messages as they should be cost a moment at the start, no more.
func TestSmallMessagesAreSoonAskedForByAllFreeSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1000)...)
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}), func(c *Config) { c.Concurrency = 64 })
		synctest.Wait()
		if n := len(queue.demands()); n > 25 {
			t.Errorf("%d receives until every slot was taken", n)
		}
		time.Sleep(time.Minute)
		equal(t, "settled", len(queue.operations()), 1000)
		equal(t, "most asked for at once", slices.Max(queue.demands()[30:]), 64)
		r.end()
	})
}

// The link is proved to be alive by what it delivers; a look is for silence.
func TestTrafficNeedsNoProof(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		var looks atomic.Int32
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "peek" {
				looks.Add(1)
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		for _, m := range messages(20) {
			time.Sleep(lookEvery / 2)
			queue.add(m)
		}
		equal(t, "looks", looks.Load(), 0)
		time.Sleep(10 * time.Minute)
		if n := looks.Load(); n < 25 || n > 30 {
			t.Errorf("%d looks in ten minutes of silence; want nearly three each", n)
		}
		r.end()
	})
}

// An account that is open again is used at once, not when the next slot falls free.
func TestGateThatOpensWakesThePump(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		release := make(chan struct{})
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			<-release
			return handler.Result{Outcome: handler.Terminated}
		}))
		synctest.Wait()
		r.gates.Observe(account, handler.AuthFailed, 0)
		time.Sleep(pauses[causeAuth].first + time.Second)
		asked := len(queue.demands())
		r.gates.Observe(account, handler.Terminated, 0)
		synctest.Wait()
		equal(t, "receives since the gate opened", len(queue.demands()[asked:]), 1)
		close(release)
		r.end()
	})
}
