// Package servicebustest is an embedded Azure Service Bus namespace: an AMQP 1.0 server that the official SDKs connect
// to unmodified, with a memory of everything that happened to every message and with faults on request.
//
//	func TestWorker(t *testing.T) {
//		sb := servicebustest.New(t, servicebustest.WithQueue("orders", servicebustest.QueueConfig{}))
//		client, _ := azservicebus.NewClientFromConnectionString(sb.ConnectionString(), &azservicebus.ClientOptions{
//			NewWebSocketConn: func(ctx context.Context, _ azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
//				return sb.Dial(ctx)
//			},
//		})
//		orders := sb.Queue("orders")
//		orders.Send(servicebustest.Message{ID: "1", Body: []byte("hello")})
//		sb.OnNext(servicebustest.SettleEcho, servicebustest.DropConnection())
//		// … receive with client, then ask orders.Counts(), orders.History("1"), orders.MaxLocked()
//	}
//
// Dial hands out in-memory connections, on which client and server run in a testing/synctest bubble: an hour of locks,
// schedules and idle connections passes in milliseconds. Close the client before the bubble ends: the SDK's
// goroutines live until then. Listen and ListenTLS serve TCP, for processes of their own and for other languages; each
// port takes AMQP, AMQP over WebSocket and HTTP, as Dial does.
//
// # Emulated
//
// Queues with dead-letter sub-queues: peek-lock and receive-and-delete, complete, abandon, defer, dead-letter and
// release; lock expiry, renewal and settlement by token from any connection; delivery limit; time to live; schedule
// and cancel; deferred messages; peek; sessions, accepted by id or the next one, with their state and their listing;
// single messages and batches; message annotations and every body kind byte for byte; $cbs with shared access
// signatures (verified on request) and JWT (never verified); $management; the administration API over HTTP for queues,
// topics, subscriptions and rules (AdminHandler), in both tiers.
//
// Topics with subscriptions and their rules: SQL and correlation filters and SQL actions, added over $management or
// HTTP; deletion of messages in batches. Forwarding, also of dead letters, over at most four hops, with the transfer
// dead-letter sub-queue for what the target does not take. Duplicate detection. Entities that are created, updated,
// disabled and deleted while clients use them, or because nobody does: their links are detached.
//
// # Faults
//
// What a broker is known to do to its clients, how to ask for it, and what azservicebus 1.11 makes of it; the tests
// named after the numbers show it. OnNext takes an Op and a Fault and strikes once unless Keep or Times say otherwise;
// OnEntity, OnMessage and When narrow it, After delays it. The other functions act on what there is now. F17 (the API
// behind a worker) and F18 (the death of its process) are not a broker's.
//
//	F1  mute link            MuteLinks, or OnNext(Attach|Flow|Deliver, MuteLink())
//	    Receives wait in vain, settlements work, no error ever: only a new receiver helps.
//	F2  forced detach        DetachLinks, or OnNext(op, DetachLink(condition, text))
//	    The next receive attaches anew; locks outlive the link. In a bubble never with com.microsoft:server-busy: the
//	    SDK retries at once and for ever, and virtual time stands still.
//	F3  idle detach          by itself, as Service Bus does: WithIdleLimits
//	    A receive that waits returns no message and no error; Close of a detached link returns an error.
//	F4  token refused        OnNext(CBS, Fail("amqp:unauthorized-access", text)), OnNext(CBS, Swallow())
//	    CodeUnauthorizedAccess, at once and for each call; with Swallow each call hangs until its context ends.
//	F5  renewal goes wrong   OnNext(RenewLock, Delay(d) | Swallow() | Fail(condition, text), OnMessage(id))
//	    Late or never; 410 is CodeLockLost, 401 CodeUnauthorizedAccess, 404 CodeNotFound.
//	F6  settlement unheard   OnNext(Settle, Swallow()) not applied, OnNext(SettleEcho, Swallow()) applied
//	    The call hangs until its context ends, and does not know which of the two it was.
//	F7  lock ends early      OnNext(Deliver|Settle|RenewLock, ExpireLock(d))
//	    The message comes again with its count raised; the first holder's renewals succeed until then.
//	F8  throttled            OnNext(op, ServerBusy())
//	    Sends and renewals are retried after a pause. A throttled settlement is retried too, and then reported as
//	    done although it is not: the SDK takes its own first attempt for a success.
//	F9  delivery at close    OnNext(Detach, Delay(d)), and a message meanwhile
//	    Nobody gets it; it stays locked, and has burned one delivery when it comes again.
//	F10 duplicate            OnNext(Deliver, Duplicate()) one lock, OnNext(Send, Duplicate()) two messages
//	    One lock: the second settlement is CodeLockLost. Two messages have one id and two sequence numbers.
//	F11 disabled, deleted    SetStatus, Delete
//	    An error with com.microsoft:entity-disabled for each call until it is enabled. Deleted: one amqp:not-found
//	    without a code, from then on CodeNotFound.
//	F12 cut, reset, dark     DropConnections, ResetConnections (RST on TCP), MuteConnections, and as faults;
//	                         DeafenConnections, SilenceConnections for one direction alone
//	    Cut: the next call connects anew. Dark: calls hang, and after the client's idle timeout as if it were cut. A client
//	    that still hears does not notice: heartbeats are enough for it.
//	F13 slow                 OnNext(Deliver, SlowTransfer(parts, pause)), OnNext(Connect, Trickle(size, pause))
//	    Nothing but time; a delivery that outlasts the wait of a receive call goes to the next.
//	F14 odd messages         OnNext(Deliver|Send|Reply, Alter(edits…) | Rewrite(f))
//	    Nil pointers where annotations are missing, a nil Body for anything but one data section. What is no message
//	    ends the link, and the message comes again.
//	F15 clock skew           SkewClock
//	    EnqueuedTime, LockedUntil and renewed expiries are off; what happens when is not.
//	F16 oversized text       by itself: dead-letter reason or description beyond 4096 characters
//	    By token an error; over the link reported as done, like F8, while the message stays locked.
//	F19 token expired        ExpireTokens, or time itself under WithClaims
//	    CodeUnauthorizedAccess once for each link, then a new token is put; see F4 for when it is refused.
//	F20 dead $management     OnNext(Management|Reply, Swallow(), Keep()), OnNext(AttachNode, MuteLink(), Times(2)),
//	                         DetachLinks(entity+"/$management", …)
//	    Renewals hang or fail while messages arrive and settle.
//
// A command-line server takes the same faults as JSON: see WithControl.
//
// # Gap list
//
// Refused loudly, each with a test:
//
//   - $management operations other than these: 501 with amqp:not-implemented
//   - transactions and dynamic nodes: attach is refused with amqp:not-implemented
//
// Not there at all: entity quotas and throttling (use OnNext), shared access rules of single entities (they are kept,
// and do not count), Azure roles (a JWT may do everything), TLS inside AMQP, partitioning (the flag counts for
// duplicate detection and the administration alone).
//
// # Design
//
// The façade in this directory is all that a test sees. Below it the layers import one way: codec, frames, message
// and transport speak AMQP and know no queue; broker knows queues and no AMQP; dialect translates between the two;
// mgmt and cbs answer requests. Before them all front finds out what a client speaks, and claims decides what it may do.
// Beside them atom speaks HTTP, and admin fits it to the broker. Nothing here imports a
// client library or other code of this module, so that a mistake of ours fails a test instead of agreeing with itself.
// Time is plain time: no clock to inject, no polling.
package servicebustest
