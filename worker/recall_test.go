package worker_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// P5, P7: a gate that closes takes back the credit that is out, over and over on one connection. What is published then stays
// unlocked in the queue until the account answers. Left out, the SDK's releaser takes it, gives it back and is sent it again
// at once, until one of those answers is lost: then its lock ends, and the call that begins afterwards has none.
func TestGateThatClosesTakesBackItsCredit(t *testing.T) {
	t.Parallel()
	const oneWay = 20 * time.Millisecond
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		time.Sleep(10 * time.Second) // connected
		for round := range 20 {
			time.Sleep(time.Duration(round) * 7 * time.Second / 10) // at any moment of a receive
			s.account.OnNext(batchtest.ThrottleFor(90 * time.Second))
			s.task(t, fmt.Sprintf("closes%d", round))
			time.Sleep(10 * oneWay)
			equal(t, "closed gates", len(s.status().ClosedGates), 1)
			waiting := []string{fmt.Sprintf("a%d", round), fmt.Sprintf("b%d", round)}
			s.task(t, waiting...)
			time.Sleep(time.Second)
			for _, id := range waiting {
				delivered, _ := s.deliveries(id)
				equal(t, id+" was delivered while the gate is closed", delivered, 0)
			}
			s.until(t, 10*time.Minute, "an empty queue", empty)
			time.Sleep(time.Minute) // the gate has opened wholly
		}
		equal(t, "burned deliveries", s.burned(), 0)
		equal(t, "connections made", s.connected(), 1)
	}, func(s *stack) { s.dial = distant(s.bus.Dial, oneWay) })
}

// On a slow line the broker's answer comes behind the message that it was sending, which takes its time. The client is given up
// meanwhile; what it is being sent is taken in all the same. Found by a simulated day, seed 437.
//
// Scorecard: F13.
func TestWhatComesOnASlowLineWhileCreditIsTakenBackIsTakenIn(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		time.Sleep(10 * time.Second)
		s.account.OnNext(batchtest.ThrottleFor(90 * time.Second))
		s.task(t, "closes")
		s.send(t, "large", strings.Repeat("x", 250<<10)) // on its way for 4 s
		s.until(t, 10*time.Minute, "the dead letter", func(c servicebustest.Counts) bool { return c.DeadLettered == 1 })
		s.until(t, 10*time.Minute, "the rest", func(c servicebustest.Counts) bool { return c.Completed == 2 })
		equal(t, "burned deliveries", s.burned(), 0)
	}, func(s *stack) {
		s.bus.OnNext(servicebustest.Connect, servicebustest.Trickle(64, time.Millisecond), servicebustest.Keep())
	})
}

// The broker's answer comes behind messages for which nobody asks any more. Left to the SDK, which gives them back, they counted as
// credit given up, and as many of a later client were not taken in when it ended. Found by a simulated day, seed 1907.
//
// Scorecard: F13.
func TestNothingIsLeftToTheSDKWhileASlowLineAnswers(t *testing.T) {
	t.Parallel()
	for size := 110; size <= 250; size += 10 { // KiB, on their way for 1.8 to 4 s: before, during and after each wait
		inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
			time.Sleep(10 * time.Second)
			s.account.OnNext(batchtest.ThrottleFor(90 * time.Second))
			s.task(t, "closes")
			s.send(t, "large", strings.Repeat("x", size<<10))
			for i := range 6 {
				s.task(t, fmt.Sprintf("small%d", i))
			}
			s.until(t, 10*time.Minute, "an empty queue", empty)
			equal(t, "burned deliveries", s.burned(), 0)
			equal(t, "deliveries that the SDK gave back", s.events(servicebustest.EventReleased), 0)
		}, func(s *stack) {
			s.bus.OnNext(servicebustest.Connect, servicebustest.Trickle(64, time.Millisecond), servicebustest.Keep())
		})
	}
}

// A pause by a person does the same, and a stop during it finds nothing to wait for.
func TestPauseTakesBackItsCredit(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		for round := range 5 {
			time.Sleep(10 * time.Second)
			s.worker.Pause("ada")
			time.Sleep(time.Second)
			id := fmt.Sprintf("a%d", round)
			s.task(t, id)
			time.Sleep(5 * time.Minute) // in ten the broker ends an idle link
			delivered, _ := s.deliveries(id)
			equal(t, "deliveries during the pause", delivered, 0)
			s.worker.Resume()
			s.until(t, time.Second, "an empty queue", empty)
		}
		equal(t, "connections made", s.connected(), 1)
	})
}

// connected counts the times that the worker began to receive.
func (s *stack) connected() int { return s.logs.FilterMessage("receiving").Len() }

// P7: however often a gate closes while messages arrive, credit is neither lost nor made.
func TestCreditStaysWhatItIsOverManyClosings(t *testing.T) {
	t.Parallel()
	const concurrency, buffer = 8, 2
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(50*time.Millisecond), batchtest.Keep())
		s.account.OnNext(batchtest.Status(http.StatusServiceUnavailable, "", batchtest.NoRetryAfter), batchtest.Keep(), batchtest.EveryNth(40))
		most := 0
		for n := range 500 {
			for k := range 1 + rand.IntN(60) {
				s.task(t, fmt.Sprintf("t%05d-%d", n, k))
				time.Sleep(rand.N(2 * time.Millisecond))
				most = max(most, s.queue.Counts().Locked)
			}
			for range rand.IntN(600) {
				time.Sleep(20 * time.Millisecond)
				most = max(most, s.queue.Counts().Locked)
			}
		}
		if most > concurrency+buffer {
			t.Errorf("%d locks at once; want at most %d", most, concurrency+buffer)
		}
		s.until(t, time.Hour, "an empty queue", empty)
		equal(t, "burned deliveries", s.burned(), 0)
		equal(t, "connections made", s.connected(), 1)
	}, func(s *stack) { s.config.Concurrency, s.config.ReadyBuffer = concurrency, buffer })
}
