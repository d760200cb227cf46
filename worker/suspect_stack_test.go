package worker_test

// Processes that die. A process that was killed reaches nobody any more: here it is a worker whose network is gone, and
// whose memory goes with it.

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/handler"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// shortLived has the end of a dead worker take little time, in which the next one has not begun.
func shortLived(s *stack) { s.config.Grace = 7 * time.Second }

// dies ends the worker without a word, and starts the next one.
func (s *stack) dies(t *testing.T) {
	t.Helper()
	revive := s.dialTo(refused)
	s.bus.DropConnections()
	s.end()
	revive()
	s.start(t)
}

// poisonous has the worker say so, and go no further, when it handles the request called poison.
func poisonous(s *stack) {
	s.struck = make(chan struct{})
	s.wrap = func(h worker.Handler) worker.Handler { return poison{h, s.struck} }
}

type poison struct {
	worker.Handler
	struck chan<- struct{}
}

func (p poison) Handle(ctx context.Context, m handler.Message) handler.Result {
	if m.RequestIdentity != "poison" {
		return p.Handler.Handle(ctx, m)
	}
	p.struck <- struct{}{}
	<-ctx.Done()
	return handler.Result{Outcome: handler.Draining}
}

// outlive lets the worker die each time that it meets the poison, until the queue is as wished, and returns how often.
func (s *stack) outlive(t *testing.T, reached func(servicebustest.Counts) bool) (deaths int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Hour)
	defer cancel()
	over := make(chan error, 1)
	go func() { over <- s.queue.Wait(ctx, reached) }()
	for {
		select {
		case <-s.struck:
			deaths++
			s.dies(t)
		case err := <-over:
			if err != nil {
				t.Fatalf("after %d deaths: %v\n%s", deaths, err, s.transcript())
			}
			return deaths
		}
	}
}

// mostLost is the highest delivery count, of failed deliveries, that any message had that is no dead letter.
func (s *stack) mostLost() (most uint32) {
	dead := map[string]bool{}
	for _, m := range s.queue.DeadLettered() {
		dead[m.ID] = true
	}
	for _, m := range s.queue.Ledger() {
		for _, e := range m.Events {
			if !dead[m.MessageID] {
				most = max(most, e.DeliveryCount)
			}
		}
	}
	return most
}

// I11: a message that kills the process is set apart and dead-lettered with the chain of what happened; those that were
// there with it end well, and at full speed once it is gone.
func TestMessageThatKillsTheProcessIsDeadLettered(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		const healthy = 40
		s.account.OnNext(batchtest.Delay(time.Second), batchtest.Keep())
		for i := range healthy {
			if i == 5 {
				s.task(t, "poison")
			}
			s.task(t, fmt.Sprintf("t%02d", i))
		}
		deaths := s.outlive(t, func(c servicebustest.Counts) bool { return c.DeadLettered > 0 && empty(c) })
		equal(t, "deaths", deaths, 5)
		dead := s.queue.DeadLettered()
		if len(dead) != 1 || dead[0].Properties["bt-request-id"] != "poison" || dead[0].Reason != "crash_suspect" || !strings.Contains(dead[0].Description, "5 deliveries in a row have no recorded end") {
			t.Fatalf("dead letters %+v", dead)
		}
		chain := fmt.Sprint(dead[0].Properties["bt-ledger"])
		if strings.Count(chain, "unrecorded") != deaths || !strings.HasPrefix(chain, "unrecorded; unrecorded; ") || !strings.HasSuffix(chain, " crash_suspect/0") {
			t.Errorf("%d deaths, chain %q", deaths, chain)
		}
		for i := range healthy {
			if id := fmt.Sprintf("t%02d", i); s.account.Terminations("j", id) != 1 {
				t.Errorf("task %s was terminated %d times", id, s.account.Terminations("j", id))
			}
		}
		if most := s.mostLost(); most > 2 {
			t.Errorf("a healthy message lost %d deliveries", most)
		}

		start := time.Now()
		for i := range 80 {
			s.task(t, fmt.Sprintf("later%02d", i))
		}
		s.until(t, time.Minute, "the rest", empty)
		if took := time.Since(start); took > 12*time.Second {
			t.Errorf("80 calls of 1 s by 8 took %v afterwards", took)
		}
	}, poisonous)
}

// P4: nodes that are killed with many messages in flight, while Batch hangs, leave no dead letter; what was there at two
// deaths runs alone, so that a third finds one of them.
func TestDyingNodesDeadLetterNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		const n, deaths = 8, 4
		hang := s.account.OnNext(batchtest.Delay(time.Hour), batchtest.Keep())
		for i := range n {
			s.task(t, fmt.Sprintf("t%02d", i))
		}
		for death := range deaths {
			together := n // those that are there at two deaths
			if death >= 2 {
				together = 1
			}
			for want := hang.Met() + together; hang.Met() < want; {
				time.Sleep(100 * time.Millisecond)
			}
			s.dies(t)
		}
		suspects := 0
		for _, m := range s.queue.Messages() {
			apart, _ := m.Properties["bt-suspect"].(int64)
			if apart > 2 || apart == 2 && (m.DeliveryCount > 0 || m.State == servicebustest.Locked) {
				suspects++
			}
		}
		equal(t, "messages that were there at a death after two", suspects, deaths-2)
		hang.Remove()
		s.until(t, 2*time.Hour, "an empty queue", empty)
		equal(t, "dead letters", s.deadLetters(), nil)
		for i := range n {
			equal(t, "terminations", s.account.Terminations("j", fmt.Sprintf("t%02d", i)), 1)
		}
	}, shortLived)
}

// P4: a worker that stays alive has not died of anything, however often the wire loses the message.
func TestLostDeliveriesAreNoDeaths(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		time.Sleep(time.Second)
		s.bus.OnNext(servicebustest.Deliver, servicebustest.Swallow(), servicebustest.Times(2))
		lost := s.bus.OnNext(servicebustest.Deliver, servicebustest.Swallow(), servicebustest.Times(6),
			servicebustest.When(func(c servicebustest.Call) bool { return c.MessageID != "a" })) // its copy's
		s.task(t, "a")
		s.until(t, time.Hour, "an empty queue", empty)
		equal(t, "lost deliveries", lost.Fired(), 6)
		equal(t, "dead letters", s.deadLetters(), nil)
		equal(t, "outcomes", s.outcomes(), map[string]int{"isolated": 1, "terminated": 1})
	})
}

// P4: connections are cut again and again with messages in flight and on the wire.
func TestTwentyCutsSuspectNobody(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		const n, cuts = 60, 20
		s.account.OnNext(batchtest.Delay(20*time.Second), batchtest.Keep())
		for i := range n {
			s.task(t, fmt.Sprintf("t%02d", i))
		}
		for range cuts {
			time.Sleep(7 * time.Second)
			s.bus.OnNext(servicebustest.Deliver, servicebustest.DropConnection())
			s.bus.DropConnections()
		}
		s.until(t, 2*time.Hour, "an empty queue", empty)
		equal(t, "dead letters", s.deadLetters(), nil)
		for i := range n {
			equal(t, "terminations", s.account.Terminations("j", fmt.Sprintf("t%02d", i)), 1)
		}
		if most := s.mostLost(); most > 2 {
			t.Errorf("a message lost %d deliveries", most)
		}
	})
}
