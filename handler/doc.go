// Package handler is the policy of the worker: it decides what a terminate request means and what every answer to it means.
//
// A delivery enters as a [Message] and leaves as a [Result]; nothing in between settles, schedules, logs or counts.
// The steps are decode → validate → terminate with retry → classify, and each has a file:
//
//	message.go     Message: what policy may know of a delivery, free of SDK types
//	request.go     Request: the strict message contract, field by field; schema.go has it as JSON Schema
//	cloudevents.go CloudEvents 1.0 envelopes around a request
//	identity.go    the client-request-id that every attempt for one request carries
//	retry.go       attempts inside one delivery: backoff, budget, Retry-After
//	attempt.go     one attempt: terminate, the check read, the stale-message guard
//	table.go       THE table: (code, status, cause) → outcome, and why
//	classify.go    which row of it a failed attempt meets
//	rows.go        the table as [Table] lists it for people
//	outcome.go     the closed set of outcomes and what each decides
//	redelivery.go  the schedule of later deliveries, and when to give up
//
// The worker owns the mechanism: it tells why it cancels work through [ErrLockLost] and [ErrDraining], and asks
// [Redelivery.Next] when a request has to come back later.
//
// # Why the outcome is a value
//
// Handlers that settle by side effect forget to, or do it twice. Here the only way to end a delivery is to return its
// Result, and exactly one function in package worker turns that into a settlement. It also makes the policy testable as
// a table, without a broker.
//
// # Rejected
//
//   - (retryable bool, error) pairs: they allow the meaningless (true, nil).
//   - Middleware chains: there is one route, and spreading its steps over stages hides it.
//   - Deciding on the HTTP status alone: Batch answers 403 both for a refused token, which must pause everything, and for
//     a passing I/O error, which must not.
package handler
