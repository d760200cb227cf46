// Package worker is the mechanism between a Service Bus queue and the policy of package handler: it receives, keeps locks,
// settles exactly once, brings requests back later, and stops cleanly. It is the only package that knows the SDK.
//
// # One delivery
//
// Follow process in process.go; each step has its file:
//
//	fetch      pump.go       asks for exactly the free slots
//	hold       lock.go       renews the lock while the work is under way, cancels the work when it is lost; for how long a
//	                         grant is believed: brokerclock.go
//	decide     process.go    remembered outcome (finished.go, twins.go), alone if it is suspected (suspect.go), or
//	                         handler.Handle; a panic stays with its message
//	settle     settle.go     complete, dead-letter, or redeliver (redeliver.go): once, on a context of its own
//	record     record.go     one outcome in a metric and in one log line; on the message, where it lives on (ledger.go);
//	                         in a span, where deliveries are traced (trace.go)
//
// # States of a message
//
//	active ──receive──► locked ──complete────► gone
//	  ▲                  │  ▲└── renew (only the expiry moves)
//	  ├── lock expires ──┤       delivery count + 1
//	  ├── released ──────┤       by the SDK, what nobody took: count unchanged
//	  │                  ├──dead-letter──► dead-letter queue, with our reason and description
//	  └── scheduled ◄────┘       redeliver: a copy is scheduled, then the original completed; count starts at 1 again
//
// # Three contexts
//
//   - Run's: ends at the stop signal; intake ends with it, nothing else.
//   - work: each delivery's own, which is its lock (lock.go); ends with a cause, handler.ErrLockLost, or handler.ErrDraining
//     near the end of the grace period (underway.go).
//   - settle: detached from both and bounded, so that what is finished is settled even while the worker stops.
//
// # The SDK is not trusted
//
// Measured, not assumed: a receive that returns neither messages nor an error means that the link failed; calls overrun
// their context by up to a minute; a settlement on a lost connection tears down the healthy new one; a property of the
// wrong type panics inside a receive. Hence client.go: one value, one life, ended by its first failure; SDK retries off;
// every call guarded and recovered (sdkcall.go). What no client survives is kept from it: after a detach for throttling a goroutine of
// the SDK spins for ever, so the connection is ours (transport.go), and such a detach ends it instead (framewatch.go).
//
// Nor may it meet a management link that the broker has ended: it would close the receive link over what is on the wire
// (nodewatch.go). And of a connection that has ended it tells only the call that is under way, so clients.go looks for itself:
// a worker that drains, or may not receive, has none.
//
// A link that dies without a word is found by looking into the queue while it is silent (stall.go). A broker that cannot be
// reached or does not let us in is waited for, however long; but when our own loops, or calls that never return, or a
// spinning goroutine show that the process itself is broken, the worker ends with ErrStuck (watchdog.go).
//
// # Gates
//
// What one call learns about an account holds for all: gate.go. While the gate of the only account is closed no credit is
// issued, and what is out is taken back (withdraw.go), so an outage leaves the queue where it is: in the queue. After
// throttling an account gets half as many calls at once as before, and then additively more (climb.go); admit.go is what the
// gates let through.
//
// # Speed
//
// Between two messages stand the processor and the system calls, so a delivery costs few of either: settlements that are
// written at the same time share a write (gather.go), goroutines keep their grown stacks (crew.go), the call that settles
// runs on the delivery's own goroutine (sdkcall.go), and contexts are nobody's children.
//
// # Deaths
//
// What ends the process cannot be recovered from, and its messages return with nothing but a higher delivery count. Those
// that return twice run alone from then on, and three deaths while alone end one as crash_suspect. A delivery lost on the
// wire looks the same, so suspect.go says what is evidence and what is not: without a restart nothing is.
//
// # Drain
//
// Readiness false → no new credit, that which is out is withdrawn (withdraw.go) and what is on the wire taken in → in-flight
// work finishes, its locks still renewed → stragglers are interrupted and handed back as immediate copies → client closed → one final line.
//
// # By hand
//
// What commands do beside a running worker is here too, since only this package knows the SDK. browse.go looks into a queue and
// changes nothing; deadletters.go sends dead letters back or takes them out: errand.go is what a run does in order, hands.go
// what it does with the ones it holds, resubmit.go what of a dead letter comes back and how a copy is known again.
//
// # Rejected
//
//   - Abandon for a later retry: the message comes back at once and each round costs a delivery; ten rounds of an outage
//     dead-letter a whole queue.
//   - Batches with a barrier: measured at 39 % of the ideal where this pump gets 97 %.
//   - A fixed worker pool fed by a queue: the slot count already bounds the goroutines, and a queue would hide who holds a lock.
//   - A note that is written before a message runs, to prove that it did when the process died: nothing can be written to a
//     message but by settling it, and then another worker may receive it.
//   - Running what died once alone: a node that is killed would come back at a small part of its speed.
//   - Two connections: no faster in the benchmarks, where the CPU of the process is the limit.
//   - Deferring a message until later: it comes back only to who remembers its sequence number.
package worker
