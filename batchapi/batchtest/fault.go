package batchtest

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Fault is one way to fail. It sees a request before the account does and
// answers it, breaks it, or passes it on.
type Fault struct {
	name    string
	lasting time.Duration // >0: applies to every request for so long, from OnNext
	run     func(x *exchange)
}

// Rule is a fault in force.
type Rule struct {
	account *Account
	fault   Fault

	// The account's mutex guards the rest.
	left      int       // requests still to meet it; negative: no limit
	until     time.Time // zero: no limit
	job, task string    // folded; empty: any
	operation Operation // empty: any
	every     int       // >1: passes by all but each of that many
	passed    int       // requests that it applied to, with those passed by
	met       int
}

// FaultOption narrows or widens what a fault applies to.
type FaultOption func(*Rule)

// Times makes the fault meet n requests instead of one.
func Times(n int) FaultOption { return func(r *Rule) { r.left = n } }

// Keep makes the fault meet every request until it is removed.
func Keep() FaultOption { return func(r *Rule) { r.left = -1 } }

// EveryNth makes the fault pass by all but each nth request that it applies to.
func EveryNth(n int) FaultOption { return func(r *Rule) { r.every = n } }

// ForTask limits the fault to one task; an empty task id means all of the job's.
func ForTask(jobID, taskID string) FaultOption {
	return func(r *Rule) { r.job, r.task = fold(jobID), fold(taskID) }
}

// ForOperation limits the fault to one operation.
func ForOperation(op Operation) FaultOption { return func(r *Rule) { r.operation = op } }

// OnNext puts a fault in force: for the next request that it applies to, unless
// options or the fault itself say otherwise. Faults take their turns in the
// order they were added; one that passes a request on, such as Delay, leaves it
// to the next one that applies.
func (a *Account) OnNext(f Fault, opts ...FaultOption) *Rule {
	rule := &Rule{account: a, fault: f, left: 1}
	if f.lasting > 0 {
		rule.left, rule.until = -1, time.Now().Add(f.lasting)
	}
	for _, opt := range opts {
		opt(rule)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rules = append(a.rules, rule)
	return rule
}

// Remove ends the rule. Requests that have met it are not called back.
func (r *Rule) Remove() {
	r.account.mu.Lock()
	defer r.account.mu.Unlock()
	r.account.dropRule(r)
}

// Met returns how many requests the rule has met.
func (r *Rule) Met() int {
	r.account.mu.Lock()
	defer r.account.mu.Unlock()
	return r.met
}

// takeRule returns the first rule that applies to x and has not met it yet.
func (a *Account) takeRule(x *exchange) *Rule {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rules = slices.DeleteFunc(a.rules, func(r *Rule) bool {
		return !r.until.IsZero() && !time.Now().Before(r.until)
	})
	for _, r := range a.rules {
		if x.seen[r] || !r.applies(&x.call) {
			continue
		}
		if x.seen == nil {
			x.seen = make(map[*Rule]bool)
		}
		x.seen[r] = true
		if r.passed++; r.every > 1 && r.passed%r.every != 0 {
			continue
		}
		r.met++
		if r.left > 0 {
			if r.left--; r.left == 0 {
				a.dropRule(r)
			}
		}
		return r
	}
	return nil
}

func (r *Rule) applies(c *Call) bool {
	return (r.job == "" || r.job == fold(c.JobID)) &&
		(r.task == "" || r.task == fold(c.TaskID)) &&
		(r.operation == "" || r.operation == c.Operation)
}

func (a *Account) dropRule(r *Rule) {
	a.rules = slices.DeleteFunc(a.rules, func(other *Rule) bool { return other == r })
}

// Status answers with a BatchError, and a Retry-After if that is not negative.
func Status(status int, code string, retryAfter time.Duration) Fault {
	return Fault{name: "status " + strconv.Itoa(status) + " " + code, run: func(x *exchange) {
		resp := x.refusal(status, code, "The request met a simulated failure.")
		if retryAfter >= 0 {
			resp.header["Retry-After"] = []string{wholeSeconds(retryAfter)}
		}
		x.send(resp)
	}}
}

// NoRetryAfter is the wait to give to Status for an answer without the header.
const NoRetryAfter time.Duration = -1

// ThrottleFor answers every request with 429 until d has passed, each with the
// time that is left.
func ThrottleFor(d time.Duration) Fault {
	end := time.Now().Add(d)
	return Fault{name: "throttle", lasting: d, run: func(x *exchange) {
		resp := x.refusal(http.StatusTooManyRequests, "TooManyRequests", "There are too many requests for this account.")
		resp.header["Retry-After"] = []string{wholeSeconds(time.Until(end))}
		x.send(resp)
	}}
}

// OutageFor fails every request until d has passed: with the status, or, if that
// is 0, by dropping the connection before anything is done.
func OutageFor(d time.Duration, status int) Fault {
	return Fault{name: "outage", lasting: d, run: func(x *exchange) {
		if status == 0 {
			x.drop()
		}
		x.send(x.refusal(status, "", "The service is not available."))
	}}
}

// Delay passes the request on after d.
func Delay(d time.Duration) Fault {
	return Fault{name: "delay", run: func(x *exchange) {
		if !x.wait(d) {
			x.drop()
		}
		x.next()
	}}
}

// DropBeforeActing closes the connection with nothing done.
func DropBeforeActing() Fault {
	return Fault{name: "drop before acting", run: func(x *exchange) { x.drop() }}
}

// DropAfterActing does what was asked and closes the connection instead of
// answering.
func DropAfterActing() Fault {
	return Fault{name: "drop after acting", run: func(x *exchange) {
		x.act()
		x.drop()
	}}
}

// Hang takes the request and says nothing until the client or the account goes.
func Hang() Fault {
	return Fault{name: "hang", run: func(x *exchange) {
		// No timer: in a synctest bubble even the longest would be reached.
		select {
		case <-x.r.Context().Done():
		case <-x.account.closing:
		}
		x.drop()
	}}
}

// Unauthorized answers with the 401 of a token that is not accepted.
func Unauthorized() Fault {
	return Fault{name: "unauthorized", run: func(x *exchange) { x.send(x.unauthorized()) }}
}

// Redirect answers with a 307 to location.
func Redirect(location string) Fault {
	return Fault{name: "redirect", run: func(x *exchange) {
		x.send(response{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {location}}})
	}}
}

func wholeSeconds(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(max(d, 0).Seconds())))
}
