package worker

// The real SDK and the embedded broker, where a test has to reach into the worker.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"batchterminator/handler"
	"batchterminator/metrics"
	"batchterminator/worker/servicebustest"
)

const entity = "requests"

// onBroker is a worker of the real SDK that does not run yet, and the queue that it works on.
func onBroker(t *testing.T, h Handler, bus *servicebustest.Server, adjust ...func(*Config)) *Worker {
	t.Helper()
	config := Defaults()
	config.Metrics, config.Log, config.Handler = metrics.New(prometheus.NewRegistry(), "test", []string{account}), zap.NewNop(), h
	config.Gates = NewGates([]string{account}, 0, config.Metrics, config.Log)
	config.ServiceBus = ServiceBus{ConnectionString: bus.ConnectionString(), Queue: entity, Dial: bus.Dial}
	for _, change := range adjust {
		change(&config)
	}
	w, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func startBroker(t *testing.T) (*servicebustest.Server, *servicebustest.Queue) {
	t.Helper()
	bus, err := servicebustest.Start(servicebustest.WithQueue(entity, servicebustest.QueueConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
	})
	return bus, bus.Queue(entity)
}

// endsOnce checks that each message was completed, by its first delivery that was not given back.
func endsOnce(t *testing.T, queue *servicebustest.Queue, want int) {
	t.Helper()
	if c := queue.Counts(); c.Completed != want || c.Accepted != want {
		t.Errorf("%+v; want %d completed", c, want)
	}
	burned := 0
	for _, m := range queue.Ledger() {
		for _, e := range m.Events {
			if e.Kind == servicebustest.EventLockExpired || e.Kind == servicebustest.EventAbandoned {
				burned++
			}
		}
	}
	equal(t, "burned deliveries", burned, 0)
}

// Scorecard: F9, R22.
// P5: what is on its way to a client that is given up for another reason than its link must not be left locked.
func TestReplacedClientLeavesNoMessageLocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus, queue := startBroker(t)
		w := onBroker(t, always(handler.Terminated), bus)
		ctx, stop := context.WithCancel(t.Context())
		report := make(chan Report, 1)
		go func() { report <- w.Run(ctx) }()
		sent := 0
		send := func() {
			if _, err := queue.Send(servicebustest.Message{ID: fmt.Sprint(sent), Body: []byte("{}")}); err != nil {
				t.Error(err)
			}
			sent++
		}
		for range 200 {
			c, err := w.clients.get(ctx)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(settledAfter + time.Duration(rand.Int64N(int64(2*time.Second)))) // a client that lived so long has a successor at once
			send()
			c.fail("settle", errors.New("a settlement went unanswered"))
			send()
			time.Sleep(time.Millisecond)
			send()
		}
		time.Sleep(5 * time.Minute)
		endsOnce(t, queue, sent)
		equal(t, "connections", bus.Connections(), 1)
		stop()
		<-report
	})
}

// Scorecard: R3.
// P5: a receive that is cut short may have been given messages at that very moment. They come back from it, or go back.
func TestReceivesCutShortAtAnyMomentLeaveNoMessageLocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const cuts = 10_000
		bus, queue := startBroker(t)
		w := onBroker(t, always(handler.Terminated), bus)
		var c *client
		renew := func() { // what was cut short has been taken in or given back: nothing is locked for the old one
			if c != nil {
				c.fail("", context.Canceled)
				if err := c.close(t.Context()); err != nil {
					t.Error(err)
				}
			}
			conn, err := w.config.ServiceBus.connect()
			if err != nil {
				t.Fatal(err)
			}
			c = newClient(conn, &w.clients.stuck, w.clients.count)
			if err := c.probe(t.Context(), warmLimit); err != nil {
				t.Fatal(err)
			}
		}
		renew()
		moment := func() { time.Sleep(time.Duration(rand.IntN(4)) * time.Microsecond) }
		sender, stop := make(chan int), make(chan struct{})
		go func() {
			for sent := 0; ; sent++ {
				select {
				case <-stop:
					sender <- sent
					return
				default:
				}
				if _, err := queue.Send(servicebustest.Message{ID: fmt.Sprint(sent), Body: []byte("{}")}); err != nil {
					t.Error(err)
				}
				moment()
				if queue.Counts().Active > 20 { // taking credit back lasts for thousands of these moments
					time.Sleep(handedOver)
				}
			}
		}()
		receive := func(limit time.Duration, cut <-chan struct{}) {
			n := 1 + rand.IntN(8)
			if c.lend(n); c.ctx.Err() != nil {
				equal(t, "why the client ended", c.causeOf(), "idle")
				renew()
			}
			msgs, err := w.ask(t.Context(), c, n, limit, cut)
			if err != nil && !idle(err) {
				t.Fatal(err)
			}
			for _, m := range msgs {
				if err := c.receiver.CompleteMessage(t.Context(), m, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range cuts {
			cut := make(chan struct{})
			go func() {
				moment()
				close(cut)
			}()
			receive(pollLimit, cut)
			<-cut // a goroutine still asleep when the test is over is a deadlock to the bubble
		}
		close(stop)
		sent := <-sender
		for queue.Counts().Active+queue.Counts().Locked > 0 {
			receive(time.Second, nil)
		}
		endsOnce(t, queue, sent)
		c.fail("", context.Canceled)
		if err := c.close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
