package simulate

import (
	"fmt"
	"math/rand/v2"
	"time"

	"batchterminator/cmd/sandbox/verdict"
	sb "batchterminator/worker/servicebustest"
)

// conditions are those that Service Bus detaches links and closes connections with.
var conditions = []string{
	"amqp:link:detach-forced", "amqp:connection:forced", "amqp:internal-error", "amqp:not-found", "amqp:unauthorized-access", "amqp:not-allowed",
	"amqp:resource-limit-exceeded", "com.microsoft:server-busy", "com.microsoft:timeout", "com.microsoft:operation-cancelled", "com.microsoft:entity-disabled",
}

const byTheSimulation = "by the simulation"

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// busFaults names the faults by their numbers on the page of package servicebustest.
func busFaults() []breakage {
	return append(momentary(), lasting()...)
}

// momentary faults strike once, or a few times in a row.
func momentary() []breakage {
	at := func(name string, weight int, do func(*simulation, *rand.Rand)) breakage {
		return breakage{name: name, weight: weight, begin: func(s *simulation, r *rand.Rand) func() { do(s, r); return nil }}
	}
	return []breakage{
		at("F12: all connections are cut", 4, func(s *simulation, _ *rand.Rand) {
			s.cut("all connections are cut", func() { s.bus.DropConnections() })
		}),
		at("all connections are closed", 3, func(s *simulation, r *rand.Rand) {
			s.cut("all connections are closed", func() { s.bus.CloseConnections(pick(r, conditions), byTheSimulation) })
		}),
		at("F2: all links are detached", 3, func(s *simulation, r *rand.Rand) {
			s.cut("all links are detached", func() { s.bus.DetachLinks(queueName, pick(r, conditions), byTheSimulation) })
		}),
		at("F20: the management links are detached", 2, func(s *simulation, r *rand.Rand) {
			s.cut("the management links are detached", func() { s.bus.DetachLinks(queueName+"/$management", pick(r, conditions), byTheSimulation) })
		}),
		at("F19: all tokens expire", 2, func(s *simulation, _ *rand.Rand) { s.cut("all tokens expire", s.bus.ExpireTokens) }),
		next("a connection is cut", 6, verdict.Cut, []sb.Op{sb.Open, sb.CBS, sb.Attach, sb.AttachNode, sb.Flow, sb.Deliver, sb.Settle, sb.SettleEcho, sb.Send, sb.RenewLock, sb.Management, sb.Reply},
			func(*rand.Rand) sb.Fault { return sb.DropConnection() }),
		next("a session ends", 3, verdict.Cut, []sb.Op{sb.Attach, sb.Flow, sb.Deliver, sb.Settle, sb.SettleEcho, sb.Send},
			func(r *rand.Rand) sb.Fault { return sb.EndSession(pick(r, conditions), byTheSimulation) }),
		next("a link is detached", 4, verdict.Cut, []sb.Op{sb.Attach, sb.Flow, sb.Deliver, sb.Settle, sb.SettleEcho, sb.Send, sb.Management, sb.Reply},
			func(r *rand.Rand) sb.Fault { return sb.DetachLink(pick(r, conditions), byTheSimulation) }),
		next("F6: settlements unheard", 4, verdict.Passing, []sb.Op{sb.Settle, sb.SettleEcho, sb.Reply},
			func(*rand.Rand) sb.Fault { return sb.Swallow() }),
		next("F5: a renewal goes wrong", 3, verdict.Passing, []sb.Op{sb.RenewLock}, func(r *rand.Rand) sb.Fault {
			return pick(r, []sb.Fault{sb.Delay(7 * time.Second), sb.Swallow(), sb.Fail("amqp:unauthorized-access", byTheSimulation)})
		}),
		next("F5: a renewal says that the lock is lost", 2, verdict.LockEnded, []sb.Op{sb.RenewLock},
			func(*rand.Rand) sb.Fault { return sb.Fail("com.microsoft:message-lock-lost", byTheSimulation) }),
		next("F7: a lock ends early", 3, verdict.LockEnded, []sb.Op{sb.Deliver, sb.Settle, sb.RenewLock},
			func(r *rand.Rand) sb.Fault { return sb.ExpireLock(time.Duration(r.Int64N(int64(20 * time.Second)))) }),
		next("F8: a settlement is throttled", 2, verdict.LockEnded, []sb.Op{sb.Settle},
			func(*rand.Rand) sb.Fault { return sb.ServerBusy() }),
		next("F8: a request is throttled", 3, verdict.Passing, []sb.Op{sb.Attach, sb.Send, sb.RenewLock, sb.Management},
			func(*rand.Rand) sb.Fault { return sb.ServerBusy() }),
		next("F9: a link closes late", 1, verdict.Passing, []sb.Op{sb.Detach}, func(*rand.Rand) sb.Fault { return sb.Delay(2 * time.Second) }),
		next("F10: a copy is stored twice", 3, verdict.StoredTwice, []sb.Op{sb.Send}, func(*rand.Rand) sb.Fault { return sb.Duplicate() }),
		next("F13: a slow delivery", 2, verdict.Passing, []sb.Op{sb.Deliver}, func(*rand.Rand) sb.Fault { return sb.SlowTransfer(5, 300*time.Millisecond) }),
		at("a delivery is lost", 2, func(s *simulation, _ *rand.Rand) {
			s.bus.OnNext(sb.Deliver, sb.Swallow(), sb.When(func(c sb.Call) bool {
				s.note(verdict.Fault{Kind: verdict.Cut, At: time.Now(), Message: c.MessageID, Name: "a delivery is lost"})
				return true
			}))
		}),
		next("F13: a connection trickles", 1, verdict.Passing, []sb.Op{sb.Connect}, func(*rand.Rand) sb.Fault { return sb.Trickle(64, time.Millisecond) }),
	}
}

