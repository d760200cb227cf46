// Package broker holds the rules of a Service Bus queue and nothing else: no AMQP, no socket, no encoding. A payload
// is opaque here, so that every rule can be tested without a byte on a wire.
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
// An entity is one mutex, one sequence, one timer and two stores: the queue and its dead-letter sub-queue, which is a
// Queue of its own with the limits switched off. Sharing the mutex makes a move between the two atomic, and that is
// what lets a test say that a message is in exactly one place.
//
// Time. A message waits for at most one thing: active for its time to live, locked for the end of its lock, scheduled
// for its turn; a session lock waits for its end, or for a session. So one heap orders all of them and one timer watches its top. Every operation first lets happen what
// is due, at the time it was due, and only then does its own work; the timer merely makes sure that somebody looks.
// A settlement that arrives at the very instant of expiry is therefore refused whichever goroutine runs first.
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
// per message (moves would need two), a clock interface (testing/synctest makes plain time virtual).
package broker
