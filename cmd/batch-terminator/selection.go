package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"batchterminator/handler"
	"batchterminator/worker"
)

// selection chooses dead letters; all that is given has to fit. What is given empty is refused, not dropped: a variable that
// a script left unset must not widen a purge.
type selection struct {
	Reasons   []string       `name:"reason" sep:"none" placeholder:"REASON" help:"Those dead-lettered for this reason, as list prints it, '-' for none; several with commas, or repeat it."`
	IDs       []string       `name:"id" sep:"none" placeholder:"ID" help:"Those with this message id or request id; repeat for several."`
	Sequences []int64        `name:"sequence-number" sep:"none" placeholder:"N" help:"The one with this sequence number; repeat for several."`
	OlderThan *time.Duration `placeholder:"DURATION" help:"Those dead-lettered longer ago than this, such as 36h."`
	NewerThan *time.Duration `placeholder:"DURATION" help:"Those dead-lettered since then."`
	Job       *string        `placeholder:"ID" help:"Those of this job."`
	Task      *string        `placeholder:"ID" help:"Those of tasks of this id."`
}

func (s selection) empty() bool {
	return len(s.Reasons) == 0 && len(s.IDs) == 0 && len(s.Sequences) == 0 && s.OlderThan == nil && s.NewerThan == nil && s.Job == nil && s.Task == nil
}

func (s selection) check() error {
	return cmp.Or(
		given("--reason", "a reason", s.reasons(), nil), given("--id", "an id", s.IDs, nil),
		aboveZero("--older-than", s.OlderThan), aboveZero("--newer-than", s.NewerThan),
		given("--job", "an id", optional(s.Job), handler.CheckJobID), given("--task", "an id", optional(s.Task), handler.CheckTaskID))
}

// checkChoice is check for commands that change something: they want to be told which ones.
func (s selection) checkChoice(all bool) error {
	switch {
	case s.empty() && !all:
		return usageError{errors.New("which ones? give --reason, --id, --sequence-number, --older-than, --newer-than, --job or --task, or --all")}
	case !s.empty() && all:
		return usageError{errors.New("--all: is for where nothing else is given; leave out --all, or what else chooses")}
	}
	return s.check()
}

// reasons are those that are given, with commas or without.
func (s selection) reasons() (all []string) {
	for _, r := range s.Reasons {
		all = append(all, strings.Split(r, ",")...)
	}
	return all
}

// given refuses empty values of a flag, and those that check refuses.
func given(flag, want string, values []string, check func(string) error) error {
	for _, v := range values {
		if v == "" {
			return usageError{fmt.Errorf("%s: empty; want %s", flag, want)}
		}
		if check == nil {
			continue
		}
		if err := check(v); err != nil {
			return usageError{fmt.Errorf("%s: %w", flag, err)}
		}
	}
	return nil
}

func optional(s *string) []string {
	if s == nil {
		return nil
	}
	return []string{*s}
}

// aboveZero refuses a duration that would mean none.
func aboveZero(flag string, d *time.Duration) error {
	if d != nil && *d <= 0 {
		return usageError{fmt.Errorf("%s: %v; want more than 0s", flag, *d)}
	}
	return nil
}

// mostTimeToLive is what Service Bus's clients can say: milliseconds in 32 bits (AMQP 1.0 part 3 §3.2.1).
const mostTimeToLive = math.MaxUint32 * time.Millisecond

// timeToLive refuses what could not be sent as it is given: less than a millisecond would be none, more than there is room for
// a short one.
func timeToLive(d *time.Duration) error {
	if d != nil && (*d < time.Millisecond || *d > mostTimeToLive) {
		return usageError{fmt.Errorf("--ttl: %v; want 1ms to %v", *d, mostTimeToLive)}
	}
	return nil
}

// atLeastOne refuses a limit that would mean none.
func atLeastOne(flag string, n *int) error {
	if n != nil && *n < 1 {
		return usageError{fmt.Errorf("%s: %d; want at least 1, or leave it out for no limit", flag, *n)}
	}
	return nil
}

func atLeastNone(flag string, n int) error {
	if n < 0 {
		return usageError{fmt.Errorf("%s: %d; want at least 0", flag, n)}
	}
	return nil
}

// match returns the predicate, as of now.
func (s selection) match() func(worker.Stored) bool {
	now, reasons := time.Now(), s.reasons()
	return func(m worker.Stored) bool {
		age := now.Sub(m.DeadSince())
		return (len(reasons) == 0 || slices.Contains(reasons, dash(m.Reason))) &&
			(len(s.IDs) == 0 || slices.Contains(s.IDs, m.MessageID) || slices.Contains(s.IDs, m.Request.RequestIdentity)) &&
			(len(s.Sequences) == 0 || slices.Contains(s.Sequences, m.SequenceNumber)) &&
			(s.OlderThan == nil || age > *s.OlderThan) && (s.NewerThan == nil || age <= *s.NewerThan) &&
			(s.Job == nil && s.Task == nil || of(m, deref(s.Job), deref(s.Task)))
	}
}

// census counts what a selection was asked about, to tell one that fits nothing from a queue that is empty.
type census struct {
	seen    int
	reasons map[string]int
}

// of returns match, and counts what it is asked about.
func (c *census) of(match func(worker.Stored) bool) func(worker.Stored) bool {
	c.reasons = map[string]int{}
	return func(m worker.Stored) bool {
		c.seen++
		c.reasons[m.Reason]++
		return match(m)
	}
}

// none says that nothing fits, and what there would be.
func (c *census) none(entity string) string {
	if c.seen == 0 {
		return "no dead letters in " + entity
	}
	names := slices.SortedFunc(maps.Keys(c.reasons), func(a, b string) int { return cmp.Or(c.reasons[b]-c.reasons[a], cmp.Compare(a, b)) })
	more := ""
	if len(names) > 10 {
		names, more = names[:10], ", and others"
	}
	for i, n := range names {
		names[i] = dash(brief(n, 40))
	}
	return fmt.Sprintf("none of %s in %s fits; reasons here: %s%s", counted(c.seen), entity, strings.Join(names, ", "), more)
}

// named tells whether a message goes by the id.
func named(m worker.Stored, id string) bool {
	return id == m.MessageID || id == m.Request.RequestIdentity || id == strconv.FormatInt(m.SequenceNumber, 10)
}

// of tells whether a message is about the job and task, "" for any. Batch compares ids without case.
func of(m worker.Stored, job, task string) bool {
	r, err := handler.ReadRequest(m.Request)
	return err == nil && (job == "" || strings.EqualFold(r.JobID, job)) && (task == "" || strings.EqualFold(r.TaskID, task))
}

// counted names a quantity of dead letters.
func counted(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}
