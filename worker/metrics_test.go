package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"batchterminator/handler"
)

// wantMetrics compares series by name with what they are to be; a name may be followed by the values of labels.
func (r *rig) wantMetrics(t *testing.T, when string, want map[[2]string]float64) {
	t.Helper()
	for series, value := range want {
		var labels []string
		if series[1] != "" {
			labels = append(labels, series[1])
		}
		if got := r.metric(t, series[0], labels...); got != value {
			t.Errorf("%s: %s{%s} is %v, want %v", when, series[0], series[1], got, value)
		}
	}
}

func TestHeldMessagesAreCountedByWhatTheyWaitFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(7)...)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "complete" {
				time.Sleep(time.Second)
			}
			return nil
		}
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(10 * time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}), func(c *Config) { c.Concurrency, c.ReadyBuffer = 4, 1 })
		held := func(waiting, working, settling float64) map[[2]string]float64 {
			return map[[2]string]float64{{"messages_held", "waiting"}: waiting, {"messages_held", "working"}: working,
				{"messages_held", "settling"}: settling, {"in_flight", ""}: working}
		}
		synctest.Wait()
		r.wantMetrics(t, "four at work, one ready", held(1, 4, 0))
		time.Sleep(10*time.Second + 100*time.Millisecond)
		r.wantMetrics(t, "four in settlement, the rest at work", held(0, 3, 4))
		time.Sleep(time.Minute)
		r.wantMetrics(t, "all done", held(0, 0, 0))
		r.end()
	})
}

func TestSettlementsAreTimedByKind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "complete" {
				time.Sleep(700 * time.Millisecond)
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(time.Second)
		r.wantMetrics(t, "settled", map[[2]string]float64{{"settlement_duration_seconds", "complete"}: 1, {"settlement_duration_seconds", "redeliver"}: 0})
		if sum := r.sum(t, "settlement_duration_seconds"); sum != .7 {
			t.Errorf("it took %v s, want 0.7", sum)
		}
		if at := r.metric(t, "last_finished_timestamp_seconds"); at != float64(time.Now().Add(-300*time.Millisecond).Unix())+.7 {
			t.Errorf("finished at %v, now it is %v", at, time.Now().Unix())
		}
		r.end()
	})
}

// A renewal that Service Bus grants at the third try is late since the first was due.
func TestRenewalsAreLateFromWhenTheyWereDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		tries := 0
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "renew" {
				if tries++; tries < 3 {
					return errors.New("not now")
				}
				time.Sleep(time.Second / 2)
			}
			return nil
		}
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(40 * time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(time.Minute)
		r.wantMetrics(t, "renewed", map[[2]string]float64{{"lock_renewal_lateness_seconds", ""}: 1, {"servicebus_operations_total", "renew"}: 3})
		if late, want := r.sum(t, "lock_renewal_lateness_seconds"), (2*renewAgain + time.Second/2).Seconds(); late != want {
			t.Errorf("%v s late, want %v", late, want)
		}
		r.end()
	})
}

// What Service Bus bills: each message received, each try to settle it, each copy, each probe and look.
func TestServiceBusOperationsAreCountedWithTheirTries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(4)...)
		failed := false
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "dead-letter refused" && !failed {
				failed = true
				time.Sleep(100 * time.Millisecond) // the end of the client is none of the others' business
				return errors.New("not now")
			}
			return nil
		}
		outcomes := map[string]handler.Outcome{"m0": handler.Terminated, "m1": handler.Throttled, "m2": handler.Refused, "m3": handler.Panic}
		r := run(t, queue, decisions(func(_ context.Context, m handler.Message) handler.Result {
			return handler.Result{Outcome: outcomes[m.RequestIdentity], Request: handler.Request{Endpoint: account}}
		}))
		time.Sleep(time.Second)
		operations := func(receive, complete, deadLetter, abandon, schedule, probe float64) map[[2]string]float64 {
			want := map[[2]string]float64{}
			for operation, n := range map[string]float64{"receive": receive, "complete": complete, "dead-letter": deadLetter, "abandon": abandon, "schedule": schedule, "probe": probe} {
				want[[2]string{"servicebus_operations_total", operation}] = n
			}
			return want
		}
		// The failed try cost a client, and so a probe.
		r.wantMetrics(t, "at work", operations(4, 2, 2, 1, 1, 2))
		time.Sleep(time.Minute)
		r.wantMetrics(t, "a silent minute later, with a look every 20 s", operations(4, 2, 2, 1, 1, 4))
		r.end()
	})
}

func TestThrottlingOfServiceBusIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		busy := 0
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "probe" && busy < 3 {
				busy++
				return &amqp.Error{Condition: conditionServerBusy}
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(5 * time.Minute)
		r.wantMetrics(t, "after three refusals", map[[2]string]float64{{"servicebus_throttled_total", ""}: 3})
		r.end()
	})
}

func TestPanicsAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		receives := 0
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "receive" {
				if receives++; receives == 1 {
					panic("in the SDK")
				}
			}
			return nil
		}
		handled := 0
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			if handled++; handled == 1 {
				panic("in the handler")
			}
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(time.Minute)
		r.wantMetrics(t, "after one of each", map[[2]string]float64{{"panics_total", ""}: 2})
		r.end()
	})
}

func TestTheDrainIsTimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(10 * time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(4 * time.Second)
		r.wantMetrics(t, "before", map[[2]string]float64{{"drain_duration_seconds", ""}: 0})
		report := r.end()
		r.wantMetrics(t, "after", map[[2]string]float64{{"drain_duration_seconds", ""}: report.Took.Seconds()})
		if report.Took < 6*time.Second {
			t.Errorf("drained in %v", report.Took)
		}
	})
}

// sum returns the sum of a histogram's observations, over its labels.
func (r *rig) sum(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "batch_terminator_"+name {
			for _, m := range family.GetMetric() {
				sum += m.GetHistogram().GetSampleSum()
			}
		}
	}
	return sum
}

func TestARefusedIdentityIsToldUntilItIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		granted := atomic.Bool{}
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "probe" && !granted.Load() {
				return denied()
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(time.Minute)
		if s := r.Status(); s.Attached || !s.Refused {
			t.Errorf("while refused: %+v", s)
		}
		granted.Store(true)
		time.Sleep(time.Minute)
		if s := r.Status(); !s.Attached || s.Refused {
			t.Errorf("once granted: %+v", s)
		}
		r.end()
	})
}
