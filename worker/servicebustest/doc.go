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
// goroutines live until then. Listen serves TCP, for processes of their own and for other languages.
//
// # Emulated
//
// Queues with dead-letter sub-queues: peek-lock and receive-and-delete, complete, abandon, defer, dead-letter and
// release; lock expiry, renewal and settlement by token from any connection; delivery limit; time to live; schedule
// and cancel; deferred messages; peek; single messages and batches; message annotations and every body kind byte for
// byte; $cbs with shared access signatures (verified on request) and JWT (never verified); $management; the
// administration API over HTTP for queues, topics, subscriptions and rules (AdminHandler), in both tiers.
//
// Topics with subscriptions and their rules: SQL and correlation filters and SQL actions, added over $management or
// HTTP; forwarding; deletion of messages in batches.
//
// # Gap list
//
// Refused loudly, each with a test:
//
//   - duplicate detection and sessions: Start fails for a queue that requires them, session operations answer 501
//   - $management operations other than these: 501 with amqp:not-implemented
//   - the transfer dead-letter queue: attach is refused with amqp:not-implemented
//   - transactions and dynamic nodes: attach is refused with amqp:not-implemented
//
// Not there at all: TLS and WebSocket (a dialer of the test's own brings any net.Conn),
// entity quotas and throttling (use OnNext), claims per right (any accepted token may send and listen), partitioning,
// auto-delete, the closing of idle links after ten minutes (use DetachLinks).
//
// # Design
//
// The façade in this directory is all that a test sees. Below it the layers import one way: codec, frames, message
// and transport speak AMQP and know no queue; broker knows queues and no AMQP; dialect translates between the two;
// mgmt and cbs answer requests. Beside them atom speaks HTTP, and admin fits it to the broker. Nothing here imports a
// client library or other code of this module, so that a mistake of ours fails a test instead of agreeing with itself.
// Time is plain time: no clock to inject, no polling.
package servicebustest
