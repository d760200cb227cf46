package handler

import "fmt"

// Decision is what the worker does with a delivery.
type Decision uint8

// The decisions. [Leave] decides nothing: the lock is gone, or the next delivery decides.
const (
	Complete Decision = iota
	DeadLetter
	Redeliver
	Pause
	Leave
)

var decisionNames = [...]string{
	Complete:   "complete",
	DeadLetter: "dead-letter",
	Redeliver:  "redeliver",
	Pause:      "pause",
	Leave:      "leave",
}

func (d Decision) String() string { return decisionNames[d] }

// Outcome is what one delivery ended as. The set is closed: [Outcomes] lists it, metrics creates a series for each, and
// nothing else may be recorded.
type Outcome uint8

// The outcomes, grouped by decision.
const (
	// Complete: the wished end state is certain (promise P2).
	Terminated Outcome = iota
	AlreadyCompleted
	AlreadyGone
	JobEnding
	SkippedCondition
	SkippedNewerIncarnation
	DuplicateDelivery

	// DeadLetter: a person has to look at the message itself (promise P4).
	InvalidMessage
	EndpointNotAllowed
	Refused
	ConditionNotMet
	NotFound
	RetriesExhausted
	Expired
	CrashSuspect

	// Redeliver: this request later, the others now.
	Throttled
	Unavailable
	TimedOut
	Network
	JobDisabled
	StateConflict
	Draining
	Isolated

	// Pause: every message of the account would fail alike, so the account's gate closes and the request comes back later.
	AuthFailed
	AccountDisabled
	WrongEndpoint
	WorkerMisconfigured

	// Leave: nothing is decided here.
	LockLost
	Panic
)

var outcomes = [...]struct {
	name     string
	decision Decision
	meaning  string
}{
	Terminated:              {"terminated", Complete, "Batch accepted the terminate"},
	AlreadyCompleted:        {"already_completed", Complete, "the task had completed before"},
	AlreadyGone:             {"already_gone", Complete, "the task or its job no longer exists"},
	JobEnding:               {"job_ending", Complete, "the job is ending or has ended, and its tasks with it"},
	SkippedCondition:        {"skipped_condition", Complete, "the request's own condition was not met"},
	SkippedNewerIncarnation: {"skipped_newer_incarnation", Complete, "the task was created after the request's createdBefore"},
	DuplicateDelivery:       {"duplicate_delivery", Complete, "an earlier delivery had finished; only its settlement was lost"},
	InvalidMessage:          {"invalid_message", DeadLetter, "the body breaks the message contract"},
	EndpointNotAllowed:      {"endpoint_not_allowed", DeadLetter, "the endpoint is not on the allow-list"},
	Refused:                 {"refused", DeadLetter, "Batch refused this request for good"},
	ConditionNotMet:         {"condition_not_met", DeadLetter, "the request's own condition was not met"},
	NotFound:                {"not_found", DeadLetter, "no such task or job, and --on-not-found=dead-letter"},
	RetriesExhausted:        {"retries_exhausted", DeadLetter, "still failing at the maximum age while other requests succeed"},
	Expired:                 {"expired", DeadLetter, "the message's own time to live ended before the request could finish"},
	CrashSuspect:            {"crash_suspect", DeadLetter, "processes kept dying while this message ran alone, or the worker panicked at its last delivery"},
	Throttled:               {"throttled", Redeliver, "Batch asked to slow down"},
	Unavailable:             {"unavailable", Redeliver, "Batch failed on its side"},
	TimedOut:                {"timed_out", Redeliver, "no answer in time; it may have been applied"},
	Network:                 {"network", Redeliver, "no answer: connection refused, reset or unresolvable"},
	JobDisabled:             {"job_disabled", Redeliver, "the job is disabled, its task may run again"},
	StateConflict:           {"state_conflict", Redeliver, "the task's state does not allow it yet"},
	Draining:                {"draining", Redeliver, "the worker is stopping"},
	Isolated:                {"isolated", Redeliver, "it was there when processes may have died, and comes back to run alone"},
	AuthFailed:              {"auth_failed", Pause, "the worker's token or rights were refused"},
	AccountDisabled:         {"account_disabled", Pause, "the Batch account is disabled"},
	WrongEndpoint:           {"wrong_endpoint", Pause, "what answers is not this Batch account"},
	WorkerMisconfigured:     {"worker_misconfigured", Pause, "Batch does not understand the worker's requests"},
	LockLost:                {"lock_lost", Leave, "the lock was lost; the next delivery decides"},
	Panic:                   {"panic", Leave, "the worker's own fault, confined to this message"},
}

// Outcomes lists every outcome, in the order of their declaration.
func Outcomes() []Outcome {
	all := make([]Outcome, len(outcomes))
	for i := range all {
		all[i] = Outcome(i)
	}
	return all
}

// String returns the outcome's name: a metric label value, a log value and a word of the documentation.
func (o Outcome) String() string {
	if int(o) >= len(outcomes) {
		return fmt.Sprintf("outcome(%d)", uint8(o))
	}
	return outcomes[o].name
}

// Decision returns what the worker does with a delivery that ended so.
func (o Outcome) Decision() Decision { return outcomes[o].decision }

// Meaning returns one line for people.
func (o Outcome) Meaning() string { return outcomes[o].meaning }
