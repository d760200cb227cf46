package verdict

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// twins returns the messages with one copy id, in the order of their acceptance, where there are several; those of the
// first redelivery first.
func (l *life) twins() (all [][]*message) {
	byID := map[string][]*message{}
	for _, m := range l.messages {
		if m.number > 0 {
			byID[m.id] = append(byID[m.id], m)
		}
	}
	for _, group := range byID {
		if len(group) > 1 {
			all = append(all, group)
		}
	}
	slices.SortFunc(all, func(a, b []*message) int { return a[0].number - b[0].number })
	return all
}

func (h *history) duplicatedEnds() (n int) {
	for _, l := range h.lives {
		for _, group := range l.twins() {
			n += len(group) - 1
		}
	}
	return n
}

// recovered counts the requests that came to their end after one of their locks was lost, or with a twin.
func (h *history) recovered() (n int) {
	for _, l := range h.lives {
		lost := len(l.twins()) > 0
		for _, m := range l.messages {
			lost = lost || slices.ContainsFunc(m.locks, func(k *lock) bool { return k.end == servicebustest.EventLockExpired })
		}
		if lost {
			n++
		}
	}
	return n
}

// ends lists what ended more often than it may: a message twice, a request both completed and dead-lettered, a copy that
// was sent twice although nothing stood in the way of the first answer.
func (h *history) ends() (wrong []string) {
	// unanswered is how long ago the send may have begun whose answer was lost.
	const unanswered = 15 * time.Second
	for _, l := range h.lives {
		for _, m := range l.messages {
			if len(m.ends) > 1 {
				wrong = append(wrong, fmt.Sprintf("%s: %s, then %s", l.ID, m.ends[0].Kind, m.ends[1].Kind))
			}
		}
		if len(l.dead) > l.sent+h.surplus(l) {
			wrong = append(wrong, fmt.Sprintf("%s: %d dead letters", l.ID, len(l.dead)))
		}
		if twins := l.twins(); len(twins) > 0 { // the first ones: each of them brings one more of every later copy
			first, last := twins[0][0].accepted, twins[0][len(twins[0])-1].accepted
			if !h.disturbed(first.Add(-unanswered), last) && !h.shared(l, first, last) {
				wrong = append(wrong, fmt.Sprintf("%s: %d copies in one's place", l.ID, len(twins[0])))
			}
		}
	}
	return wrong
}

// shared tells whether two workers could believe that they had the request, for the broker had ended the lock of one.
func (h *history) shared(l *life, from, to time.Time) bool {
	return slices.ContainsFunc(l.messages, func(m *message) bool {
		return slices.ContainsFunc(m.locks, func(k *lock) bool {
			return k.excuse != none && k.to.Before(to) && !k.granted.Add(h.Lock+moment).Before(from)
		})
	})
}

func (h *history) surplus(l *life) (n int) {
	for _, group := range l.twins() {
		n += len(group) - 1
	}
	return n
}

func (h *history) i2() Line {
	wrong := h.ends()
	return line("I2", "", "one end for each message", wrong, "%d messages of %d requests; %d ends of twins", len(h.Ledger), len(h.lives), h.duplicatedEnds())
}

// onTheWay is how many calls of a worker may have passed its last look at their locks, and not be written yet.
const onTheWay = 4

// lockless lists calls for which no message of a request for the task was locked when they began.
func (h *history) lockless() (wrong []string) {
	resumed := map[time.Time]int{} // calls by the end of the standstill that they were on their way in
	for key, calls := range h.calls {
		var locks []*lock
		for _, l := range h.tasks[key] {
			for _, m := range l.messages {
				locks = append(locks, m.locks...)
			}
		}
		for _, c := range calls {
			if slices.ContainsFunc(locks, func(k *lock) bool { return k.covers(c.Time, moment) || h.believed(k, c.Time) }) {
				continue
			}
			if end, ok := h.stoodStill(locks, c.Time); ok && resumed[end] < onTheWay {
				resumed[end]++
				continue
			}
			wrong = append(wrong, fmt.Sprintf("%s at %s", key, c.Time.UTC().Format(time.TimeOnly)))
		}
	}
	return wrong
}

// believed tells whether a worker could believe in a lock that the broker had ended on its own: for as long as it was granted,
// and for no known time while the clocks differ.
func (h *history) believed(k *lock, at time.Time) bool {
	return k.excuse == ended && !at.Before(k.from) &&
		(!at.After(k.granted.Add(h.Lock+moment)) || slices.ContainsFunc(h.Faults, func(f Fault) bool { return f.Kind == Deaf && f.touches(k.granted, at) }))
}

