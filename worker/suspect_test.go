package worker

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"batchterminator/handler"
)

// back is a message whose earlier deliveries, this many, nobody recorded.
func back(id string, sequence int64, lost uint32, properties map[string]any) *azservicebus.ReceivedMessage {
	m := message(id, sequence)
	m.DeliveryCount, m.ApplicationProperties = lost, properties
	return m
}

func apartFor(n int) map[string]any { return map[string]any{propSuspect: int64(n)} }

// P4: only a delivery that ran alone counts for more than running alone, and only where the process is younger than it.
func TestEvidenceOfUnrecordedDeliveries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		queue.before = func(context.Context, string, *azservicebus.ReceivedMessage) error { return denied() }
		r := run(t, queue, always(handler.Terminated))
		for name, c := range map[string]struct {
			says     any
			lost     uint32
			enqueued time.Duration // after the start of the process
			want     int
		}{
			"nothing":                          {nil, 0, -1, 0},
			"one":                              {nil, 1, -1, 1},
			"many among others":                {nil, 9, -1, aloneAt},
			"many after one":                   {int64(1), 9, -1, aloneAt},
			"alone, seen by a new process":     {int64(2), 2, -1, 4},
			"alone, seen by an old process":    {int64(2), 9, 1, 2},
			"alone, started with the message":  {int64(2), 9, 0, 2},
			"forged: negative":                 {int64(-7), 1, -1, 1},
			"forged: not a number":             {"9", 1, -1, 1},
			"forged: of another width":         {int32(9), 1, -1, 1},
			"forged: so far nothing is proved": {int64(100), 0, -1, 100},
		} {
			m := back("a", 1, c.lost+1, map[string]any{propSuspect: c.says})
			*m.EnqueuedTime = r.born.Add(c.enqueued)
			d := newDelivery(nil, m)
			newPast().tell(d, nil)
			r.weigh(d)
			equal(t, name, d.suspected, c.want)
		}
		r.end()
	})
}

// Whatever a sender writes: without an unrecorded delivery nothing is dead-lettered as a suspect.
func TestForgedSuspicionDeadLettersNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, newScripted(back("a", 1, 0, apartFor(100))), always(handler.Terminated))
		time.Sleep(time.Minute)
		equal(t, "operations", r.queue.operations(), []string{"complete a"})
		r.end()
	})
}

// A message is exchanged for a copy before it runs again, and also before the queue's limit ends it.
func TestMessageThatWasThereAtDeathsIsSetApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lost  uint32
		limit int
		want  any // what the copy says; nil: there is none
	}{"one death": {1, 10, nil}, "two deaths": {2, 10, int64(2)}, "many deaths": {7, 10, int64(2)}, "one death, at the queue's limit": {1, 2, int64(1)}} {
		synctest.Test(t, func(t *testing.T) {
			queue := newScripted(back("a", 1, c.lost, map[string]any{propAccounted: int64(0), "tenant": "blue"}))
			r := run(t, queue, always(handler.Terminated), func(config *Config) { config.MaxDeliveryCount = c.limit })
			time.Sleep(time.Minute)
			if c.want == nil {
				equal(t, name, queue.operations(), []string{"complete a"})
				r.end()
				return
			}
			equal(t, name, queue.operations(), []string{"copy a", "complete a"})
			equal(t, name+": outcomes", r.outcomes(), []string{"isolated"})
			properties := queue.copies()[0].ApplicationProperties
			_, accounted := properties[propAccounted]
			equal(t, name+": properties", []any{properties[propSuspect], properties["tenant"], accounted}, []any{c.want, "blue", false})
			r.end()
		})
	}
}

