package worker

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

// mute has receives of the first clients take credit and return nothing, as a link does that died without a word.
func mute(queue *scripted, clients int) {
	queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
		if op == "receive" && queue.clientsMade() <= clients {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
}

// Scorecard: F1, A15, R1.
func TestMuteLinkIsReplacedWithinAMinuteOfTheFirstMessage(t *testing.T) {
	t.Parallel()
	for name, idle := range map[string]time.Duration{"at once": 0, "long idle": 25 * time.Minute, "between two looks": lookEvery + lookEvery/2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted()
				mute(queue, 1)
				r := run(t, queue, always(handler.Terminated))
				time.Sleep(idle)
				queue.add(messages(1)...)
				time.Sleep(time.Minute)
				equal(t, "operations", queue.operations(), []string{"complete m0"})
				equal(t, "replacements, as stalled", [2]float64{r.metric(t, "client_replacements_total"), r.metric(t, "client_replacements_total", "stalled")}, [2]float64{1, 1})
				r.end()
			})
		})
	}
}

// A successor that is mute too is replaced too, later each time, for it may be that another receiver holds the message.
func TestEachReplacementInVainMakesTheNextOneLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		mute(queue, 4)
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(3 * time.Minute)
		equal(t, "replacements in three minutes", r.metric(t, "client_replacements_total", "stalled"), 2.0)
		time.Sleep(22 * time.Minute)
		equal(t, "operations", queue.operations(), []string{"complete m0"})
		if made := r.metric(t, "client_replacements_total", "stalled"); made != 4 {
			t.Errorf("%v replacements", made)
		}
		r.end()
	})
}

func TestMessagesThatCannotBeReceivedYetConvictNoLink(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]azservicebus.MessageState{"scheduled": azservicebus.MessageStateScheduled, "deferred": azservicebus.MessageStateDeferred} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(250)...)
				for _, m := range queue.active {
					m.State = state
				}
				mute(queue, 100)
				r := run(t, queue, always(handler.Terminated))
				time.Sleep(25 * time.Minute)
				equal(t, "clients", queue.clientsMade(), 1)
				// Behind all of those one waits that can be received.
				queue.add(message("x", 1000))
				time.Sleep(2 * time.Minute)
				equal(t, "replacements", r.metric(t, "client_replacements_total", "stalled"), 1.0)
				r.end()
			})
		})
	}
}

// Other replicas take what waits, so no message is seen twice, and this one gets nothing: only how many wait tells of it. What
// the others hold looks the same, so a few mean nothing.
//
// Scorecard: A15, R1.
func TestLinkThatGetsNothingOfABacklogIsReplaced(t *testing.T) {
	t.Parallel()
	for waiting, want := range map[int]float64{2 * crowd: 1, crowd - 1: 0} {
		t.Run(strconv.Itoa(waiting)+" messages", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(waiting)...)
				mute(queue, 1)
				r := run(t, queue, always(handler.Terminated))
				for range 6 {
					time.Sleep(lookEvery / 2)
					if queue.clientsMade() > 1 {
						break
					}
					queue.mu.Lock() // others take all of them, and as many arrive
					for _, m := range queue.active {
						*m.SequenceNumber += int64(waiting)
					}
					queue.mu.Unlock()
				}
				equal(t, "replacements, as stalled", r.metric(t, "client_replacements_total", "stalled"), want)
				if finished := len(queue.operations()); want > 0 && finished != waiting {
					t.Errorf("%d messages finished; want %d", finished, waiting)
				}
				r.end()
			})
		})
	}
}

// What another replica holds for as long as a call takes looks like a message that waits, and is gone by the second look.
func TestMessageThatIsGoneByTheSecondLookConvictsNoLink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		mute(queue, 100)
		r := run(t, queue, always(handler.Terminated))
		for i := range 20 {
			queue.add(message("held", int64(i+1)))
			time.Sleep(lookEvery)
			queue.mu.Lock()
			queue.active = slices.Delete(queue.active, 0, 1)
			queue.mu.Unlock()
			time.Sleep(time.Second)
		}
		equal(t, "clients", queue.clientsMade(), 1)
		r.end()
	})
}

// Scorecard: A15.
func TestLinkThatIsSilentForHalfAnHourIsReplacedAnyway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, newScripted(), always(handler.Terminated))
		time.Sleep(29 * time.Minute)
		equal(t, "replacements in 29 minutes", r.metric(t, "client_replacements_total"), 0.0)
		time.Sleep(36 * time.Minute)
		equal(t, "replacements in an hour and five minutes", [2]float64{r.metric(t, "client_replacements_total"), r.metric(t, "client_replacements_total", "idle")}, [2]float64{2, 2})
		equal(t, "warnings", r.logs.FilterMessageSnippet("failed").Len(), 0)
		r.end()
	})
}

// Without credit out nothing can arrive: that time is no silence. And what is seen waiting later may be our own.
func TestOwnMessagesConvictNoLink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(5)...)
		var looks atomic.Int32
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "peek" {
				looks.Add(1)
			}
			return nil
		}
		r := newRig(queue, decisions(func(context.Context, handler.Message) handler.Result {
			time.Sleep(5 * time.Minute)
			return handler.Result{Outcome: handler.Terminated}
		}))
		r.demand.look = func() { looks.Add(-1) } // those are about how much waits
		r.start(t)
		time.Sleep(5*time.Minute - time.Second) // at the full minute slots fall free and looks for the demand are under way
		equal(t, "looks while every slot is taken", looks.Load(), 0)
		time.Sleep(6*time.Minute + time.Second)
		equal(t, "settled, clients", [2]int{len(queue.operations()), queue.clientsMade()}, [2]int{5, 1})
		r.end()
	})
}

// The SDK panics over some messages wherever it meets them; a look that ends so has found the broker alive.
func TestLookThatPanicsEndsNoClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
			if op == "peek" {
				panic("DeadLetterReason is an int")
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(20 * time.Minute)
		equal(t, "clients", queue.clientsMade(), 1)
		r.end()
	})
}

// A receive that is over before its time, and says that its time is over, would be repeated without a pause.
func TestReceiveThatEndsEarlyIsAFailure(t *testing.T) {
	t.Parallel()
	for _, err := range []error{context.Canceled, context.DeadlineExceeded} {
		t.Run(err.Error(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(1)...)
				var receives atomic.Int32
				queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op == "receive" && receives.Add(1) <= 3 {
						return err
					}
					return nil
				}
				r := run(t, queue, always(handler.Terminated))
				time.Sleep(time.Minute)
				equal(t, "settled, clients", [2]int{len(queue.operations()), queue.clientsMade()}, [2]int{1, 4})
				if why := r.logs.FilterMessageSnippet("connection to Service Bus failed").All(); len(why) != 3 {
					t.Errorf("%d failures in the log", len(why))
				}
				r.end()
			})
		})
	}
}
