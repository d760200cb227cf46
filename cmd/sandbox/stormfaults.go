package main

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/sandbox/verdict"
	"batchterminator/worker/servicebustest"
)

// stormFault is one way to break something.
type stormFault struct {
	name   string
	weight int
	strike func(s *storm, name string)
}

// detaches are the conditions that a link ends with, closes those of a connection.
var (
	detaches = []string{
		"amqp:link:detach-forced", "amqp:not-found", "amqp:unauthorized-access", "amqp:not-allowed", "amqp:internal-error",
		"amqp:resource-limit-exceeded", "amqp:resource-deleted", "com.microsoft:entity-disabled", "com.microsoft:server-busy",
		"com.microsoft:timeout", "com.microsoft:operation-cancelled", "com.microsoft:container-close",
	}
	closes = []string{"amqp:connection:forced", "amqp:internal-error", "com.microsoft:server-busy", "com.microsoft:timeout", "com.microsoft:container-close"}
)

// stormFaults are all there are: of the wire, of the broker, of Batch, of processes.
func stormFaults() []stormFault {
	return slices.Concat(linkFaults(), lockFaults(), queueFaults(), batchFaults(), processFaults())
}

func linkFaults() []stormFault {
	return []stormFault{
		{"reset connections", 2, func(s *storm, name string) { s.cut(name, func() { s.bus.ResetConnections() }) }},
		{"drop connections", 1, func(s *storm, name string) { s.cut(name, func() { s.bus.DropConnections() }) }},
		{"detach links", 4, func(s *storm, name string) {
			condition := detaches[s.random.IntN(len(detaches))]
			s.cut(name, func() { s.bus.DetachLinks(queueName, condition, "by the storm") })
		}},
		{"detach management links", 1, func(s *storm, name string) {
			s.cut(name, func() { s.bus.DetachLinks(queueName+"/$management", "amqp:link:detach-forced", "by the storm") })
		}},
		{"close connections", 3, func(s *storm, name string) {
			condition := closes[s.random.IntN(len(closes))]
			s.cut(name, func() { s.bus.CloseConnections(condition, "by the storm") })
		}},
		{"end session", 1, func(s *storm, name string) {
			s.on(name, servicebustest.Flow, servicebustest.EndSession("amqp:internal-error", "by the storm"), cutting, servicebustest.OnEntity(queueName))
		}},
		{"cut amid a transfer", 1, func(s *storm, name string) {
			s.on(name, servicebustest.Deliver, servicebustest.ResetConnection(), cutting)
		}},
		{"refuse attach", 1, func(s *storm, name string) {
			s.on(name, servicebustest.Attach, servicebustest.ServerBusy(), cutting, servicebustest.Times(3))
			s.cut(name, func() { s.bus.DropConnections() })
		}},
		{"refuse connections", 1, func(s *storm, name string) {
			s.on(name, servicebustest.Connect, servicebustest.DropConnection(), cutting, servicebustest.Times(3))
			s.cut(name, func() { s.bus.ResetConnections() })
		}},
		{"half-open connections", 2, func(s *storm, name string) {
			s.dark(name, 1500*time.Millisecond)
		}},
		{"mute links", 1, func(s *storm, name string) {
			s.during(name, 3*time.Second, func() { s.bus.MuteLinks(queueName, true) }, func() { s.bus.MuteLinks(queueName, false) })
		}},
		{"slow transfers", 1, func(s *storm, name string) {
			s.on(name, servicebustest.Deliver, servicebustest.SlowTransfer(4, 100*time.Millisecond), passing, servicebustest.Times(20))
		}},
	}
}

