package worker_test

// What a platform does to its replicas: it stops them at any moment, and starts others.

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// dice returns a source of chance that can be had again: with SEED in the environment. It is for one goroutine.
func dice(t *testing.T) *rand.Rand {
	t.Helper()
	seed := number(t, "SEED", rand.Uint64())
	t.Logf("SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// number returns what the environment says, for runs longer than a commit can wait for, or else the default.
func number[T int | uint64](t *testing.T, variable string, otherwise T) T {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return T(n)
}

// load publishes requests until the returned function is called, which says how many there were. Bursts of calls of very
// different lengths, a few without end, alternate with a trickle of short ones: there a drain has nothing to wait for, and
// closes the link right behind the last delivery.
func (s *stack) load(t *testing.T, chance *rand.Rand) (end func() int) {
	upTo := func(d time.Duration) time.Duration { return time.Duration(chance.Int64N(int64(d))) }
	stop, sent := make(chan struct{}), make(chan int)
	go func() {
		for n, started := 0, time.Now(); ; {
			burst, call, pause := 1, 20*time.Millisecond, 100*time.Millisecond
			if time.Since(started)/time.Minute%2 == 0 {
				burst, call, pause = chance.IntN(8), time.Second, 2*time.Second
			}
			for range burst {
				id := fmt.Sprintf("t%05d", n)
				n++
				fault := batchtest.Delay(upTo(call))
				switch {
				case burst > 1 && chance.IntN(50) == 0:
					fault = batchtest.Hang()
				case burst > 1 && chance.IntN(10) == 0:
					fault = batchtest.Delay(upTo(25 * time.Second))
				}
				s.account.OnNext(fault, batchtest.ForTask("j", id))
				s.task(t, id)
			}
			select {
			case <-stop:
				sent <- n
				return
			case <-time.After(upTo(pause)):
			}
		}
	}()
	return func() int {
		close(stop)
		return <-sent
	}
}

// P1, P5, P8: a hundred replicas come and go at random moments under load. Longer runs: STOPS=5000.
//
// Scorecard: S1, F18, R19, R20, R22, R23.
func TestHundredStopsUnderLoadBurnNothing(t *testing.T) {
	t.Parallel()
	chance := dice(t)
	stops := number(t, "STOPS", 100)
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		end := s.load(t, rand.New(rand.NewPCG(chance.Uint64(), 0)))
		var finished, handedBack int
		var longest time.Duration
		for range stops {
			time.Sleep(time.Duration(chance.Int64N(int64(6 * time.Second))))
			asked := time.Now()
			report := s.end()
			took := time.Since(asked)
			longest = max(longest, took)
			finished, handedBack = finished+report.Finished, handedBack+report.HandedBack
			if took > s.config.Grace-2*time.Second || report.Left != 0 {
				t.Errorf("the drain took %v of %v: %+v", took, s.config.Grace, report)
			}
			s.start(t)
		}
		n := end()
		s.until(t, time.Hour, "an empty queue", empty)
		t.Logf("%d requests; the %d drains finished %d and handed %d back, the longest in %v", n, stops, finished, handedBack, longest)
		equal(t, "burned deliveries", s.burned(), 0)
		equal(t, "dead letters", s.deadLetters(), nil)
		for i := range n {
			equal(t, "terminations", s.account.Terminations("j", fmt.Sprintf("t%05d", i)), 1)
		}
	}, func(s *stack) { s.config.Concurrency, s.dial = 32, distant(s.bus.Dial, 20*time.Millisecond) })
}