// stoodStill returns the end of the standstill that a call came out of, at whose begin one of the locks stood.
func (h *history) stoodStill(locks []*lock, called time.Time) (end time.Time, ok bool) {
	for _, f := range h.Faults {
		if f.Kind == Frozen && f.touches(called.Add(-moment), called) && slices.ContainsFunc(locks, func(k *lock) bool { return k.covers(f.At, moment) }) {
			return f.Until, true
		}
	}
	return time.Time{}, false
}

func (h *history) i4() Line {
	wrong := h.lockless()
	return line("I4", "", "no call without a lock", wrong, "%d of %d calls were made after the request's end or for a lost lock", len(wrong), len(h.Calls))
}

// repeated lists calls for requests whose success had been answered before: only a worker that cannot know of it may make
// them, because the first was killed, or lost the lock to another.
func (h *history) repeated() (wrong []string) {
	for key, calls := range h.calls {
		if slices.ContainsFunc(h.tasks[key], h.doubled) {
			continue // each message is another delivery's work, and nothing says which of them a call is for
		}
		succeeded := map[string]batchtest.Call{}
		for _, c := range calls {
			id := strings.ToLower(c.Header.Get("client-request-id"))
			before, again := succeeded[id]
			switch {
			case again && !h.forgotten(key, before.Time, c.Time):
				wrong = append(wrong, fmt.Sprintf("%s at %s, answered at %s", key, c.Time.UTC().Format(time.TimeOnly), before.Time.UTC().Format(time.TimeOnly)))
			case !again && c.Operation == batchtest.TerminateTask && c.Status == http.StatusNoContent:
				succeeded[id] = c
			}
		}
	}
	return wrong
}

// doubled tells whether the request was sent more than once, or the broker made two messages of one of its copies.
func (h *history) doubled(l *life) bool {
	return l.sent > 1 || slices.ContainsFunc(l.twins(), func(group []*message) bool {
		return slices.ContainsFunc(h.Faults, func(f Fault) bool {
			return f.Kind == StoredTwice && f.touches(group[0].accepted.Add(-moment), group[0].accepted.Add(moment))
		})
	})
}

// forgotten tells whether whoever called again could not know of the answer.
func (h *history) forgotten(task string, answered, called time.Time) bool {
	return slices.ContainsFunc(h.tasks[task], func(l *life) bool {
		return h.diedKnowing(l, answered, called) || !h.alone(answered, called) && slices.ContainsFunc(l.messages, func(m *message) bool {
			return slices.ContainsFunc(m.locks, func(k *lock) bool { return k.excuse != none && Fault{At: k.to}.touches(answered, called) })
		}) || slices.ContainsFunc(l.twins(), func(group []*message) bool {
			born := group[0].accepted // and whoever sent it heard no answer: it alone knows that there may be two
			return h.unanswered(group[0].id, born.Add(-moment), born.Add(moment)) && !h.alone(born, called)
		})
	})
}

// diedKnowing tells whether a worker was killed in between while one of the request's messages was locked, perhaps by it.
func (h *history) diedKnowing(l *life, answered, called time.Time) bool {
	return slices.ContainsFunc(h.Workers, func(w Worker) bool {
		return w.killed() && Fault{At: w.Ended}.touches(answered, called) && slices.ContainsFunc(l.messages, func(m *message) bool {
			return slices.ContainsFunc(m.locks, func(k *lock) bool { return k.covers(w.Ended, moment) })
		})
	})
}

// unanswered tells whether what became of a message that was sent may not have been heard.
func (h *history) unanswered(id string, from, to time.Time) bool {
	return h.killedBetween(from, to) || slices.ContainsFunc(h.Faults, func(f Fault) bool {
		return f.loses() && f.concerns(id) && f.touches(from, to)
	})
}

// alone tells whether one worker, and the same, did everything between the two.
func (h *history) alone(from, to time.Time) bool {
	return h.together() == 1 && !slices.ContainsFunc(h.Workers, func(w Worker) bool { return Fault{At: w.Ended}.touches(from, to) })
}

// i12 allows one repeated call in a thousand where there are faults, none where there are none.
func (h *history) i12() Line {
	wrong := h.repeated()
	n, allowed := len(wrong), 0
	if len(h.Faults) > 0 {
		allowed = (len(h.Calls) + 999) / 1000
	}
	if n <= allowed {
		wrong = nil
	}
	return line("I12", "", "hardly a call is repeated after its success", wrong, "%d of %d calls, %d allowed", n, len(h.Calls), allowed)
}
