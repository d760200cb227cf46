package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"batchterminator/handler"
)

// dials records when each connection was tried, and answers it with err.
func dials(queue *scripted, err error) func() []time.Duration {
	var mu sync.Mutex
	var at []time.Time
	queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
		if op != "dial" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		at = append(at, time.Now())
		return err
	}
	return func() (gaps []time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		for i := range at[1:] {
			gaps = append(gaps, at[i+1].Sub(at[i]))
		}
		return gaps
	}
}

func TestReconnectsWaitTwiceAsLongEachTimeUpToHalfAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		gaps := dials(queue, errors.New("refused"))
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(10 * time.Minute)
		bound := firstReconnect
		for i, gap := range gaps() {
			if gap < bound/2 || gap > bound {
				t.Errorf("wait %d was %v; want %v to %v", i, gap, bound/2, bound)
			}
			bound = min(2*bound, lastReconnect)
		}
		attached, err := r.Status().Attached, r.Status().Detached
		if attached || err == nil || err.Error() != "refused" {
			t.Errorf("attached %v, %v; want the reason", attached, err)
		}
		r.end()
	})
}

// A broker that let the worker in may have handed it messages. However long it was away before, it is dialled again in time
// for what they come to.
func TestReconnectAfterAShortLifeLeavesTimeToSettle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		back := time.Now().Add(20 * time.Minute)
		var cut, dialled time.Time // while the message is held, and after
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			switch {
			case op == "dial" && time.Now().Before(back):
				return errors.New("refused")
			case op == "complete" && cut.IsZero():
				cut = time.Now()
				return errors.New("cut")
			case op == "dial" && !cut.IsZero() && dialled.IsZero():
				dialled = time.Now()
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(30 * time.Minute)
		r.end()
		if wait := dialled.Sub(cut); cut.IsZero() || wait < 0 || wait > settleLimit/2 {
			t.Errorf("dialled again after %v; want at most %v", wait, settleLimit/2)
		}
		equal(t, "operations", queue.operations(), []string{"complete m0"})
	})
}

// While a message is held the broker is dialled often enough for its lock, however long it has refused.
func TestReconnectsComeInTimeForTheLocksHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		var refusing atomic.Bool
		var last time.Time // dial that was refused, by the owner of the clients
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op != "dial" || !refusing.Load() {
				return nil
			}
			if gap := time.Since(last); !last.IsZero() && gap > settleLimit/2 {
				t.Errorf("dialled again after %v", gap)
			}
			last = time.Now()
			return errors.New("refused")
		}
		r := run(t, queue, decisions(func(ctx context.Context, _ handler.Message) handler.Result {
			select {
			case <-time.After(2 * time.Minute):
				return handler.Result{Outcome: handler.Terminated}
			case <-ctx.Done():
				return handler.Result{Outcome: handler.LockLost}
			}
		}))
		time.Sleep(time.Second)
		refusing.Store(true)
		c, _ := r.clients.get(t.Context())
		c.fail("receive", errLinkFailed)
		time.Sleep(queue.lockFor - settleLimit - 2*time.Second)
		refusing.Store(false)
		time.Sleep(3 * time.Minute)
		r.end()
		equal(t, "outcomes", r.outcomes(), []string{"terminated"})
	})
}

// Service Bus asks for at least 2 seconds; jitter may add to it, never take from it.
func TestReconnectAfterThrottlingWaitsAtLeastTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		gaps := dials(queue, &amqp.Error{Condition: "com.microsoft:server-busy"})
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(time.Minute)
		r.end()
		if least := slices.Min(gaps()); least < throttledReconnect {
			t.Errorf("dialled again %v after throttling", least)
		}
	})
}

// A client that fails at once, again and again, is not a client that works: its successors wait longer and longer.
func TestClientThatDiesAtOnceDoesNotResetTheBackOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		op          string
		least, most int
	}{
		"each receive fails": {"receive", 8, 45},
		"each warm-up hangs": {"probe", 8, 30},
		"lives for a while":  {"receive later", 45, 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted()
				var dialled time.Time // by the owner of the clients, before anyone receives
				queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					switch {
					case op == "dial":
						dialled = time.Now()
					case op == "receive" && c.op == "receive later" && time.Since(dialled) > settledAfter:
						return errors.New("detached")
					case op == c.op && op == "probe":
						<-ctx.Done()
						return ctx.Err()
					case op == c.op:
						return errors.New("detached")
					}
					return nil
				}
				r := run(t, queue, always(handler.Terminated))
				time.Sleep(10 * time.Minute)
				if n := queue.clientsMade(); n < c.least || n > c.most {
					t.Errorf("%d clients in 10 minutes; want %d to %d", n, c.least, c.most)
				}
				r.end()
				time.Sleep(time.Minute)
			})
		})
	}
}

