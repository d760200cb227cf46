package worker_test

import (
	"testing"
	"time"

	"batchterminator/worker/servicebustest"
)

// The SDK tries a settlement again that the broker refused for the moment, finds the delivery settled on its side, and
// reports success. Our deadline ends before that second try, and ours goes by lock token.
func TestSettlementThatIsRefusedForTheMomentIsMadeAgain(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{
		"com.microsoft:server-busy", "com.microsoft:timeout", "com.microsoft:operation-cancelled", "amqp:internal-error", "amqp:resource-limit-exceeded", "com.microsoft:argument-error",
	} {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{LockDuration: time.Minute}, func(t *testing.T, s *stack) {
				time.Sleep(10 * time.Second)
				fault := s.bus.OnNext(servicebustest.Settle, servicebustest.Fail(condition, "50009: the namespace is busy"))
				s.task(t, "a", "b", "c")
				s.until(t, 10*time.Minute, "an empty queue", empty)
				equal(t, "faults", fault.Fired(), 1)
				equal(t, "calls", s.account.CallCount(), 3)
				equal(t, "burned deliveries", s.burned(), 0)
			})
		})
	}
}
