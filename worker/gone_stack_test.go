package worker_test

import (
	"testing"
	"time"

	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// The receive under way is mostly who learns that a connection has ended. A worker that asks for nothing has none.
//
// Scorecard: A1, A4.
func TestEndOfTheConnectionIsNoticedWithoutAReceive(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(b *servicebustest.Server){
		"closed":         func(b *servicebustest.Server) { b.CloseConnections("amqp:connection:forced", "by the test") },
		"closed as busy": func(b *servicebustest.Server) { b.CloseConnections("com.microsoft:server-busy", "50009") },
		"dropped":        func(b *servicebustest.Server) { b.DropConnections() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				time.Sleep(time.Second)
				s.worker.Pause("ada")
				time.Sleep(time.Minute)
				before := s.connected()
				end(s.bus)
				time.Sleep(3 * time.Second)
				if now := s.connected(); now != before+1 {
					t.Errorf("%d connections, %d before the end of one\n%s", now, before, s.transcript())
				}
			})
		})
	}
}

// Found by a simulated day, seed 215: a settlement at the end of a drain met a busy broker, two tries waited in vain for the
// answer of a connection that had ended, and the grace period was over.
//
// Scorecard: F8, S1.
func TestSettlementThatIsThrottledAtTheEndOfADrainBurnsNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.task(t, "a")
		s.until(t, time.Minute, "the delivery", func(c servicebustest.Counts) bool { return c.Locked == 1 })
		s.stop()
		time.Sleep(17 * time.Second)
		s.bus.DropConnections() // the settlement goes over the management link of the next one
		time.Sleep(3 * time.Second)
		busy := s.bus.OnNext(servicebustest.Management, servicebustest.ServerBusy())
		report := <-s.reports
		s.reports <- report
		if c := s.queue.Counts(); c.Completed != 1 || report.Left != 0 || s.burned() != 0 || busy.Fired() != 1 {
			t.Errorf("%+v, %+v, %d burned, throttled %d times\n%s", c, report, s.burned(), busy.Fired(), s.transcript())
		}
	}, func(s *stack) {
		s.wrap = func(h worker.Handler) worker.Handler { return slowly{h, 21 * time.Second} }
	})
}
