package worker_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/handler"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// chainOf returns what the ledger on a message says, without the times.
func chainOf(m servicebustest.StoredMessage) string {
	return regexp.MustCompile(`\S+Z `).ReplaceAllString(fmt.Sprint(m.Properties["bt-ledger"]), "")
}

// P10: the chain is written over the link, and by lock token over $management when the link has gone.
func TestChainGoesWithTheDeadLetter(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]bool{"over the link": false, "by lock token": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				s.account.OnNext(batchtest.Status(http.StatusConflict, "JobDisabled", 0))
				s.task(t, "a")
				s.until(t, time.Minute, "the copy", func(c servicebustest.Counts) bool { return c.Scheduled == 1 })
				s.account.OnNext(batchtest.Delay(5 * time.Second))
				s.account.OnNext(batchtest.Status(http.StatusBadRequest, "InvalidPropertyValue", 0))
				if s.until(t, time.Hour, "the copy's turn", func(c servicebustest.Counts) bool { return c.Locked == 1 }); cut {
					s.bus.DropConnections()
				}
				s.until(t, time.Minute, "the dead letter", func(c servicebustest.Counts) bool { return c.DeadLettered == 1 })
				dead := s.queue.DeadLettered()[0]
				equal(t, "reason", dead.Reason, "InvalidPropertyValue")
				equal(t, "chain", chainOf(dead), "job_disabled/1; refused/1")
				equal(t, "burned deliveries", s.burned(), 0)
			})
		})
	}
}

// panicking panics at the first deliveries of a request, after a time.
type panicking struct {
	worker.Handler
	times *int // of one request, whose deliveries follow each other
}

func (p panicking) Handle(ctx context.Context, m handler.Message) handler.Result {
	time.Sleep(5 * time.Second)
	if *p.times--; *p.times >= 0 {
		panic("a bug")
	}
	return p.Handler.Handle(ctx, m)
}

// P10: an abandoned message carries its history too, whichever way it was abandoned, and nothing of it is unrecorded.
func TestChainGoesWithTheAbandonedMessage(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{MaxDeliveryCount: 4}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Status(http.StatusBadRequest, "InvalidPropertyValue", 0))
		s.task(t, "a")
		time.Sleep(7 * time.Second) // into the second delivery
		s.bus.DropConnections()
		s.until(t, time.Hour, "the dead letter", func(c servicebustest.Counts) bool { return c.DeadLettered == 1 })
		equal(t, "chain", chainOf(s.queue.DeadLettered()[0]), "panic/0; panic/0; panic/0; refused/1")
		equal(t, "outcomes", s.outcomes(), map[string]int{"panic": 3, "refused": 1})
	}, func(s *stack) {
		times := 3
		s.wrap = func(h worker.Handler) worker.Handler { return panicking{h, &times} }
		s.config.MaxDeliveryCount = 10 // so that the fourth is not the last for the worker
	})
}
