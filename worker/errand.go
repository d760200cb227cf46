package worker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"golang.org/x/time/rate"
)

const (
	// handsAtMost is how many dead letters are worked on at once, and so how many a death may leave with their copy sent.
	handsAtMost = 32
	// askAtMost is how many dead letters one receive asks for.
	askAtMost = 100
	// handLimit bounds the work on one.
	handLimit = time.Minute
	// quietReceive is how long a receive waits for what may be locked elsewhere.
	quietReceive = 2 * time.Second
	// elsewhereLimit is how long dead letters that others hold are waited for: a lock lasts for 5 minutes at most.
	elsewhereLimit = 5*time.Minute + 10*time.Second
)

// errElsewhere ends a run that waited for longer than a lock can last.
var errElsewhere = errors.New("the rest is held by another receiver, who keeps renewing its locks")

// errTooMany ends a run that would have to hold too many locks.
var errTooMany = fmt.Errorf("more than %d dead letters that were not asked for are in the way: ask for those too, or take them out first", holdAtMost)

// wanted is one dead letter of the errand. All fields but the first three are under the errand's mu.
type wanted struct {
	sequence int64
	mark     string
	print    [sha256.Size]byte

	queued  bool // it waits for a hand, or is in one
	sending bool // this run is about to send its copy, or did
	sent    bool // its copy is known to be stored
	earlier bool // by an earlier run
	taking  bool // its completion was tried
	done    *int // the tally's field, nil while it is not done
	seen    bool // by the last look
}

// errand is one run.
type errand struct {
	Errand
	*DeadLetters
	limiter *rate.Limiter
	stop    context.CancelCauseFunc
	looking sync.Mutex // one look for copies at a time

	mu       sync.Mutex
	wanted   map[int64]*wanted
	byMark   map[string]*wanted
	open     int // wanted that are not done
	todo     []*wanted
	held     map[int64]*holding // in the way, or waiting for a hand
	working  map[int64]*holding // in a hand
	finished bool               // nothing more will be received
	failure  error
	tally    Tally
	changed  chan struct{} // closed at the next change of todo, open or finished
}

func newErrand(q *DeadLetters, e Errand) *errand {
	limit := rate.Inf
	if e.Rate > 0 {
		limit = rate.Limit(e.Rate)
	}
	return &errand{Errand: e, DeadLetters: q, limiter: rate.NewLimiter(limit, max(1, int(min(e.Rate, 1000)/20))),
		wanted: map[int64]*wanted{}, byMark: map[string]*wanted{}, held: map[int64]*holding{}, working: map[int64]*holding{}, changed: make(chan struct{})}
}

// survey looks at all dead letters, and then for copies of those that are wanted.
func (r *errand) survey(ctx context.Context) error {
	walk, err := each(ctx, r.line, 0, 0, func(m *azservicebus.ReceivedMessage) bool {
		r.recognize(m) // a copy that was dead-lettered in its turn
		if (r.Max == 0 || len(r.wanted) < r.Max) && r.Match(newStored(m)) {
			d := newDelivery(nil, m)
			w := &wanted{sequence: d.sequence(), mark: d.mark(), print: fingerprint(d)}
			r.wanted[w.sequence], r.byMark[w.mark] = w, w
		}
		return true
	})
	r.tally.Unreadable, r.tally.Found, r.open = walk.Unreadable, len(r.wanted), len(r.wanted)
	if err != nil || len(r.wanted) == 0 {
		return err
	}
	return r.findCopies(ctx)
}

// notify wakes all who wait for a change. Called with mu held.
func (r *errand) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// fail ends the run; only the first failure counts.
func (r *errand) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = cmp.Or(r.failure, err)
	r.stop(err)
}

// finish has the hands end when nothing is left to do.
func (r *errand) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished = true
	r.notify()
}

// conclude counts a dead letter that is done with.
func (r *errand) conclude(w *wanted, as *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.done == nil {
		w.done = as
		*as++
		r.open--
		r.report(0)
	}
	r.notify()
}

// report is called with mu held.
func (r *errand) report(elsewhere int) {
	if r.Progress != nil {
		r.Progress(r.tally.Found-r.open, r.tally.Found, elsewhere)
	}
}

