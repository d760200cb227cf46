package verdict

import (
	"slices"
	"time"

	"batchterminator/worker/servicebustest"
)

// excuse is why a lock ended by itself although the worker did nothing wrong.
type excuse uint8

const (
	none excuse = iota
	onTheWire
	killed
	deaf
	ended
	refused
)

// moment is what may lie between two things that happen together: a transfer on its way to a worker, a call on its way to
// Batch.
const moment = time.Second

// askedAgain is how long a worker may believe that it cannot send, after one refusal: a request that has to come back is
// abandoned then, for want of something better.
const askedAgain = 30 * time.Second

// excuse looks for the reason of each lock that ended by itself, and says how long each was held.
func (h *history) excuse() {
	for _, k := range h.locks {
		k.held = k.to
		if k.end == servicebustest.EventAbandoned && slices.ContainsFunc(h.Faults, func(f Fault) bool {
			return f.loses() && f.touches(k.from.Add(-askedAgain), k.to)
		}) {
			k.excuse = refused
			continue
		}
		if k.end != servicebustest.EventLockExpired {
			continue
		}
		if k.excuse, k.held = h.reason(k); k.excuse == none {
			k.held = k.to
		}
	}
}

// reason returns the excuse and since when the worker did not hold the lock any more.
func (h *history) reason(k *lock) (excuse, time.Time) {
	if h.lostOnTheWire(k, func(f Fault) bool { return f.Message == k.message }) { // whatever else happened later, nobody held it
		return onTheWire, k.from
	}
	for _, f := range h.Faults {
		// One without a message met the renewal of a lock that does not exist, with which a worker asks whether the broker is well.
		if f.Kind == LockEnded && f.Message == k.message && f.touches(k.from, k.to) {
			return ended, later(f.At, k.from) // also where it only said so: who is told that works on it no more
		}
	}
	for _, w := range h.Workers {
		if w.killed() && k.covers(w.Ended, 0) && !k.used.After(w.Ended) {
			return killed, w.Ended
		}
	}
	for _, f := range h.Faults {
		if (f.Kind == Deaf || f.Kind == Frozen) && f.concerns(k.message) && f.touches(k.granted, k.to) {
			return deaf, later(f.At, k.from)
		}
	}
	if h.lostOnTheWire(k, func(f Fault) bool { return f.concerns(k.message) }) {
		return onTheWire, k.from
	}
	return none, time.Time{}
}

// lostOnTheWire tells whether a cut of those met the delivery, whose holder was never heard of.
func (h *history) lostOnTheWire(k *lock, of func(Fault) bool) bool {
	return k.used.IsZero() && slices.ContainsFunc(h.Faults, func(f Fault) bool {
		return f.Kind == Cut && of(f) && f.touches(k.from, k.from.Add(moment))
	})
}

func (f Fault) concerns(message string) bool { return f.Message == "" || f.Message == message }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// disturbed tells whether a fault of the broker's, or a kill, lies between the two.
func (h *history) disturbed(from, to time.Time) bool {
	return slices.ContainsFunc(h.Faults, func(f Fault) bool { return f.Kind != Account && f.touches(from, to) }) || h.killedBetween(from, to)
}

func (h *history) killedBetween(from, to time.Time) bool {
	return slices.ContainsFunc(h.Workers, func(w Worker) bool {
		return w.killed() && Fault{At: w.Ended}.touches(from, to)
	})
}

// count returns how many locks are as wished.
func (h *history) count(wish func(*lock) bool) (n int) {
	for _, k := range h.locks {
		if wish(k) {
			n++
		}
	}
	return n
}

func (h *history) excused(by ...excuse) int {
	return h.count(func(k *lock) bool { return slices.Contains(by, k.excuse) })
}

func (h *history) allExcused() Excused {
	return Excused{OnTheWire: h.excused(onTheWire), Killed: h.excused(killed), Deaf: h.excused(deaf), Ended: h.excused(ended), Refused: h.excused(refused)}
}