// next arms a fault for the next one to three operations of a kind.
func next(name string, weight int, kind verdict.Kind, ops []sb.Op, fault func(*rand.Rand) sb.Fault) breakage {
	return breakage{name: name, weight: weight, begin: func(s *simulation, r *rand.Rand) func() {
		op, f := pick(r, ops), fault(r)
		return s.bus.OnNext(op, f, sb.Times(1+r.IntN(3)), s.noted(name, kind)).Remove
	}}
}

// released is how long the SDK may wait for the answer to a release, and keep what arrives meanwhile: the worker lets a
// receive hang for five seconds, and while a gate is closed nobody receives for up to five minutes.
const released = 5*time.Minute + 5*time.Second

// connectionLife is how long a connection lives, more or less.
const connectionLife = time.Hour

// noted is the last condition of a fault, so that it is asked only when the fault strikes.
func (s *simulation) noted(name string, kind verdict.Kind) sb.FaultOption {
	return sb.When(func(c sb.Call) bool {
		f := verdict.Fault{Kind: kind, At: time.Now(), Name: fmt.Sprintf("%s, %v %s", name, c.Op, c.Settlement)}
		switch {
		case c.Settlement == "release": // by the SDK, of what nobody received; and nobody can know that it was not heard
			f.Kind, f.Until = verdict.Cut, f.At.Add(released)
		case kind == verdict.LockEnded:
			f.Message = c.MessageID
		case c.Op == sb.Connect: // what is done to a connection slows all that goes over it
			f.Until = f.At.Add(connectionLife)
		}
		s.note(f)
		return true
	})
}

// cut does what breaks connections or links.
func (s *simulation) cut(name string, do func()) {
	s.note(verdict.Fault{Kind: verdict.Cut, At: time.Now(), Name: name})
	do()
}

// lasting faults go on for a while.
func lasting() []breakage {
	short := []time.Duration{5 * time.Second, 30 * time.Second, 70 * time.Second}
	long := []time.Duration{time.Minute, 10 * time.Minute, 40 * time.Minute}
	deaf := func(name string, weight int, lasts []time.Duration, begin func(s *simulation, r *rand.Rand) func()) breakage {
		return breakage{name: name, weight: weight, lasts: lasts, kind: verdict.Deaf, begin: begin}
	}
	every := func(name string, weight int, lasts []time.Duration, op sb.Op, f func(*rand.Rand) sb.Fault, drop bool) breakage {
		return deaf(name, weight, lasts, func(s *simulation, r *rand.Rand) func() {
			end := s.bus.OnNext(op, f(r), sb.Keep()).Remove
			if drop {
				s.cut(name, func() { s.bus.DropConnections() })
			}
			return end
		})
	}
	swallow := func(*rand.Rand) sb.Fault { return sb.Swallow() }
	busy := func(*rand.Rand) sb.Fault { return sb.ServerBusy() }
	fail := func(r *rand.Rand) sb.Fault { return sb.Fail(pick(r, conditions), byTheSimulation) }
	slow := func(*rand.Rand) sb.Fault { return sb.Delay(time.Second) }
	return []breakage{
		// No network lets a connection live on that has lost bytes.
		deaf("F12: dark connections", 4, append(short, long...), func(s *simulation, _ *rand.Rand) func() {
			s.bus.MuteConnections(true)
			return func() { s.cut("dark connections are reset", func() { s.bus.ResetConnections() }) }
		}),
		deaf("F1: mute links", 2, long, func(s *simulation, _ *rand.Rand) func() {
			s.bus.MuteLinks(queueName, true)
			return func() { s.bus.MuteLinks(queueName, false) }
		}),
		deaf("F11: the queue is disabled", 2, long, func(s *simulation, _ *rand.Rand) func() {
			_ = s.bus.SetStatus(queueName, sb.StatusReceiveDisabled) // the queue exists
			return func() { _ = s.bus.SetStatus(queueName, sb.StatusActive) }
		}),
		deaf("F15: clocks differ", 2, long, func(s *simulation, r *rand.Rand) func() {
			s.bus.SkewClock(pick(r, []time.Duration{-10 * time.Minute, -2 * time.Second, 2 * time.Second, 10 * time.Minute}))
			return func() { s.bus.SkewClock(0) }
		}),
		every("F4: tokens refused", 2, long, sb.CBS, fail, true),
		every("F4: tokens unanswered", 1, long, sb.CBS, swallow, true),
		every("attach refused", 2, long, sb.Attach, fail, true),
		every("connections refused", 2, long, sb.Connect, fail, true),
		every("connections unanswered", 2, long, sb.Connect, swallow, true),
		every("F6: settlements unheard", 2, short, sb.Settle, swallow, false),
		every("F6: settlements unanswered", 2, short, sb.SettleEcho, swallow, false),
		every("F8: settlements throttled", 2, short, sb.Settle, busy, false),
		every("F8: copies throttled", 2, short, sb.Send, busy, false),
		every("F20: a dead management node", 2, long, sb.Management, swallow, false),
		every("F20: its answers are lost", 1, long, sb.Reply, swallow, false),
		every("F5: renewals refused", 2, long, sb.RenewLock, fail, false),
		every("slow settlements", 2, long, sb.Settle, slow, false),
		every("slow answers", 2, long, sb.Reply, slow, false),
	}
}
