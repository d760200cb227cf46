package worker_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// stopState is what a worker can be in the middle of when it is told to stop.
type stopState struct {
	// enter brings the worker there, with four requests in the queue, and returns what heals.
	enter func(t *testing.T, s *stack) (heal func())
	// left of the four are to their locks alone: nobody could settle them.
	left int
	// handedBack of the four have to come again.
	handedBack int
	// within is how long the drain may take at most, 0 for all of the grace period but 2 s.
	within time.Duration
}

var errRefused = errors.New("connection refused")

// dialTo has the stack's next connections made by dial, until healed.
func (s *stack) dialTo(dial func(context.Context) (net.Conn, error)) (heal func()) {
	s.network.Store(&dial)
	return func() { s.network.Store(nil) }
}

func refused(context.Context) (net.Conn, error) { return nil, errRefused }

func blackHole(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// strike puts a fault in force for good.
func (s *stack) strike(op servicebustest.Op, f servicebustest.Fault) (heal func()) {
	return s.bus.OnNext(op, f, servicebustest.Keep()).Remove
}

// four sends as many requests, whose calls take d, and lets them begin.
func (s *stack) four(t *testing.T, d time.Duration) {
	s.account.OnNext(batchtest.Delay(d), batchtest.Times(4))
	s.task(t, "a", "b", "c", "d")
	time.Sleep(time.Second)
}

// noProbe waits out a probe that is between its failure and being handed back, so that the pause is all there is to stop.
func (s *stack) noProbe(t *testing.T) {
	s.until(t, time.Minute, "no message in hand", func(c servicebustest.Counts) bool { return c.Locked == 0 })
}

// lost has the four under way, their calls longer than the broker lives.
func lost(cut func(s *stack) (heal func())) func(*testing.T, *stack) func() {
	return func(t *testing.T, s *stack) func() {
		s.four(t, 3*time.Second)
		heal := cut(s)
		time.Sleep(time.Second)
		return heal
	}
}

// fromTheStart is a worker that has never had a connection.
func fromTheStart(cut func(s *stack) (heal func())) func(*testing.T, *stack) func() {
	return func(t *testing.T, s *stack) func() {
		s.end()
		heal := cut(s)
		s.start(t)
		s.task(t, "a", "b", "c", "d")
		time.Sleep(10 * time.Second)
		return heal
	}
}

var stopStates = map[string]stopState{
	"idle": {within: time.Second, enter: func(t *testing.T, s *stack) func() {
		time.Sleep(time.Hour)
		return func() { s.task(t, "a", "b", "c", "d") }
	}},
	"calls under way": {within: 3 * time.Second, enter: func(t *testing.T, s *stack) func() {
		s.four(t, 3*time.Second)
		return func() {}
	}},
	"calls hang": {handedBack: 4, enter: func(t *testing.T, s *stack) func() {
		s.account.OnNext(batchtest.Hang(), batchtest.Times(4))
		s.four(t, 0)
		return func() {}
	}},
	"between two attempts": {handedBack: 4, enter: func(t *testing.T, s *stack) func() {
		rule := s.account.OnNext(batchtest.Status(http.StatusInternalServerError, "InternalError", 14*time.Second), batchtest.Keep())
		s.four(t, 0)
		return rule.Remove
	}},
	"paused by throttling": {within: time.Second, enter: func(t *testing.T, s *stack) func() {
		s.account.OnNext(batchtest.ThrottleFor(time.Hour))
		s.four(t, 0)
		time.Sleep(time.Minute)
		s.noProbe(t)
		return func() {}
	}},
	"paused by an outage": {within: time.Second, enter: func(t *testing.T, s *stack) func() {
		s.account.OnNext(batchtest.OutageFor(time.Hour, http.StatusServiceUnavailable))
		s.four(t, 0)
		time.Sleep(30 * time.Minute)
		s.noProbe(t)
		return func() {}
	}},
	"paused for want of a right": {within: time.Second, enter: func(t *testing.T, s *stack) func() {
		s.account.OnNext(batchtest.OutageFor(time.Hour, http.StatusUnauthorized))
		s.four(t, 0)
		time.Sleep(30 * time.Minute)
		s.noProbe(t)
		return func() {}
	}},
	"reconnecting, idle": {within: time.Second, enter: func(t *testing.T, s *stack) func() {
		heal := s.dialTo(refused)
		s.bus.DropConnections()
		time.Sleep(10 * time.Second)
		return func() { heal(); s.task(t, "a", "b", "c", "d") }
	}},
	"reconnecting amid calls": {enter: lost(func(s *stack) func() {
		heal := s.dialTo(refused)
		s.bus.DropConnections()
		time.AfterFunc(6*time.Second, heal)
		return func() {}
	})},
	"the broker is gone amid calls": {left: 4, enter: lost(func(s *stack) func() {
		heal := s.dialTo(refused)
		s.bus.DropConnections()
		return heal
	})},
	"the broker is dark amid calls": {left: 4, enter: lost(func(s *stack) func() {
		heal := s.dialTo(blackHole)
		s.bus.MuteConnections(true)
		return heal
	})},
	"settlements hang": {left: 4, enter: func(t *testing.T, s *stack) func() {
		heal, healToken := s.strike(servicebustest.Settle, servicebustest.Swallow()), s.strike(servicebustest.Management, servicebustest.Swallow())
		s.four(t, 0)
		return func() { heal(); healToken() }
	}},
	"settlements go unanswered": {enter: func(t *testing.T, s *stack) func() {
		heal := s.strike(servicebustest.SettleEcho, servicebustest.Swallow())
		s.four(t, 0)
		return heal
	}},
	"the port refuses from the start":    {within: time.Second, enter: fromTheStart(func(s *stack) func() { return s.dialTo(refused) })},
	"the dial vanishes from the start":   {within: 5 * time.Second, enter: fromTheStart(func(s *stack) func() { return s.dialTo(blackHole) })},
	"the open is not answered":           {within: 5 * time.Second, enter: fromTheStart(func(s *stack) func() { return s.strike(servicebustest.Open, servicebustest.Swallow()) })},
	"the token exchange is not answered": {within: 5 * time.Second, enter: fromTheStart(func(s *stack) func() { return s.strike(servicebustest.CBS, servicebustest.Swallow()) })},
	"the attach is not answered":         {within: 5 * time.Second, enter: fromTheStart(func(s *stack) func() { return s.strike(servicebustest.Attach, servicebustest.Swallow()) })},
	"the probe is not answered":          {within: 5 * time.Second, enter: fromTheStart(func(s *stack) func() { return s.strike(servicebustest.Management, servicebustest.Swallow()) })},
}

// P1, P5, P8: whatever the worker is in the middle of, it ends in time, and burns nothing that it could still settle.
//
// Scorecard: S1, F18, R20, R21, R22.
func TestStopAmidAnything(t *testing.T) {
	t.Parallel()
	for name, state := range stopStates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				time.Sleep(time.Second)
				heal := state.enter(t, s)
				within := s.config.Grace - 2*time.Second
				if state.within > 0 {
					within = state.within
				}
				asked := time.Now()
				report := s.end()
				if took := time.Since(asked); took > within {
					t.Errorf("the drain took %v; want at most %v", took, within)
				}
				equal(t, "left to their locks and handed back", [2]int{report.Left, report.HandedBack}, [2]int{state.left, state.handedBack})
				heal()
				s.start(t)
				s.until(t, 3*time.Hour, "an empty queue", empty)
				equal(t, "burned deliveries", s.burned(), state.left)
				equal(t, "dead letters", s.deadLetters(), nil)
				for _, id := range []string{"a", "b", "c", "d"} {
					equal(t, "terminations of "+id, s.account.Terminations("j", id), 1)
				}
			})
		})
	}
}

// A hundred workers are stopped while they connect, at any moment of it.
//
// Scorecard: S1.
func TestStopAtAnyMomentOfTheConnect(t *testing.T) {
	t.Parallel()
	const oneWay = 5 * time.Millisecond
	for after := time.Duration(0); after < 40*oneWay; after += oneWay * 2 / 5 {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
				s.end()
				s.task(t, "a", "b", "c", "d")
				s.start(t)
				time.Sleep(after)
				asked := time.Now()
				equal(t, "left", s.end().Left, 0)
				if took := time.Since(asked); took > 5*time.Second {
					t.Errorf("the drain took %v", took)
				}
				s.start(t)
				s.until(t, time.Hour, "an empty queue", empty)
				equal(t, "burned deliveries", s.burned(), 0)
			}, func(s *stack) { s.dial = distant(s.bus.Dial, oneWay) })
		})
	}
}
