package worker_test

// What the worker counts, beside what the real SDK and the embedded broker did.

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// metric returns a series without labels.
func (s *stack) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "batch_terminator_"+name {
			m := family.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no series %s", name)
	return 0
}

// However the broker says it, and whoever is under way then, it says it once.
func TestEachThrottlingByTheBrokerIsCountedOnce(t *testing.T) {
	t.Parallel()
	const busy = "com.microsoft:server-busy"
	for name, strike := range map[string]func(s *stack){
		"the connection is closed": func(s *stack) { s.bus.CloseConnections(busy, "50009") },
		"links are detached":       func(s *stack) { s.bus.DetachLinks(queueName, busy, "50009") },
		"a lock is not renewed": func(s *stack) {
			s.bus.OnNext(servicebustest.RenewLock, servicebustest.ServerBusy(), servicebustest.OnEntity(queueName))
			s.account.OnNext(batchtest.Delay(40 * time.Second))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{LockDuration: 30 * time.Second}, func(t *testing.T, s *stack) {
				time.Sleep(10 * time.Second)
				if n := s.metric(t, "servicebus_throttled_total"); n != 0 {
					t.Errorf("%v before anything", n)
				}
				strike(s)
				s.task(t, "a", "b", "c")
				s.until(t, time.Minute, "three requests", empty)
				if n := s.metric(t, "servicebus_throttled_total"); n != 1 {
					t.Errorf("counted %v times\n%s", n, s.transcript())
				}
			})
		})
	}
}

// The ledger of the broker knows what was settled: no operation is forgotten where nothing fails.
func TestOperationsAreWhatTheBrokerSaw(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.task(t, "a", "b", "c")
		s.send(t, "bad", "no request")
		s.until(t, time.Minute, "the end of all", empty)
		synctest.Wait()
		delivered, completed, dead := 0, 0, 0
		for _, m := range s.queue.Ledger() {
			for _, e := range m.Events {
				switch e.Kind {
				case servicebustest.EventDelivered:
					delivered++
				case servicebustest.EventCompleted:
					completed++
				case servicebustest.EventDeadLettered:
					dead++
				}
			}
		}
		for operation, want := range map[string]int{"receive": delivered, "complete": completed, "dead-letter": dead, "probe": 1, "renew": 0} {
			if got := s.counted(t, operation); got != float64(want) {
				t.Errorf("%s: %v, the broker saw %d", operation, got, want)
			}
		}
		if delivered != 4 || completed != 3 || dead != 1 {
			t.Errorf("%d delivered, %d completed, %d dead-lettered", delivered, completed, dead)
		}
		if n, err := testutil.GatherAndCount(s.registry, "batch_terminator_servicebus_operations_total"); n != 7 || err != nil {
			t.Errorf("%d operations, %v", n, err)
		}
	})
}

// counted returns how many of an operation were counted.
func (s *stack) counted(t *testing.T, operation string) float64 {
	t.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "batch_terminator_servicebus_operations_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == operation {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no operation %s", operation)
	return 0
}

func TestARefusedTokenShowsInTheStatus(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		time.Sleep(10 * time.Second)
		heal := s.bus.OnNext(servicebustest.CBS, servicebustest.Fail("amqp:unauthorized-access", "no claim"), servicebustest.Keep())
		s.bus.DropConnections()
		time.Sleep(time.Minute)
		if st := s.status(); st.Attached || !st.Refused {
			t.Errorf("while refused: %+v", st)
		}
		heal.Remove()
		time.Sleep(time.Minute)
		if st := s.status(); !st.Attached || st.Refused {
			t.Errorf("once granted: %+v", st)
		}
	})
}
