// Package mgmt answers the requests of "<entity>/$management": what Service Bus does with a message outside a link.
//
// One file holds the envelope (node.go), one the reading of requests (request.go), the others the operations. An
// operation is a function from the request map to the reply map; of the envelope it learns only which link of the
// client the request is about, by which a session's receiver is known. Everything Service Bus knows and this package does not is answered with status 501 and amqp:not-implemented, so
// that a client that needs it fails at once and says why.
package mgmt