// Nothing else is under way while a message that is set apart runs: what came with it ends first, another like it goes
// back, and intake stops.
func TestMessageThatIsSetApartRunsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted()
		var mu sync.Mutex
		var order []string // under mu
		r := run(t, queue, decisions(func(_ context.Context, m handler.Message) handler.Result {
			time.Sleep(3 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			order = append(order, m.RequestIdentity)
			return handler.Result{Outcome: handler.Terminated, Attempts: 1}
		}))
		c, err := r.clients.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		queue.mu.Lock()
		queue.active = []*azservicebus.ReceivedMessage{message("m1", 1), back("s1", 2, 0, apartFor(2)), message("m2", 3), back("s2", 4, 0, apartFor(2))}
		queue.mu.Unlock()
		r.admit(c, queue.take(4))                                 // received together
		time.Sleep(pollLimit + quietLimit + 100*time.Millisecond) // s1 is running, and what a receive had asked for by then is no longer waited for
		queue.add(message("m3", 5))
		time.Sleep(500 * time.Millisecond)
		got := queue.operations()
		slices.Sort(got)
		equal(t, "while it runs", got, []string{"complete m1", "complete m2", "complete s2", "copy s2"})
		queue.mu.Lock()
		equal(t, "locked while it runs", len(queue.locked), 1)
		queue.mu.Unlock()
		time.Sleep(6 * time.Second)
		mu.Lock()
		slices.Sort(order[:2])
		equal(t, "order", order, []string{"m1", "m2", "s1", "m3"})
		mu.Unlock()
		equal(t, "copies say", []any{queue.copies()[0].ApplicationProperties[propSuspect]}, []any{int64(2)})
		r.end()
	})
}

// One that would have to wait for long goes back, so that a death meanwhile says nothing about it.
func TestMessageThatCannotBeAloneSoonGoesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(message("slow", 1), back("s", 2, 0, apartFor(3)))
		r := run(t, queue, decisions(func(_ context.Context, m handler.Message) handler.Result {
			if m.RequestIdentity == "slow" {
				time.Sleep(time.Minute)
			}
			return handler.Result{Outcome: handler.Terminated, Attempts: 1}
		}))
		time.Sleep(clearing + time.Second)
		equal(t, "operations", queue.operations(), []string{"copy s", "complete s"})
		equal(t, "the copy says", queue.copies()[0].ApplicationProperties[propSuspect], any(int64(3)))
		queue.add(message("next", 3))
		synctest.Wait()
		equal(t, "intake", queue.operations(), []string{"copy s", "complete s", "complete next"})
		time.Sleep(time.Minute)
		r.end()
	})
}

// The lane takes half of the time at most: a flood of suspects does not keep the others out.
func TestLaneRestsForAsLongAsItWasTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		woken := 0
		l := &lane{wake: func() { woken++ }}
		l.enter(2)
		alone := l.claim()
		equal(t, "claimed twice", l.claim() == nil, true)
		equal(t, "taken", l.taken(), true)
		time.Sleep(time.Second)
		select {
		case <-alone:
			t.Error("alone, with another under way")
		default:
		}
		l.leave(false)
		<-alone
		time.Sleep(4 * time.Second)
		l.leave(true)
		equal(t, "taken, woken", []any{l.taken(), woken}, []any{false, 1})
		l.enter(1)
		time.Sleep(5*time.Second - time.Nanosecond)
		equal(t, "claimed during the rest", l.claim() != nil, false)
		time.Sleep(time.Nanosecond)
		<-l.claim()
	})
}

// An attempt that the process survived clears the message; what ended before any does not.
func TestSurvivingAnAttemptClearsTheSuspicion(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]any{0: int64(2), 1: nil} {
		synctest.Test(t, func(t *testing.T) {
			queue := newScripted(back("s", 1, 0, apartFor(2)))
			r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
				return handler.Result{Outcome: handler.Throttled, Attempts: attempts, Request: handler.Request{Endpoint: account}}
			}))
			time.Sleep(time.Minute)
			equal(t, "the copy says", queue.copies()[0].ApplicationProperties[propSuspect], want)
			r.end()
		})
	}
}

// Without the right to send nothing is set apart: handed back it would come at once, until the queue's limit ended it.
func TestWithoutTheRightToSendNothingIsSuspected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		op      string
		lost    uint32
		refusal error
		want    []string
	}{
		"no right":             {"open", 9, denied(), []string{"complete a"}},
		"a queue that is full": {"send", 2, &amqp.Error{Condition: amqp.ErrCondResourceLimitExceeded}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			queue := newScripted(back("a", 1, c.lost, nil))
			queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
				if op == c.op {
					return c.refusal
				}
				return nil
			}
			r := run(t, queue, always(handler.Terminated))
			time.Sleep(time.Minute)
			equal(t, name, queue.operations(), c.want)
			r.end()
		})
	}
}
