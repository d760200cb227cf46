package verdict

import (
	"slices"
	"time"

	"batchterminator/worker/servicebustest"
)

// Pace is how long requests took from their acceptance to their last end.
type Pace struct {
	Median, P99, Max time.Duration
}

func (h *history) pace() Pace {
	var took []time.Duration
	for _, l := range h.lives {
		var first, last time.Time
		for _, m := range l.messages {
			if first.IsZero() || m.accepted.Before(first) {
				first = m.accepted
			}
			for _, e := range m.ends {
				last = later(last, e.At)
			}
		}
		if !last.IsZero() {
			took = append(took, last.Sub(first))
		}
	}
	if len(took) == 0 {
		return Pace{}
	}
	slices.Sort(took)
	return Pace{took[len(took)/2], took[len(took)*99/100], took[len(took)-1]}
}

// Recovery returns how long after a time the messages end again as fast as they are sent: the end of the first second in
// which share of rate do. There is no such second, or the queue is empty before it: until the last end.
func (e *Evidence) Recovery(after time.Time, rate, share float64) time.Duration {
	var ends []time.Time
	for _, m := range e.Ledger {
		for _, event := range m.Events {
			switch event.Kind {
			case servicebustest.EventCompleted, servicebustest.EventDeadLettered:
				if event.At.After(after) {
					ends = append(ends, event.At)
				}
			}
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	enough := max(int(rate*share), 1)
	for i := range ends {
		if j := i + enough - 1; j < len(ends) && ends[j].Sub(ends[i]) <= time.Second {
			return ends[j].Sub(after)
		}
	}
	if len(ends) == 0 {
		return 0
	}
	return ends[len(ends)-1].Sub(after)
}
