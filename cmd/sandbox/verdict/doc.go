// Package verdict says, after a run, whether the worker kept its promises. It judges by what the two services wrote down:
// the history that the embedded Service Bus keeps of every message, and the simulated Batch account's log of every call.
// What the worker says of itself counts for nothing, but for P10, where it is compared.
//
//	e := verdict.Evidence{Requests: plan, Concurrency: 64, Grace: 30 * time.Second, Workers: …, Faults: …}
//	e.Read(queue, account)
//	v := verdict.Judge(e)
//
//	evidence.go    what a run leaves behind: fill this in
//	verdict.go     the lines, one for each promise and invariant, and Jepsen's classes of what happened to a request
//	history.go     the ledger, read as requests, their messages and the locks on them
//	excuse.go      which locks ended through no fault of the worker
//	promises.go    P1 to P6
//	operation.go   P7 to P10: bounds, stops, accounts
//	invariants.go  I2, I4 and I12, which no promise has in it
//	story.go       all that is known of a request that went wrong
//	pace.go        how long requests took, and how soon the pace was back
//
// # Fairness
//
// A fault excuses one lock at a time, by what the ledger says of that lock, never a run as a whole. A lock that ended by
// itself is excused if its message was on the wire when its connection was cut and nobody ever used it; if it was held
// when a worker was killed and was not used after; if the broker was deaf at some time since it last granted it; if the
// broker was told to end it. All others are burned.
//
// A ledger does not say which worker held a lock. Where several are at work and one is killed, a lock that another one
// forgets at that very moment is excused with it; runs without kills have no such blind spot.
package verdict
