package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

func TestDrainFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(4)...)
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(10 * time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(time.Second)
		queue.add(message("late", 99))
		report := r.end()
		equal(t, "report", report, Report{Finished: 4, Took: 9 * time.Second, Spare: 19 * time.Second})
		equal(t, "deliveries of what came late", queue.active[0].DeliveryCount, uint32(0))
	})
}

// P5, P8: a straggler costs no delivery count and does not outlast the grace period.
func TestDrainHandsStragglersBackWithinTheGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(6)...)
		r := run(t, queue, decisions(func(ctx context.Context, _ handler.Message) handler.Result {
			<-ctx.Done()
			return handler.Result{Outcome: handler.Draining, Request: handler.Request{Endpoint: account}}
		}), func(c *Config) { c.Concurrency, c.ReadyBuffer = 4, 1 })
		time.Sleep(time.Second)
		report := r.end()
		if report.HandedBack != 5 || report.Left != 0 || report.Took > r.config.Grace-exitReserve {
			t.Errorf("report %+v; want 5 handed back (4 at work, 1 ready) within %v", report, r.config.Grace-exitReserve)
		}
		for _, c := range queue.copies() {
			if _, delayed := c.MessageAnnotations[scheduledEnqueueTime]; delayed {
				t.Error("a copy of a drained message waits; it must be there for the next worker at once")
			}
		}
		for result, want := range map[string]float64{"finished": 0, "handed_back": 5, "left": 0} {
			equal(t, "metric of "+result, r.metric(t, "drain_deliveries", result), want)
		}
		equal(t, "copies counted", r.metric(t, "redeliveries_scheduled_total", "draining"), 5.0)
		equal(t, "abandoned", strings.Contains(strings.Join(queue.operations(), " "), "abandon"), false)
	})
}

func TestDrainEndsInTimeWhenNothingAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(4)...)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "send" || op == "complete" {
				time.Sleep(20 * time.Second)
				return errors.New("too late")
			}
			return nil
		}
		r := run(t, queue, decisions(func(ctx context.Context, _ handler.Message) handler.Result {
			<-ctx.Done()
			return handler.Result{Outcome: handler.Draining, Request: handler.Request{Endpoint: account}}
		}))
		time.Sleep(time.Second)
		report := r.end()
		if report.Left != 4 || report.Took > r.config.Grace-exitReserve {
			t.Errorf("report %+v; want 4 left to their locks within %v", report, r.config.Grace-exitReserve)
		}
		time.Sleep(time.Hour) // the scripted broker's late answers
	})
}

// P8: neither the settlements that nobody answers nor a farewell that hangs may cost more than the grace period, and the
// last line comes last.
func TestDrainEndsInTimeWhenTheFarewellHangsToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(4)...)
		queue.close = func(context.Context) error { time.Sleep(time.Minute); return nil }
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "send" {
				time.Sleep(20 * time.Second)
			}
			return nil
		}
		r := run(t, queue, straggler)
		time.Sleep(time.Second)
		start := time.Now()
		report := r.end()
		if took := time.Since(start); report.Left != 4 || took != report.Took || took > r.config.Grace-exitReserve {
			t.Errorf("report %+v after %v; want 4 left to their locks within %v", report, took, r.config.Grace-exitReserve)
		}
		time.Sleep(time.Hour) // the late answers
		lines := r.logs.All()
		equal(t, "last line", lines[len(lines)-1].Message, "drained")
		equal(t, "outcomes", len(r.outcomes()), 4)
	})
}

// The receive overruns its context by a second, the most the guard allows: that second belongs to the drain.
func TestDrainCountsFromTheSignal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "receive" {
				time.Sleep(time.Minute)
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(time.Second)
		start := time.Now()
		r.stop()
		synctest.Wait()
		equal(t, "draining at the signal", r.Status().Draining, true)
		report := <-r.report
		equal(t, "took", report.Took, time.Since(start))
		time.Sleep(time.Hour)
	})
}

// A delivery that ends while the client closes is counted as what it ended as, and not as left behind too.
func TestDrainCountsEachDeliveryOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(4)...)
		queue.close = func(context.Context) error { time.Sleep(time.Minute); return nil }
		queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "send" || op == "complete" {
				time.Sleep(1600 * time.Millisecond) // the two together end just after the settle reserve
			}
			return nil
		}
		r := run(t, queue, straggler)
		time.Sleep(time.Second)
		report := r.end()
		if n := report.Finished + report.HandedBack + report.Left; n != 4 {
			t.Errorf("report %+v adds up to %d; want 4", report, n)
		}
		time.Sleep(time.Hour)
	})
}

// straggler works until it is interrupted.
var straggler = decisions(func(ctx context.Context, _ handler.Message) handler.Result {
	<-ctx.Done()
	return handler.Result{Outcome: handler.Draining, Request: handler.Request{Endpoint: account}}
})

// What does not even heed its interruption is left to its lock, and said so.
func TestDrainLeavesWhatDoesNotHeedTheInterruption(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, newScripted(messages(3)...), decisions(func(ctx context.Context, m handler.Message) handler.Result {
			switch m.RequestIdentity {
			case "m0":
				time.Sleep(time.Hour)
			case "m1":
				<-ctx.Done()
				panic("interrupted in the middle")
			}
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(time.Second)
		equal(t, "in flight before", r.metric(t, "in_flight"), 2.0)
		equal(t, "report", r.end(), Report{HandedBack: 1, Left: 1, Took: r.config.Grace - exitReserve})
		time.Sleep(2 * time.Hour)
		equal(t, "in flight in the end", r.metric(t, "in_flight"), 0.0)
	})
}
