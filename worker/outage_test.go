package worker_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/handler"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

const outage = 2 * time.Hour

// outages are ways in which an account works for nobody. A request that was probed with waits in the queue meanwhile.
var outages = map[string]struct {
	fault func() batchtest.Fault
	// probe is how many calls one probe makes, pause the longest between two.
	probe int
	pause time.Duration
	// full is how long after the end of the outage the full rate is back.
	full time.Duration
}{
	"503":       {func() batchtest.Fault { return batchtest.OutageFor(outage, http.StatusServiceUnavailable) }, 1, 30 * time.Second, 62 * time.Second},
	"500":       {func() batchtest.Fault { return batchtest.OutageFor(outage, http.StatusInternalServerError) }, 1, 30 * time.Second, time.Minute},
	"no answer": {func() batchtest.Fault { return batchtest.OutageFor(outage, 0) }, 1, 30 * time.Second, time.Minute},
	"429":       {func() batchtest.Fault { return batchtest.ThrottleFor(outage) }, 1, outage, time.Minute},
	// A refused token is renewed once before it counts, and people take their time to grant a right.
	"401": {func() batchtest.Fault { return batchtest.OutageFor(outage, http.StatusUnauthorized) }, 2, 5 * time.Minute, 6 * time.Minute},
}

// P4, P5: two hours without Batch and thousands of requests. Nothing is dead-lettered, no delivery burned; what is called
// meanwhile are probes, one at a time; and soon after the end calls are made at the full rate, from a cold start too. Longer runs: REQUESTS=100000.
//
// Scorecard: H6, H10, F17, R12, R14, R16, R18, R28.
func TestOutageOfTwoHoursLosesAndBurnsNothing(t *testing.T) {
	t.Parallel()
	const concurrency = 32
	for name, c := range outages {
		n := number(t, "REQUESTS", 1000)
		if name == "503" {
			n = max(n, 5000)
		}
		for _, cold := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, cold start %v", name, cold), func(t *testing.T) {
				t.Parallel()
				inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
					if cold {
						s.end()
					} else {
						s.task(t, "before")
						s.until(t, time.Minute, "the completion", empty)
					}
					began := time.Now()
					s.account.OnNext(c.fault())
					s.account.OnNext(batchtest.Delay(time.Second), batchtest.Keep()) // of what comes through
					for i := range n {
						s.task(t, fmt.Sprintf("t%04d", i))
					}
					if cold {
						s.start(t)
					}
					s.until(t, outage+time.Hour, "an empty queue", empty)
					equal(t, "dead letters", s.deadLetters(), nil)
					equal(t, "burned deliveries", s.burned(), 0)
					for i := range n {
						equal(t, "terminations", s.account.Terminations("j", fmt.Sprintf("t%04d", i)), 1)
					}
					s.probesOnly(t, began, c.probe, c.pause)
					if took := s.rate(concurrency, began.Add(outage)).Sub(began.Add(outage)); took < 0 || took > c.full {
						t.Errorf("full rate %v after the end of the outage; want it within %v", took, c.full)
					}
				}, func(s *stack) { s.config.Concurrency, s.config.ReadyBuffer = concurrency, 8 })
			})
		}
	}
}

// rate returns when so many calls were first made within one second.
func (s *stack) rate(calls int, after time.Time) time.Time {
	all := slices.DeleteFunc(s.account.Calls(), func(c batchtest.Call) bool { return c.Time.Before(after) })
	for i := calls - 1; i < len(all); i++ {
		if all[i].Time.Sub(all[i-calls+1].Time) < time.Second {
			return all[i].Time
		}
	}
	return time.Time{}
}

// probesOnly checks what was called between the beginning of an outage, when a gate has to find out, and its end.
func (s *stack) probesOnly(t *testing.T, began time.Time, probe int, pause time.Duration) {
	t.Helper()
	const findOut = 5 * time.Minute // probes come more often at first
	var probes, together int
	var last time.Time
	for _, call := range s.account.Calls() {
		if since := call.Time.Sub(began); since < findOut || since >= outage {
			continue
		}
		if call.Time.Sub(last) > time.Second {
			probes, together = probes+1, 0
		}
		if together++; together > probe {
			t.Errorf("%d calls at once, %v after the outage began; want one probe", together, call.Time.Sub(began))
		}
		last = call.Time
	}
	if most := int((outage-findOut)/pause) + 1; probes > most {
		t.Errorf("%d probes, want at most %d, one each %v", probes, most, pause)
	}
	t.Logf("%d calls, %d probes", s.account.CallCount(), probes)
}

// R13: while Batch fails as slowly as it can, under the shortest locks that there are, a delivery costs no more broker
// operations than is printed at the start.
//
// Scorecard: R13.
func TestBrokerOperationsStayWithinTheWorstCase(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{LockDuration: 5 * time.Second}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(28*time.Second), batchtest.Keep())
		s.account.OnNext(batchtest.Status(http.StatusInternalServerError, "InternalError", batchtest.NoRetryAfter), batchtest.Times(12))
		s.task(t, "a")
		s.until(t, time.Hour, "an empty queue", empty)
		worst := handler.WorstCase(s.policy.Retry, s.config.Redelivery)
		messages := s.queue.Ledger()
		if len(messages) < 2 {
			t.Errorf("%d messages, want copies", len(messages))
		}
		for _, m := range messages {
			operations := len(m.Events) + 1 // each event is one, and so is the sending of the next copy
			if most := worker.Operations(worst.Delivery); operations > most {
				t.Errorf("%d operations for a delivery, want at most %d", operations, most)
			}
		}
	})
}
