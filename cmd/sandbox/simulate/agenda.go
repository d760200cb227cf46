package simulate

import (
	"context"
	"slices"
	"time"
)

// entry is something that happens at a time, counted from the beginning of the run.
type entry struct {
	at   time.Duration
	what string // "" for what is not worth a line
	do   func()
}

// agenda is all that is going to happen. It is complete before the run begins.
type agenda []entry

func (a *agenda) add(at time.Duration, what string, do func()) {
	*a = append(*a, entry{at, what, do})
}

// play does everything in its order, each at its time.
func (a agenda) play(ctx context.Context, tell func(entry)) {
	slices.SortStableFunc(a, func(x, y entry) int { return int(x.at - y.at) })
	start := time.Now()
	for _, e := range a {
		timer := time.NewTimer(e.at - time.Since(start))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		tell(e)
		e.do()
	}
}
