// Package mgmt answers the requests of "<entity>/$management": what Service Bus does with a message outside a link.
//
// One file holds the envelope (node.go), one the reading of requests (request.go), one the operations
// (operations.go, sessions.go, rules.go). An operation is a function from the request map to the reply map; it may not see the envelope.
// Everything Service Bus knows and this package does not is answered with status 501 and amqp:not-implemented, so
// that a client that needs it fails at once and says why.
package mgmt
