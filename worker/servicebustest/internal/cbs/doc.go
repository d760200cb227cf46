// Package cbs answers put-token requests on "$cbs", the node where a client shows its right to an entity before it
// attaches a link (AMQP Claims-Based Security).
//
// By default any well-formed token will do: what is under test is a worker, not a signature. What a worker must cope
// with is decided here all the same: a missing entity is a 404 whose text clients match, a malformed or expired token
// a 401. With a key configured, shared access signatures are verified too.
package cbs
