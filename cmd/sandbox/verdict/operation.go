package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"batchterminator/worker/servicebustest"
)

// exitReserve is what the worker leaves of its grace period (promise P8).
const exitReserve = 2 * time.Second

// locksOf bounds what one worker may hold: the slots and the ready buffer, a quarter of them at most, and as many again
// whose settlement is under way.
func locksOf(concurrency int) int { return 2*(concurrency+concurrency/4) + 1 }

// step is a change of what is held, or of what may be.
type step struct {
	at            time.Time
	held, allowed int
}

// steps returns all of them in order; of one moment, what gives room comes first.
func (h *history) steps() []step {
	var steps []step
	for _, k := range h.locks {
		steps = append(steps, step{at: k.from, held: 1})
		if k.end != 0 {
			steps = append(steps, step{at: k.held, held: -1})
		}
	}
	for _, w := range h.Workers {
		steps = append(steps, step{at: w.Started, allowed: locksOf(h.Concurrency)}, step{at: w.Ended.Add(moment), allowed: -locksOf(h.Concurrency)})
	}
	slices.SortStableFunc(steps, func(a, b step) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.held, b.held), cmp.Compare(b.allowed, a.allowed))
	})
	return steps
}

func (h *history) maxHeld() (most int) {
	held := 0
	for _, s := range h.steps() {
		held += s.held
		most = max(most, held)
	}
	return most
}

// crowded lists the moments at which more was held than the workers that lived may hold.
func (h *history) crowded() (wrong []string) {
	held, allowed, before := 0, 0, false
	for _, s := range h.steps() {
		held, allowed = held+s.held, allowed+s.allowed
		if over := held > allowed; over != before {
			if before = over; over {
				wrong = append(wrong, fmt.Sprintf("%d locks of %d at %s", held, allowed, s.at.UTC().Format(time.TimeOnly)))
			}
		}
	}
	return wrong
}

// together returns the most workers that lived at one time.
func (h *history) together() (most int) {
	for _, w := range h.Workers {
		n := 0
		for _, other := range h.Workers {
			if !other.Started.After(w.Started) && other.Ended.After(w.Started) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func (h *history) p7() Line {
	wrong := h.crowded()
	calls := h.Concurrency * h.together()
	if h.MaxInFlight > calls {
		wrong = append(wrong, fmt.Sprintf("%d calls at once", h.MaxInFlight))
	}
	return line("P7", "I7", "locks only on work", wrong, "at most %d calls of %d allowed and %d locks of %d for each worker, over %d workers at once",
		h.MaxInFlight, calls, h.maxHeld(), locksOf(h.Concurrency), h.together())
}

func (h *history) p8() Line {
	var wrong, all []string
	stops := 0
	for _, w := range h.Workers {
		if w.killed() {
			continue
		}
		stops++
		took := w.Ended.Sub(w.Stopped)
		if took < 0 {
			wrong = append(wrong, fmt.Sprintf("ended by itself at %s: %s", w.Ended.UTC().Format(time.TimeOnly), w.Said))
		}
		all = append(all, strings.TrimSuffix(fmt.Sprintf("stopped in %v: %s", took.Round(time.Millisecond), w.Said), ": "))
		if took > h.Grace-exitReserve {
			wrong = append(wrong, fmt.Sprintf("%v to stop, of %v", took, h.Grace))
		}
	}
	return line("P8", "I8", "stop is quick and clean", wrong, "%d stops, %d kills; %s", stops, len(h.Workers)-stops, examples(all))
}

func (h *history) p9() Line {
	var wrong []string
	hostile := 0
	for _, l := range h.lives {
		if !l.Hostile {
			continue
		}
		hostile++
		if n := len(h.calls[taskKey(l.Job, l.Task)]); n > 0 && l.Task != "" {
			wrong = append(wrong, fmt.Sprintf("%s cost %d calls", l.ID, n))
		}
	}
	return line("P9", "", "bounded", wrong, "%d bodies that nobody can act on cost %d calls", hostile, len(wrong))
}

// p10 compares what the workers recorded with what the ledger shows. Whether a delivery reached its worker nobody can tell
// if the connection was cut or the broker deaf and its lock was never used; and a record may have died with its worker.
func (h *history) p10() Line {
	seen := h.count(func(k *lock) bool { return k.end != servicebustest.EventReleased })
	unheard := h.count(func(k *lock) bool { return (k.excuse == onTheWire || k.excuse == deaf) && k.used.IsZero() })
	died := h.count(h.diedWith)
	doubled := 0
	for _, f := range h.Faults {
		if f.Kind == Doubled {
			doubled++
		}
	}
	var wrong []string
	if h.Recorded > seen+doubled || h.Recorded < seen-unheard-died {
		wrong = append(wrong, fmt.Sprintf("want %d to %d", seen-unheard-died, seen+doubled))
	}
	return line("P10", "", "every delivery is accounted for", wrong, "%d deliveries on the broker's side, %d more that were sent twice, %d of them may not have reached their worker and %d have died with it; %d recorded outcomes",
		seen, doubled, unheard, died, h.Recorded)
}

// diedWith tells whether the delivery's record may have died with its worker: it was held at a kill, or had just ended, or its
// worker did not know yet that the broker had ended it.
func (h *history) diedWith(k *lock) bool {
	return k.end != servicebustest.EventReleased && k.excuse != onTheWire && k.excuse != deaf &&
		slices.ContainsFunc(h.Workers, func(w Worker) bool {
			return w.killed() && (k.covers(w.Ended, moment) || h.believedIn(k, w))
		})
}

// believedIn tells whether a worker may have been killed while it believed in a lock that the broker had ended on its own. Its
// holder is told when it uses the lock next, and believes in what it was granted until then. Whoever uses it after the kill is
// another worker.
func (h *history) believedIn(k *lock, w Worker) bool {
	until := k.granted.Add(h.Lock)
	if k.used.After(k.to) {
		until = k.used
	}
	return k.excuse == ended && !w.Started.After(k.from) && !w.Ended.Before(later(k.from, k.used)) && !w.Ended.After(until.Add(moment))
}
