package worker_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// The SDK does not survive these by itself: its receiver fails for ever, and the goroutine of its management link spins,
// which would hang the bubble.
func TestThrottledLinksAndConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{"com.microsoft:server-busy", "com.microsoft:timeout", "com.microsoft:operation-cancelled"} {
		busy := func(ending func(condition, description string) servicebustest.Fault) servicebustest.Fault {
			return ending(condition, "50009: the namespace is busy")
		}
		on := func(op servicebustest.Op, fault servicebustest.Fault) func(*stack) {
			return func(s *stack) { s.bus.OnNext(op, fault) }
		}
		for name, strike := range map[string]func(*stack){
			"receiver link":           on(servicebustest.Deliver, busy(servicebustest.DetachLink)),
			"receiver's session":      on(servicebustest.Deliver, busy(servicebustest.EndSession)),
			"connection":              on(servicebustest.Deliver, busy(servicebustest.CloseConnection)),
			"settlement":              on(servicebustest.Settle, busy(servicebustest.DetachLink)),
			"management request":      on(servicebustest.Management, busy(servicebustest.DetachLink)),
			"connection, while asked": on(servicebustest.Management, busy(servicebustest.CloseConnection)),
			"management links":        func(s *stack) { s.bus.DetachLinks(queueName+"/$management", condition, "50009") },
			"all links": func(s *stack) {
				s.bus.DetachLinks(queueName, condition, "50009")
				s.bus.DetachLinks(queueName+"/$management", condition, "50009")
			},
			"attach": func(s *stack) {
				s.bus.OnNext(servicebustest.Attach, busy(servicebustest.Fail))
				s.bus.DropConnections()
			},
		} {
			t.Run(condition+"/"+name, func(t *testing.T) {
				t.Parallel()
				inBubble(t, servicebustest.QueueConfig{LockDuration: time.Minute}, func(t *testing.T, s *stack) {
					time.Sleep(10 * time.Second)
					strike(s)
					s.task(t, "a", "b", "c")
					s.until(t, 2*time.Minute, "an empty queue", empty)
					time.Sleep(2 * time.Minute) // idle: a look meets what waits for a request
					s.task(t, "d")
					s.until(t, 2*time.Minute, "an empty queue", empty)
					equal(t, "terminated", s.outcomes()["terminated"], 4)
					if !strings.Contains(s.log(), condition) {
						t.Errorf("the log does not tell why: %s", s.transcript())
					}
				})
			})
		}
	}
}

// While a gate is closed nobody uses the connection, which the broker ends in the end. The SDK's renewers of claims go on
// without it, at the speed of the processor if they are let: no bubble gets past that, and no machine should have to.
//
// Scorecard: F3, R28.
func TestConnectionThatEndsWhileTheGateIsClosedCostsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Status(http.StatusTooManyRequests, "TooManyRequests", 3*time.Hour))
		s.task(t, "a", "b", "c")
		time.Sleep(time.Hour)
		s.bus.DropConnections()
		s.until(t, 5*time.Hour, "an empty queue", empty)
		equal(t, "burned deliveries", s.burned(), 0)
		equal(t, "terminated", s.outcomes()["terminated"], 3)
	})
}
