package verdict

import (
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// Request is one message of the plan, and what it has to come to.
type Request struct {
	// ID is the message's id. Messages with one id are one request that was sent more than once.
	ID string
	// Job and Task are what the request names; empty when that cannot be called.
	Job, Task string
	// Completes the task: it has to be completed in the end, whoever did it.
	Completes bool
	// Skips: the request may finish on a read of the task alone, because of its own condition.
	Skips bool
	// DeadLetter lists the reasons of which the dead letter has to bear one; none: the request has to be completed.
	DeadLetter []string
	// Hostile: no call may be made for it.
	Hostile bool
}

// Worker is one worker's life, by the clock of whoever ran it.
type Worker struct {
	Started time.Time
	// Stopped is when it was told to, zero when it was killed; Ended when nothing of it ran any more.
	Stopped, Ended time.Time
	// Said is the last that was heard of it, for the reader only.
	Said string
}

func (w Worker) killed() bool { return w.Stopped.IsZero() }

// Kind is what a fault may excuse.
type Kind uint8

// The kinds of faults.
const (
	// Passing excuses no lock: what it breaks, the worker mends.
	Passing Kind = iota
	// Cut ends a connection or a link: what is on the wire then is lost with it.
	Cut
	// Deaf is a time in which the broker hears or answers settlements and renewals badly or not at all.
	Deaf
	// Frozen is Deaf, for a worker that stands still. What it had looked at by then may go out as soon as it goes on.
	Frozen
	// StoredTwice: the broker makes two messages of one that was sent.
	StoredTwice
	// LockEnded: the broker ends the lock of a message early, whatever its holder was told. Without a message it met none.
	LockEnded
	// Account is a fault of Batch. It excuses nothing that happens at the queue.
	Account
	// Doubled: the broker sends a delivery twice under one lock. It excuses none, and is two deliveries to its worker.
	Doubled
)

// Fault is a disturbance of the run.
type Fault struct {
	Kind Kind
	At   time.Time
	// Until is the end of a fault that lasts; zero: a moment.
	Until time.Time
	// Message limits it to the messages with this id; "" is all of them, but none for LockEnded.
	Message string
	// Name is what it is called, for the reader only.
	Name string
}

// loses tells whether the fault may cost the queue a lock or an answer for good, which the worker does not mend.
func (f Fault) loses() bool { return f.Kind != Passing && f.Kind != Account }

// touches tells whether the fault is under way at some time between the two.
func (f Fault) touches(from, to time.Time) bool {
	until := f.Until
	if until.IsZero() {
		until = f.At
	}
	return !f.At.After(to) && !until.Before(from)
}

// Evidence is what a run leaves behind.
type Evidence struct {
	Requests []Request
	Workers  []Worker
	// Faults are all there were, kills of workers apart: those are known from Workers.
	Faults []Fault
	// Concurrency and Grace are what each worker was told.
	Concurrency int
	Grace       time.Duration
	// Lock is how long the queue grants a lock for.
	Lock time.Duration
	// Recorded is the number of outcomes that the workers recorded, for P10.
	Recorded int

	// The rest is read by Read.

	Counts      servicebustest.Counts
	Ledger      []servicebustest.MessageHistory
	Dead        []servicebustest.StoredMessage
	Calls       []batchtest.Call
	Strays      []batchtest.Call
	CallCount   int
	MaxInFlight int
	// Completed tells whether a task is completed.
	Completed func(job, task string) bool
}

// Read takes what the two services have written down, once all workers have ended.
func (e *Evidence) Read(queue *servicebustest.Queue, account *batchtest.Account) {
	e.Counts, e.Ledger, e.Dead = queue.Counts(), queue.Ledger(), queue.DeadLettered()
	e.Calls, e.Strays, e.CallCount, e.MaxInFlight = account.Calls(), account.Strays(), account.CallCount(), account.MaxInFlight()
	e.Completed = func(job, task string) bool {
		t, ok := account.Task(job, task)
		return ok && t.State == batchtest.TaskCompleted
	}
}
