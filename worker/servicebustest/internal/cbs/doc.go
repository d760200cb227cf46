// Package cbs answers put-token requests on "$cbs", the node where a client shows its right to an entity before it
// attaches a link (AMQP Claims-Based Security).
//
// It speaks the protocol and leaves the judgement to package claims. What a client must cope with is said here: a
// missing entity is a 404 whose text clients match, a malformed, forged or expired token a 401.
package cbs