// room returns how many dead letters to ask for, once there is something to ask for; 0 when the run is over. What waits
// for its turn waits under lock, so it is no more than a few seconds' work.
func (r *errand) room(ctx context.Context) int {
	backlog := 2 * askAtMost
	if r.Rate > 0 {
		backlog = int(min(max(2*r.Rate, handsAtMost), 5*askAtMost))
	}
	for {
		r.mu.Lock()
		changed, open, free := r.changed, r.open, backlog-len(r.todo)
		missing := false
		for _, w := range r.wanted {
			if missing = w.done == nil && !w.queued; missing {
				break
			}
		}
		r.mu.Unlock()
		switch {
		case open == 0 || ctx.Err() != nil:
			return 0
		case missing && free > 0:
			return min(free, askAtMost)
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// receive takes dead letters in the order of the queue until all that are wanted are done or ctx ends.
func (r *errand) receive(ctx context.Context) {
	var last *client
	var careful, quiet time.Time // one at a time until then; nothing has come since
	for {
		n := r.room(ctx)
		if n == 0 {
			break
		}
		c, err := r.line.get(ctx)
		if err != nil {
			if ctx.Err() == nil {
				r.fail(err)
			}
			break
		}
		if time.Now().Before(careful) {
			n = 1
		}
		last = c
		msgs, err := ask(ctx, c, n, quietReceive, nil, func(late []*azservicebus.ReceivedMessage) { r.admit(c, late) })
		r.admit(c, msgs)
		switch {
		case len(msgs) > 0:
			quiet = time.Time{}
		case ctx.Err() != nil || errors.Is(err, errReplaced):
		case unreadable(err):
			careful = time.Now().Add(cautious)
			c.fail("panic", err)
		case idle(err):
			if quiet.IsZero() {
				quiet = time.Now()
			}
			r.search(ctx, quiet)
		default:
			c.fail("receive", cmp.Or(err, errLinkFailed))
		}
	}
	if last != nil && last.ctx.Err() == nil {
		collect(last, collectLimit, collectLimit, func(msgs []*azservicebus.ReceivedMessage) { r.admit(last, msgs) })
	}
}

// search finds out what became of the wanted ones that do not come: gone, or in other hands.
func (r *errand) search(ctx context.Context, since time.Time) {
	missing, err := r.lookForOpen(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.fail(err)
		}
		return
	}
	elsewhere := 0
	for _, w := range missing {
		if w.seen {
			elsewhere++
			continue
		}
		r.vanished(w)
	}
	r.mu.Lock()
	r.report(elsewhere)
	r.mu.Unlock()
	if elsewhere > 0 && time.Since(since) > elsewhereLimit {
		r.fail(fmt.Errorf("%d dead letters are left: %w", elsewhere, errElsewhere))
	}
}

// lookForOpen looks for the wanted ones that nobody here has, and returns them.
func (r *errand) lookForOpen(ctx context.Context) (missing []*wanted, err error) {
	first, last := int64(math.MaxInt64), int64(0)
	r.mu.Lock()
	for _, w := range r.wanted {
		if w.seen = false; w.done == nil && !w.queued {
			missing = append(missing, w)
			first, last = min(first, w.sequence), max(last, w.sequence)
		}
	}
	r.mu.Unlock()
	if len(missing) == 0 {
		return nil, nil
	}
	_, err = each(ctx, r.line, first, 0, func(m *azservicebus.ReceivedMessage) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if w := r.wanted[sequenceOf(m)]; w != nil {
			w.seen = true
		}
		return sequenceOf(m) < last
	})
	return slices.DeleteFunc(missing, func(w *wanted) bool { return r.claimed(w) }), err
}

// claimed tells whether a wanted one has come, or been done, meanwhile.
func (r *errand) claimed(w *wanted) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return w.queued || w.done != nil
}

// vanished concludes a dead letter that is not there any more: by us, if a completion was tried, else by somebody else.
func (r *errand) vanished(w *wanted) {
	r.mu.Lock()
	as := &r.tally.Gone
	if w.taking {
		as = r.removed(w)
	}
	r.mu.Unlock()
	r.conclude(w, as)
}

// removed returns the field for a dead letter that was taken out. Called with mu held.
func (r *errand) removed(w *wanted) *int {
	switch {
	case w.earlier:
		return &r.tally.SentBefore
	case w.sent:
		return &r.tally.Resubmitted
	}
	return &r.tally.Discarded
}

// verify looks once more for those that are not done: a completion whose answer was lost may have worked.
func (r *errand) verify(ctx context.Context) {
	r.mu.Lock()
	for _, w := range r.wanted {
		w.queued = false
	}
	r.mu.Unlock()
	missing, err := r.lookForOpen(ctx)
	if err != nil {
		r.mu.Lock()
		r.tally.Unverified = true
		r.mu.Unlock()
		return
	}
	for _, w := range missing {
		if !w.seen {
			r.vanished(w)
		}
	}
}

// sum counts what is left. All goroutines of the run have ended.
func (r *errand) sum() {
	for _, w := range r.wanted {
		if w.done != nil {
			continue
		}
		r.tally.Left++
		if w.sent {
			r.tally.LeftSent++
		}
	}
}
