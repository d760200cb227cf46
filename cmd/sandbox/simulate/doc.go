// Package simulate lets days of production pass in seconds: the production worker, the Service Bus SDK and net/http as
// they are, against the embedded Service Bus and the simulated Batch account, over connections in memory and in virtual
// time. A seed decides what arrives, what breaks, and when workers come and go; package verdict judges the ledgers.
//
//	run.go        one run, from seed to result; start here
//	bubble.go     virtual time, and the watch over it in real time
//	agenda.go     what happens at what time
//	arrivals.go   the requests: daily rhythm, bursts, duplicates
//	kinds.go      the sorts of requests, what Batch makes of each, and what each has to come to
//	replicas.go   workers: started, drained, killed, more of them and fewer
//	network.go    the connections of one worker, and their end when it is killed
//	faults.go     which fault strikes when
//	bus.go        the faults of Service Bus
//	batch.go      the faults of Batch
//
// # What a seed fixes
//
// Everything that this package draws: requests, arrival times, faults, kills (Result.Plan is the fingerprint). Not what the
// product and the runtime draw: the jitter of waits, lock tokens, the order in which goroutines run that are ready at one
// instant. So a replay has the same plan and about the same numbers, but another course: a failure may need a few runs to
// come again, and what a seed has found belongs into a test of a lower tier, which simulate_test.go names.
//
// # What it leaves to others
//
// A goroutine that waits for a mutex of the SDK whose holder waits for the clock stops virtual time (two settlements while
// the broker is slow to detach their link, for one): such a run ends as a standstill, which is no verdict on the worker. Any
// other standstill is, and ends with the stacks of the bubble. The renewal of claims is left out by a connection string with
// a signature, for its goroutines wait for each other in that way. Processes that are stopped and continued, memory, TLS,
// resets inside a frame, and speed belong to real time, and so does whatever needs many callers inside the SDK at once.
package simulate
