package worker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"batchterminator/handler"
)

// ended returns the report of a worker that ends by itself within the time.
func (r *rig) ended(t *testing.T, within time.Duration) Report {
	t.Helper()
	select {
	case report := <-r.report:
		return report
	case <-time.After(within):
		t.Error("the worker did not end by itself")
		return r.end()
	}
}

func wantStuck(t *testing.T, report Report, why string) {
	t.Helper()
	if !errors.Is(report.Stuck, ErrStuck) || !strings.Contains(report.Stuck.Error(), why) {
		t.Errorf("ended with %v; want it to say %q", report.Stuck, why)
	}
}

// Scorecard: S9.
func TestConnectingThatNeverReturnsEndsTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		forever := make(chan struct{})
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "dial" && queue.clientsMade() == 2 {
				<-forever
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		synctest.Wait()
		c, _ := r.clients.get(t.Context())
		c.fail("receive", errLinkFailed)
		start := time.Now()
		wantStuck(t, r.ended(t, 5*time.Minute), "connecting to Service Bus")
		if took := time.Since(start); took < lifeless || took > lifeless+checkEvery+r.config.Grace {
			t.Errorf("ended after %v", took)
		}
		close(forever)
		time.Sleep(time.Minute)
	})
}

// The receive loop is held up in the middle of its work, here by a log that takes no more.
func TestReceiveLoopThatHangsEndsTheWorkerAndDrainsTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(2)...)
		forever := make(chan struct{})
		var receives atomic.Int32
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "receive" && receives.Add(1) == 3 {
				panic("DeadLetterReason is an int")
			}
			return nil
		}
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(lifeless + checkEvery + time.Second)
			return handler.Result{Outcome: handler.Terminated}
		}), func(c *Config) {
			c.Log = c.Log.WithOptions(zap.Hooks(func(e zapcore.Entry) error {
				if strings.HasPrefix(e.Message, "the SDK panicked") {
					<-forever
				}
				return nil
			}))
		})
		report := r.ended(t, 5*time.Minute)
		wantStuck(t, report, "the receive loop")
		equal(t, "finished, handed back, left", [3]int{report.Finished, report.HandedBack, report.Left}, [3]int{2, 0, 0})
		equal(t, "operations", len(queue.operations()), 2)
		close(forever)
		time.Sleep(time.Minute)
	})
}

// Each new client is wedged like the one before, and each hung call keeps its goroutines: that has an end.
func TestCallsThatNeverReturnEndTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		forever := make(chan struct{})
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "receive" {
				<-forever
				return errors.New("too late")
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		wantStuck(t, r.ended(t, time.Hour), "have not returned")
		if n := queue.clientsMade(); n < manyStuck || n > 2*manyStuck {
			t.Errorf("%d clients; want about %d", n, manyStuck)
		}
		close(forever)
		time.Sleep(time.Minute)
	})
}

// Nothing that a restart does not cure ends the worker.
func TestUnreachableBrokerNeverEndsTheWorker(t *testing.T) {
	t.Parallel()
	for op, answer := range map[string]error{
		"dial":    errors.New("no such host"),
		"probe":   denied(),
		"receive": &azservicebus.Error{Code: azservicebus.CodeNotFound},
		"open":    errors.New("entity disabled"),
		"hang":    context.DeadlineExceeded,
		"linger":  context.DeadlineExceeded,
	} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted()
				queue.before = func(ctx context.Context, now string, _ *azservicebus.ReceivedMessage) error {
					if overrun := map[string]time.Duration{"hang": time.Minute, "linger": 5 * time.Minute}[op]; overrun > 0 && now == "probe" {
						<-ctx.Done()
						time.Sleep(overrun) // a minute is the longest one known
						return answer
					}
					if now == op {
						return answer
					}
					return nil
				}
				r := run(t, queue, always(handler.Terminated))
				time.Sleep(12 * time.Hour)
				equal(t, "draining", r.Status().Draining, false)
				equal(t, "report", r.end().Stuck, nil)
				time.Sleep(6 * time.Minute)
			})
		})
	}
}

// Long waits for others are none of the loop's: a closed gate, handlers that are all at work, an empty queue.
func TestLongWaitsNeverEndTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(4)...)
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(8 * time.Minute)
			return handler.Result{Outcome: handler.Terminated}
		}))
		time.Sleep(9 * time.Minute)
		for range 60 {
			r.gates.Observe(account, handler.AuthFailed, 0)
			time.Sleep(time.Minute)
		}
		r.gates.Observe(account, handler.Terminated, 0)
		time.Sleep(time.Hour)
		equal(t, "operations", len(queue.operations()), 4)
		equal(t, "stuck", r.end().Stuck, nil)
	})
}

// spins is a processor clock that runs at this share of a core.
func spins(r *rig, share float64, from time.Duration) {
	start := time.Now()
	r.watchdog.cpu = func() (time.Duration, bool) {
		return time.Duration(share * float64(max(time.Since(start)-from, 0))), true
	}
}

// Scorecard: S9.
func TestProcessorThatIsBusyWithNothingEndsTheWorker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		share float64
		core  time.Duration
		busy  bool // with messages, all the time
		ends  bool
	}{
		"a core":                     {1, time.Second, false, true},
		"both cores":                 {2, time.Second, false, true},
		"all of half a core":         {.5, time.Second / 2, false, true},
		"half a core of one":         {.5, time.Second, false, false},
		"an idle worker's":           {.01, time.Second / 4, false, false},
		"a core, with work to do":    {1, time.Second, true, false},
		"both cores, and deliveries": {2, time.Second, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted()
				r := newRig(queue, always(handler.Terminated))
				r.watchdog.core = c.core
				spins(r, c.share, time.Minute)
				r.start(t)
				for i := range 30 {
					if c.busy {
						queue.add(message("m", int64(i+1)))
					}
					time.Sleep(checkEvery / 2)
				}
				select {
				case report := <-r.report:
					if wantStuck(t, report, "processor"); !c.ends {
						t.Error("ended")
					}
				default:
					if r.end(); c.ends {
						t.Error("did not end")
					}
				}
			})
		})
	}
}

// A liveness probe sees what is stuck, before and after the watchdog has: and nothing while all is well.
func TestTheStatusTellsThatTheWorkerIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		forever := make(chan struct{})
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "dial" && queue.clientsMade() == 2 {
				<-forever
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(20*time.Minute + 5*time.Second)
		if err := r.Status().Stuck; err != nil {
			t.Errorf("while idle: %v", err)
		}
		c, _ := r.clients.get(t.Context())
		c.fail("receive", errLinkFailed)
		time.Sleep(lifeless - time.Second)
		if err := r.Status().Stuck; err != nil {
			t.Errorf("before its time: %v", err)
		}
		time.Sleep(2 * time.Second) // the watchdog looks only every ten
		if err := r.Status().Stuck; !errors.Is(err, ErrStuck) || r.Status().Draining {
			t.Errorf("stuck: %v, draining %v", err, r.Status().Draining)
		}
		wantStuck(t, r.ended(t, time.Minute), "connecting")
		if err := r.Status().Stuck; !errors.Is(err, ErrStuck) {
			t.Errorf("after the end: %v", err)
		}
		close(forever)
		time.Sleep(time.Minute)
	})
}

func TestAWorkerThatHasEndedIsNotStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, newScripted(), always(handler.Terminated))
		time.Sleep(time.Minute)
		r.end()
		time.Sleep(time.Hour)
		if err := r.Status().Stuck; err != nil {
			t.Error(err)
		}
	})
}
