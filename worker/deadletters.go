package worker

// What a person does with dead letters: send them back, or take them out. The order is receive by peek-lock, decide, send
// a copy, have it confirmed, complete; so a death at any moment loses nothing, and the next run goes on.
//
// A dead letter can be looked at by its number, but received only in the order of the queue. What is in the way is held
// under lock, its lock renewed, and handed back at the end by an abandon, which in a dead-letter queue raises no delivery
// count. Other readers of the dead-letter queue do not see it meanwhile. Rejected: abandoning it at once, since it would be
// the next to come again; deferring it, since no other tool would ever find it again.

import (
	"context"
	"sync"
	"time"
)

// Action is what is done with one dead letter.
type Action uint8

// The actions.
const (
	// Resubmit sends a copy, then takes the dead letter out.
	Resubmit Action = iota
	// Discard takes it out.
	Discard
	// Keep leaves it where it is.
	Keep
)

// Errand is what to do with which dead letters.
type Errand struct {
	// Match chooses them, by a look at each before the first one is received.
	Match func(Stored) bool
	// Decide says what is done with each that matches; nil: Resubmit. It is called by several goroutines at once. Its error
	// ends the run and leaves the dead letter where it is.
	Decide func(ctx context.Context, s Stored) (Action, error)
	// Rate is how many are begun in a second, 0 for as many as can be.
	Rate float64
	// Max is how many are done, 0 for all.
	Max int
	// TimeToLive of the copies, 0 for the queue's default.
	TimeToLive time.Duration
	// Look is how many messages of the target are looked at for copies that an interrupted run has sent, 0 for all.
	Look int
	// Progress is told how many of all are done, and how many of the rest are in other hands, which are waited for. One call
	// at a time; may be nil.
	Progress func(done, all, elsewhere int)
}

// Tally is what became of the dead letters of an errand. Found is the sum of all up to Left.
type Tally struct {
	Found       int `json:"found"`       // match, by the look at the beginning, and no more than Max
	Resubmitted int `json:"resubmitted"` // sent, confirmed, and taken out
	SentBefore  int `json:"sentBefore"`  // taken out: a copy that an interrupted run had sent was there
	Discarded   int `json:"discarded"`   // taken out
	Kept        int `json:"kept"`        // left where they are, by decision
	Gone        int `json:"gone"`        // taken out meanwhile by somebody else
	Left        int `json:"left"`        // still there

	// LeftSent counts those of Left whose copy is sent: the next run takes them out.
	LeftSent int `json:"leftSent"`
	// Unreadable counts dead letters that the SDK cannot read. They are not among the others.
	Unreadable int `json:"unreadable"`
	// Unverified: at the end the dead-letter queue could not be looked at, so that Left may be too high.
	Unverified bool `json:"unverified"`
	// TargetSeen messages of the target were looked at for copies; TargetComplete says that these were all.
	TargetSeen     int  `json:"targetSeen"`
	TargetComplete bool `json:"targetComplete"`
}

// DeadLetters works on the dead-letter queue of one entity. It is for one goroutine.
type DeadLetters struct {
	line   *line
	target *line // nil where copies cannot be looked for
	to     string
}

// NewDeadLetters returns the dead letters of the entity of b. Copies go to the queue or topic to; a topic cannot be looked
// into, which aTopic says. An empty to is for errands that send nothing. Nothing is dialled before the first Run.
func NewDeadLetters(b ServiceBus, to string, aTopic bool) *DeadLetters {
	q := &DeadLetters{to: to, line: newLine(func() (*connection, error) { return b.connectTo(true, to) })}
	q.line.open()
	if to != "" && !aTopic {
		target := b
		target.Queue, target.Topic, target.Subscription = to, "", ""
		q.target = newLine(func() (*connection, error) { return target.connectTo(false, "") })
		q.target.open()
	}
	return q
}

// Close ends the connections.
func (q *DeadLetters) Close() {
	q.line.close()
	if q.target != nil {
		q.target.close()
	}
}

// finalLimit bounds what is done after the end of an errand: handing back, and a last look.
const finalLimit = 30 * time.Second

// Run does the errand. It ends when all that matched are done, when ctx ends, with what is in hand finished, or with an
// error; the tally is exact in each case. To go on, run it again.
func (q *DeadLetters) Run(ctx context.Context, e Errand) (Tally, error) {
	r := newErrand(q, e)
	if err := r.survey(ctx); err != nil {
		return r.tally, err
	}
	if len(r.wanted) > 0 {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		r.stop = cancel
		r.work(ctx)
		final, end := q.line.detached(ctx, finalLimit)
		defer end()
		r.handBack(final)
		r.verify(final)
	}
	r.sum()
	return r.tally, r.failure
}

// work receives and settles until nothing is left to do or ctx ends.
func (r *errand) work(ctx context.Context) {
	var hands sync.WaitGroup
	for range handsAtMost {
		hands.Go(func() { r.hand(ctx) })
	}
	renewing, end := context.WithCancel(context.WithoutCancel(ctx))
	var renewer sync.WaitGroup
	renewer.Go(func() { r.renew(renewing) })
	r.receive(ctx)
	r.finish()
	hands.Wait()
	end()
	renewer.Wait()
}
