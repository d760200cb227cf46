package batchtest

import (
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Operation names what a request asked for, as routed.
type Operation string

// The operations the account tells apart. Anything but the first two is a stray.
const (
	TerminateTask Operation = "TerminateTask"
	GetTask       Operation = "GetTask"
	TerminateJob  Operation = "TerminateJob"
	DeleteJob     Operation = "DeleteJob"
	DeleteTask    Operation = "DeleteTask"
	Unknown       Operation = "Unknown"
)

// Call is one request and what became of it.
type Call struct {
	Time      time.Time
	Operation Operation
	Method    string
	Path      string // as on the wire, escapes and all
	Query     url.Values
	Header    http.Header // without Authorization
	Bearer    bool        // an Authorization header with a bearer token was present
	JobID     string
	TaskID    string

	Status int    // answered; 0 if the connection was dropped instead
	Code   string // of the BatchError answered
	Acted  bool   // the request has changed a job or a task
	Fault  string // the last fault that took part, or empty
	Stray  bool   // not Terminate Task or Get Task, or not written plainly
}

// callLog keeps the latest calls and counts all of them. The Account's mutex
// guards it.
type callLog struct {
	limit  int
	calls  []Call
	strays []Call
	total  int
}

func (l *callLog) add(c Call) {
	l.total++
	if c.Stray {
		l.strays = keepLatest(append(l.strays, c), max(l.limit, 1))
	}
	if l.limit > 0 {
		l.calls = keepLatest(append(l.calls, c), l.limit)
	}
}

// keepLatest lets the slice grow to twice its limit, so that trimming is rare.
func keepLatest(calls []Call, limit int) []Call {
	if len(calls) < 2*limit {
		return calls
	}
	return slices.Clone(calls[len(calls)-limit:])
}

// Calls returns the calls remembered, in the order they were finished.
func (a *Account) Calls() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return latest(a.log.calls, a.log.limit)
}

// Strays returns the calls that were anything else than a plainly written
// Terminate Task or Get Task. A correct client makes none.
func (a *Account) Strays() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return latest(a.log.strays, max(a.log.limit, 1))
}

// CallCount returns how many calls have finished, remembered or not.
func (a *Account) CallCount() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.total
}

// MaxInFlight returns the largest number of requests that were being served at
// the same time.
func (a *Account) MaxInFlight() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.maxInFlight
}

func latest(calls []Call, limit int) []Call {
	return slices.Clone(calls[max(0, len(calls)-limit):])
}