func lockFaults() []stormFault {
	completion := servicebustest.When(func(c servicebustest.Call) bool { return c.Settlement == "complete" })
	return []stormFault{
		{"lost settle answers", 2, func(s *storm, name string) {
			s.on(name, servicebustest.SettleEcho, servicebustest.Swallow(), passing, completion, servicebustest.Times(20))
		}},
		{"lost settlements", 1, func(s *storm, name string) {
			s.on(name, servicebustest.Settle, servicebustest.Swallow(), passing, completion, servicebustest.Times(20))
		}},
		{"settlements refused as busy", 1, func(s *storm, name string) {
			s.on(name, servicebustest.Settle, servicebustest.ServerBusy(), passing, completion, servicebustest.Times(10))
		}},
		{"management refused as busy", 1, func(s *storm, name string) {
			s.on(name, servicebustest.Management, servicebustest.ServerBusy(), passing, servicebustest.Times(3))
		}},
		{"lost management answers", 1, func(s *storm, name string) {
			s.on(name, servicebustest.Reply, servicebustest.Swallow(), unrenewed, servicebustest.Times(3),
				servicebustest.When(func(c servicebustest.Call) bool { return strings.HasPrefix(c.Operation, "com.microsoft:") }))
		}},
		{"duplicate deliveries", 2, func(s *storm, name string) {
			s.on(name, servicebustest.Deliver, servicebustest.Duplicate(), func(servicebustest.Call) verdict.Fault {
				return verdict.Fault{Kind: verdict.Doubled, At: time.Now()}
			}, servicebustest.Times(5))
		}},
		{"locks that end early", 1, func(s *storm, name string) {
			s.on(name, servicebustest.Deliver, servicebustest.ExpireLock(10*time.Millisecond), func(c servicebustest.Call) verdict.Fault {
				return verdict.Fault{Kind: verdict.LockEnded, At: time.Now(), Message: c.MessageID}
			}, servicebustest.Times(5))
		}},
		{"renewals refused", 1, func(s *storm, name string) {
			s.on(name, servicebustest.RenewLock, servicebustest.Fail("amqp:unauthorized-access", "by the storm"), unrenewed, servicebustest.Times(3))
		}},
		{"renewals unanswered", 1, func(s *storm, name string) {
			s.on(name, servicebustest.RenewLock, servicebustest.Swallow(), unrenewed, servicebustest.Times(3))
		}},
	}
}

func queueFaults() []stormFault {
	return []stormFault{
		{"queue disabled", 1, func(s *storm, name string) {
			s.cut(name, func() {})
			s.during(name, time.Second, func() { _ = s.bus.SetStatus(queueName, servicebustest.StatusDisabled) },
				func() { _ = s.bus.SetStatus(queueName, servicebustest.StatusActive) }) // the queue exists
		}},
	}
}

// unrenewed is a renewal that goes wrong: the next one comes a second after the answer, or the five seconds without. The first
// call of a new client renews a lock of nobody's; while its answer is missed no lock is renewed.
func unrenewed(c servicebustest.Call) verdict.Fault {
	now := time.Now()
	return verdict.Fault{Kind: verdict.Deaf, At: now, Until: now.Add(6 * time.Second), Message: c.MessageID}
}

func batchFaults() []stormFault {
	batch := func(f func() batchtest.Fault, opts ...batchtest.FaultOption) func(*storm, string) {
		return func(s *storm, name string) { s.batch(name, f(), opts...) }
	}
	status := func(status int, code string, retryAfter time.Duration) func() batchtest.Fault {
		return func() batchtest.Fault { return batchtest.Status(status, code, retryAfter) }
	}
	return []stormFault{
		{"Batch throttles", 1, batch(func() batchtest.Fault { return batchtest.ThrottleFor(time.Second) })},
		{"Batch is unavailable", 1, batch(func() batchtest.Fault { return batchtest.OutageFor(time.Second, http.StatusServiceUnavailable) })},
		{"Batch is gone", 1, batch(func() batchtest.Fault { return batchtest.OutageFor(time.Second, 0) })},
		{"Batch is busy", 1, batch(status(http.StatusServiceUnavailable, "ServerBusy", time.Second), batchtest.Times(10))},
		{"Batch fails", 1, batch(status(http.StatusInternalServerError, "InternalError", batchtest.NoRetryAfter), batchtest.Times(20))},
		{"Batch drops after acting", 2, batch(batchtest.DropAfterActing, batchtest.Times(20))},
		{"Batch drops before acting", 1, batch(batchtest.DropBeforeActing, batchtest.Times(20))},
		{"Batch hangs", 1, batch(batchtest.Hang, batchtest.Times(3))},
		{"Batch is slow", 1, batch(func() batchtest.Fault { return batchtest.Delay(3 * time.Second) }, batchtest.Times(20))},
		{"Batch refuses the token", 1, batch(batchtest.Unauthorized, batchtest.Times(2))},
		{"Batch cuts its answers", 1, batch(func() batchtest.Fault {
			return batchtest.TruncatedBody(http.StatusInternalServerError, "InternalError")
		}, batchtest.Times(5))},
		{"a gateway answers for Batch", 1, batch(func() batchtest.Fault { return batchtest.HTML(http.StatusBadGateway) }, batchtest.Times(5))},
	}
}
