// Package transport is the server half of an AMQP 1.0 connection: handshake,
// connection, sessions, links, credit and settlement. It knows nothing of queues;
// it hands messages to the interfaces in api.go, which is the file to read first.
//
// # Goroutines
//
// A connection has three, and Serve waits for all of them:
//
//	reader ──batches of whole frames──► loop ──one buffer──► writer
//	   ▲────────────buffer back──────────┘ ▲──────buffer back──┘
//
// The loop owns everything: the connection's state, its sessions and its links.
// So that state needs no lock, and a link costs no goroutine. Everything in this
// package without a comment to the contrary is touched by the loop alone. The
// outside reaches it through [Conn.post], a list of functions under a short lock;
// a Source that has news does the same.
//
// The reader takes all that a read returns and passes on the frames that are
// complete; the loop handles the whole batch, lets links with credit send, and only
// then hands the writer what has come together. So a batch of settlements costs
// one write, and nobody waits for a timer to get small frames out.
//
// # Memory
//
// While the writer is busy the loop fills a second buffer. Above highWater it stops
// acquiring messages; above hardLimit it stops reading, between any two frames, because a
// client that sends without ever reading would otherwise choose the size of our echoes. A
// link acquires about as many bytes as the backlog may hold, going by the size of the
// message before: one source that mixes tiny and huge messages can exceed that once.
//
// Nothing that a client can make us hold is without a bound:
//
//	sessions of a connection       5000, announced         close, framing-error
//	links of a session             256, announced          close, framing-error
//	links of a connection          5000                    end, resource-limit-exceeded
//	name or address of a link      4 KiB                   end, invalid-field
//	frame                          256 KiB, announced      close, framing-error
//	frame before open              512 bytes (SASL)        cut
//	message                        the sink's, announced   rejected, message-size-exceeded
//	messages begun and not ended   64 MiB a connection     detach, resource-limit-exceeded
//	unsettled deliveries           65536 a session         the oldest is forgotten, its lock runs out
//	responses left unread          5000 or 64 MiB a link   detach, resource-limit-exceeded
//	bytes left unread              4 MiB a connection      not read from, then as silent
//	time from the first byte       1 minute to open        close, resource-limit-exceeded
//	silence                        twice the idle timeout  close, resource-limit-exceeded
//	idle timeout of the client     100 ms at least         close, not-allowed
//	nesting of values              32                      decode-error
//	what the client itself takes   its max-frame-size      close, frame-size-too-small
//	                               its channel-max         close, not-allowed
//	                               its handle-max          end, not-allowed
//
// Windows and credit cannot be violated by a client: every frame is dealt with before the
// next is read, and both are topped up long before they are spent. What goes wrong before
// open is answered with open and close if the protocol header has been agreed, and with a
// cut if not.
//
// # Sending
//
// A link becomes ready by a flow, by news from its source, or by a window that
// opens. Ready links take turns of quantum deliveries. What a link has acquired and
// not yet sent is released when the link ends; what was sent stays locked, as in
// Service Bus, where a lock outlives the link.
//
// # Sessions
//
// A receiver with a session filter (Service Bus) is attached by [Namespace.OpenSession],
// which may answer much later: the link waits in state attaching, and the loop goes on.
// Whatever ends the link meanwhile gives up the session, as [Source.Close] gives back one
// that it has.
//
// # Faults
//
// The Interceptor is asked at each Op. A delay goes to the loop's list of timers, so
// one operation waits and the connection goes on; a link whose attach is delayed
// exists already and collects credit.
//
// Credit follows the deliveries that are written (part 2 §2.6.7): one that is swallowed
// leaves its credit to the next message, or a client that still counts it would never
// grant more. A mute link takes credit, keeps what it acquired and writes nothing.
// Ends of idle links and connections are no faults but rules of Service Bus (idle.go).
//
// # Not emulated, refused with amqp:not-implemented
//
//   - transactions: attaching to a coordinator, transactional delivery states
//   - dynamic nodes: a source or target without an address that asks for one
//   - source filters, but for the session filter
//   - resuming deliveries: a transfer with resume set. Unsettled maps in attach are
//     read past, as Service Bus clients never send one
//
// TLS is not negotiated inside AMQP (protocol id 2): hand Serve a tls.Conn. Any SASL
// mechanism is accepted as it comes; who may do what is the namespace's business.
package transport
