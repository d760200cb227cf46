// Package broker holds the rules of a Service Bus namespace and nothing else: no AMQP, no socket, no encoding. A
// payload is opaque here, so that every rule can be tested without a byte on a wire.
//
// The life of a message, in the words the worker uses for it:
//
//	scheduled ──due──► active ──Acquire──► locked ──Complete────► ended
//	                     ▲                  │  ▲└── Renew (only the expiry moves)
//	                     ├── Abandon ───────┤       delivery count + 1 ┐ either one dead-letters instead
//	                     ├── lock expires ──┤       delivery count + 1 ┘ once the queue's limit is spent
//	                     ├── Release ───────┤       delivery count unchanged
//	                     │                  ├──Defer───────► deferred (only by sequence number, then locked again)
//	                     └── TTL expires    └──DeadLetter──► dead-letter sub-queue, with reason and description
//
// An entity is one mutex, one sequence, one timer and three stores: the queue, its dead-letter sub-queue and the one for
// what could not be forwarded. The sub-queues are Queues of their own with the limits switched off. Sharing the mutex
// makes a move between them atomic, and that is what lets a test say that a message is in exactly one place.
//
// Topology. A topic is an entity whose store keeps only what is scheduled, a subscription one that is sent to by its
// topic alone. Forwarding and publishing are the same thing: a message that would become active leaves its entity
// instead, and the router delivers it:
//
//	           ┌────────────────────────── router ──────────────────────────┐
//	topic ─────┤ each subscription's rules ─► a copy, or one per action      ├──► subscription
//	source ────┤ ForwardTo, ForwardDeadLetteredTo, at most four hops          ├──► queue or topic, as a new message
//	           └─ not taken: back to the source, into its transfer sub-queue ┘
//
// The router locks one entity at a time, source or target, so there is no order of locks to keep and a circle of
// entities is only a circle. It has no goroutine: whoever caused a transfer delivers what is pending, one after the
// other, and returns when all it caused has arrived. Copies share their payload.
//
// Duplicates are found by id where a message is accepted, a forwarded one included, and are accepted and dropped.
//
// Time. A message waits for at most one thing: active for its time to live, locked for the end of its lock, scheduled
// for its turn; a session lock waits for its end, or for a session. So one heap orders all of them and one timer
// watches its top. Every operation first lets happen what is due, at the time it was due, and only then does its own
// work; the timer merely makes sure that somebody looks. A settlement that arrives at the very instant of expiry is
// therefore refused whichever goroutine runs first.
//
// Order. Active messages are handed out by sequence number, never by map order; a message that comes back takes its
// old place. Cost: O(log n) for everything that touches one message, O(messages) memory.
//
// Sessions. A store that requires them gives nothing to a receiver of its own: whoever wants messages holds a
// SessionLock, which one owner has at a time and which is one lock for all messages taken under it. It runs out like
// any other lock, in the same heap, and then they all count a delivery; released, they count none. Who waits for the
// next session is served first come first served, the sessions by their oldest active message. Dead-letter sub-queues
// know no sessions.
//
// Rejected: a goroutine per queue (nothing to wait for when the entity is idle, and one more thing to stop), a lock
// per message (moves would need two), a lock per namespace (independent queues would wait for each other, and rules
// would run under it), a clock interface (testing/synctest makes plain time virtual).
package broker
