//go:build unix

package main

import (
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// phase is a step of a request at which its worker is killed. The worker is held there by what the services do.
type phase struct {
	env []string
	// hold brings the worker there, and returns when it is. heal lets the services work again.
	hold func(t *testing.T, s *site, r *replica) (heal func())
	// locked is how many messages the worker holds then: as many deliveries are burned, and no more.
	locked int
	// calls is how many there are in all, the next worker's with them.
	calls int
}

func nothing() {}

// keep puts a fault of the broker in force.
func (s *site) keep(op servicebustest.Op, f servicebustest.Fault, narrow ...servicebustest.FaultOption) *servicebustest.Injection {
	return s.bus.OnNext(op, f, append(narrow, servicebustest.Keep())...)
}

// atFault sends one request and waits for the fault to strike.
func atFault(op servicebustest.Op, f servicebustest.Fault) func(*testing.T, *site, *replica) func() {
	return func(t *testing.T, s *site, _ *replica) func() {
		rule := s.keep(op, f)
		s.send(t, "a")
		eventually(t, op.String(), func() bool { return rule.Fired() > 0 })
		return rule.Remove
	}
}

var phases = map[string]phase{
	"while connecting": {locked: 0, calls: 1, hold: atFault(servicebustest.Attach, servicebustest.Swallow())},
	"before the call": {locked: 5, calls: 9, env: []string{"CONCURRENCY=4", "READY_BUFFER=1"}, hold: func(t *testing.T, s *site, _ *replica) func() {
		s.account.OnNext(batchtest.Hang(), batchtest.Times(4)) // the fifth waits under lock for one of their places
		s.send(t, "a", "b", "c", "d", "e")
		eventually(t, "four calls and five locks", func() bool { return s.account.MaxInFlight() == 4 && s.queue.Counts().Locked == 5 })
		return nothing
	}},
	"during the call": {locked: 1, calls: 2, hold: func(t *testing.T, s *site, _ *replica) func() {
		s.account.OnNext(batchtest.Hang())
		s.send(t, "a")
		eventually(t, "the call", func() bool { return s.account.MaxInFlight() == 1 })
		return nothing
	}},
	"between two attempts": {locked: 1, calls: 2, hold: func(t *testing.T, s *site, _ *replica) func() {
		s.account.OnNext(batchtest.Status(http.StatusInternalServerError, "InternalError", 14*time.Second))
		s.send(t, "a")
		eventually(t, "the first attempt", func() bool { return s.account.CallCount() == 1 })
		return nothing
	}},
	"during a renewal": {locked: 1, calls: 2, hold: func(t *testing.T, s *site, _ *replica) func() {
		s.account.OnNext(batchtest.Hang())
		rule := s.keep(servicebustest.RenewLock, servicebustest.Swallow(), servicebustest.OnMessage("a"))
		s.send(t, "a")
		eventually(t, "the renewal", func() bool { return rule.Fired() > 0 })
		return rule.Remove
	}},
	"after Batch acted, before it answered": {locked: 1, calls: 2, hold: func(t *testing.T, s *site, _ *replica) func() {
		rule := s.account.OnNext(batchtest.DropAfterActing(), batchtest.Keep())
		s.send(t, "a")
		eventually(t, "the effect", func() bool { return s.account.Terminations("j", "a") == 1 })
		return rule.Remove
	}},
	"after the answer, before the settlement": {locked: 1, calls: 2, hold: func(t *testing.T, s *site, _ *replica) func() {
		s.account.OnNext(batchtest.Delay(3 * time.Second))
		s.send(t, "a")
		eventually(t, "the call", func() bool { return s.account.MaxInFlight() == 1 })
		rule := s.keep(servicebustest.Connect, servicebustest.Swallow())
		s.bus.DropConnections()
		eventually(t, "the answer", func() bool { return s.account.CallCount() == 1 })
		return rule.Remove
	}},
	"during the settlement":              {locked: 1, calls: 2, hold: atFault(servicebustest.Settle, servicebustest.Swallow())},
	"between settlement and its answer":  {locked: 0, calls: 1, hold: atFault(servicebustest.SettleEcho, servicebustest.Swallow())},
	"while a copy is sent":               {locked: 1, calls: 2, hold: copying(servicebustest.Send)},
	"between copy and completion":        {locked: 1, calls: 3, hold: copying(servicebustest.Settle)},
	"between completion and its answer":  {locked: 0, calls: 2, hold: copying(servicebustest.SettleEcho)},
	"during the drain, as platforms do":  {locked: 1, calls: 2, hold: draining},
	"while it dead-letters":              {locked: 1, calls: 0, hold: deadLettering(servicebustest.Settle)},
	"between dead letter and its answer": {locked: 0, calls: 0, hold: deadLettering(servicebustest.SettleEcho)},
}

// copying has the first call end so that the request comes back later, and holds the worker at a step of that.
func copying(op servicebustest.Op) func(*testing.T, *site, *replica) func() {
	return func(t *testing.T, s *site, r *replica) func() {
		s.account.OnNext(batchtest.Status(http.StatusConflict, "JobDisabled", 0))
		return atFault(op, servicebustest.Swallow())(t, s, r)
	}
}

func draining(t *testing.T, s *site, r *replica) func() {
	s.account.OnNext(batchtest.Hang())
	s.send(t, "a")
	eventually(t, "the call", func() bool { return s.account.MaxInFlight() == 1 })
	r.signal(t, syscall.SIGTERM)
	return nothing
}

func deadLettering(op servicebustest.Op) func(*testing.T, *site, *replica) func() {
	return func(t *testing.T, s *site, _ *replica) func() {
		rule := s.keep(op, servicebustest.Swallow())
		if _, err := s.queue.Send(servicebustest.Message{ID: "bad", Body: []byte("{")}); err != nil {
			t.Fatal(err)
		}
		eventually(t, op.String(), func() bool { return rule.Fired() > 0 })
		return rule.Remove
	}
}

// P1, P3, P5: a worker is killed at each step of a request, and the next one finds everything.
//
// Scorecard: S2, F18, R15, R26.
func TestKillAtEachStep(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for name, p := range phases {
		all.Go(func() { t.Run(name, p.run) }) // at once: most of it is waiting for locks to end
	}
	all.Wait()
}

func (p phase) run(t *testing.T) {
	s := newSite(t, servicebustest.QueueConfig{}, append(p.env, "REDELIVERY_INITIAL=5s")...)
	first := s.start(t)
	heal := p.hold(t, s, first)
	if n := s.queue.Counts().Locked; n != p.locked {
		t.Errorf("%d locked at the kill, want %d", n, p.locked)
	}
	first.kill(t)
	eventually(t, "the end of its connection", func() bool { return s.bus.Connections() == 0 })
	heal()
	second := s.start(t)
	eventually(t, "its own", func() bool { return s.bus.Connections() > 0 })
	s.until(t, "an empty queue", empty)
	second.stop(t)
	s.holds(t)
	if n := s.count(servicebustest.EventLockExpired); n != p.locked {
		t.Errorf("%d burned deliveries, want %d: what was locked at the kill", n, p.locked)
	}
	if n := s.count(servicebustest.EventAbandoned); n != 0 {
		t.Errorf("%d abandoned", n)
	}
	if n := s.account.CallCount(); n != p.calls {
		t.Errorf("%d calls, want %d", n, p.calls)
	}
}
