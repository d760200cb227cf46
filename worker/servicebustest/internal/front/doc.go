// Package front is what a connection meets first: it finds out what the client speaks, so that one port serves AMQP,
// AMQP over WebSocket and HTTP, each with and without TLS. It knows none of them beyond the first bytes.
//
//	socket ──Open──┬─ 16 (TLS handshake record) ── handshake, then the same question about what is inside
//	               ├─ "AMQP" ──────────────────────────────────────────────────► AMQP
//	               ├─ an upper-case letter ── Web.Serve ─┬─ requests ──► handler
//	               │                                     └─ upgrade ───────────► AMQP
//	               └─ anything else ───────────────────────────────────────────► AMQP, which has rules for it
//
// Patience bounds all of it together: a client that is silent, or sends a byte now and then, loses its connection and
// costs one goroutine until then. Nothing is read beyond what decides, and what was read is read again by whoever
// takes the connection over.
//
// ALPN is not offered, so that HTTP clients stay with HTTP/1.1 and AMQP clients, which name no protocol, are not asked
// for one. TLS inside AMQP (protocol id 2) is not here either: no client of Service Bus uses it.
package front