// A client is closed once, and not under its calls: a link closed under a call is rebuilt by it, and stays.
func TestRetiredClientIsClosedOnceItsCallsAreBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		var inside, closes, early atomic.Int32
		var closed time.Time // the first one
		queue.close = func(context.Context) error {
			if closes.Add(1) == 1 {
				closed = time.Now()
			}
			early.Add(inside.Load())
			return nil
		}
		queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			inside.Add(1)
			defer inside.Add(-1)
			if op == "complete" && queue.clientsMade() == 1 {
				<-ctx.Done()
				time.Sleep(guardMargin / 2)
				return errors.New("detached")
			}
			return nil
		}
		start := time.Now()
		r := run(t, queue, always(handler.Terminated))
		synctest.Wait()
		c, err := r.clients.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.fail("receive", errLinkFailed)
		time.Sleep(time.Minute)
		r.end()
		equal(t, "closed", closed.Sub(start), guardMargin/2)
		equal(t, "closes, calls inside at a close", [2]int32{closes.Load(), early.Load()}, [2]int32{int32(queue.clientsMade()), 0})
	})
}

func TestHintNamesWhatToLookAt(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"Azure Service Bus Data Receiver": denied(),
		"or the key is wrong":             &azservicebus.Error{Code: azservicebus.CodeUnauthorizedAccess},
		"no such queue":                   &azservicebus.Error{Code: azservicebus.CodeNotFound},
		"throttling":                      &amqp.Error{Condition: "com.microsoft:server-busy"},
		"is disabled; enable it":          &amqp.LinkError{RemoteErr: &amqp.Error{Condition: "com.microsoft:entity-disabled"}},
		"not the network":                 &amqp.LinkError{RemoteErr: &amqp.Error{Condition: "amqp:link:stolen"}},
		"host name":                       errors.New("lookup: no such host"),
	} {
		if got := hint(fmt.Errorf("attach: %w", err), receiverRole); !strings.Contains(got, want) {
			t.Errorf("hint of %v: %q; want it to name %q", err, got, want)
		}
	}
}

// A queue may be closed to senders while people empty it: it is received from all the same.
func TestQueueClosedToSendersIsStillReceivedFrom(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{"no right to send": denied(), "sending disabled": &amqp.LinkError{RemoteErr: &amqp.Error{Condition: "com.microsoft:entity-disabled"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(2)...)
				queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op == "open" {
						return refusal
					}
					return nil
				}
				r := run(t, queue, always(handler.Terminated))
				time.Sleep(time.Minute)
				equal(t, "settled", len(queue.operations()), 2)
				equal(t, "clients", queue.clientsMade(), 1)
				equal(t, "warnings", r.logs.FilterMessageSnippet("Azure Service Bus Data Sender").Len(), 1)
				r.end()
			})
		})
	}
}

// One refusal is not for ever: it may have been a slip of the broker, and rights are granted while a worker runs.
func TestRightToSendIsAskedForAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		granted := time.Now().Add(90 * time.Second)
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "open" && time.Now().Before(granted) {
				return denied()
			}
			return nil
		}
		r := run(t, queue, always(handler.JobDisabled))
		time.Sleep(time.Until(granted) + sendAgain)
		queue.add(message("m", 1))
		time.Sleep(time.Second)
		r.end()
		equal(t, "operations", queue.operations(), []string{"copy m", "complete m"})
		equal(t, "clients", queue.clientsMade(), 1)
	})
}

// The end of a client that was already replaced takes nothing away.
func TestLateNewsOfAnOldClientLeavesItsSuccessorAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, newScripted(), always(handler.Terminated))
		synctest.Wait()
		old, _ := r.clients.get(t.Context())
		old.fail("receive", errLinkFailed)
		old.fail("settle", errHung)
		time.Sleep(time.Second)
		r.clients.withdraw(old)
		fresh, err := r.clients.get(t.Context())
		if err != nil || fresh == old {
			t.Errorf("client %v, %v; want the successor", fresh, err)
		}
		equal(t, "replacements", [2]float64{r.metric(t, "client_replacements_total"), r.metric(t, "client_replacements_total", "receive")}, [2]float64{1, 1})
		if _, err := do(t.Context(), old, time.Second, func(context.Context) (int, error) { return 1, nil }); !errors.Is(err, errReplaced) {
			t.Errorf("a call on the old client: %v; want it refused", err)
		}
		r.end()
	})
}
