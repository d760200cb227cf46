// Package check looks at everything that a worker needs before one is started: settings, address to listen at, credentials,
// rights, the queue's own settings against the worker's, clocks. It changes nothing: no message is taken, locked or sent, no
// task is terminated.
//
//	run.go         the order of the checks, and what depends on what
//	report.go      a result, and the report as text and JSON
//	local.go       settings and the address to listen at
//	servicebus.go  token, network, right to receive and to send, and what the scaler reads
//	entity.go      the queue's settings against the worker's
//	batch.go       token, network, right to read and to terminate
//	token.go       a credential's answer, and who it says that we are
//	clock.go       the services' clocks against ours
//
// # Fail or warn
//
// A check fails when the worker would not work, or would lose or burn messages. It warns when the worker would work, and worse
// than it could. What a passing outage shows is a warning: it says nothing about how things are set up. A check that cannot be
// made because another failed is skipped, and says so.
//
// # How the right to terminate is proven
//
// By asking for it: Terminate Task for a job and a task whose ids are 128 random bits, on the condition of an ETag that is
// random too. Batch refuses who has no right with 401 or 403, and anybody else with "no such job". Two guesses would have to
// come true at once before a task was terminated. If the read before it finds the task, whatever answers is not Batch, and
// nothing is asked to be terminated. That Batch judges the right before it looks for the job is what its error codes suggest,
// and nowhere written.
//
// # Rejected
//
//   - A message that is sent and received again: a running worker would take it, and the queue's history would tell of it.
//   - Asking Azure Resource Manager for role assignments: it takes a right that the worker has no other use for, and says what
//     is assigned, not what works.
package check
