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

// lost lists requests that did not come to the end that they must: never accepted, still in the queue, their task still
// running, not in the dead-letter queue where they belong.
func (h *history) lost() (ids []string) {
	for _, l := range h.lives {
		for _, m := range l.messages {
			if len(m.ends) == 0 {
				ids = append(ids, l.ID+" is still in the queue")
			}
		}
		switch {
		case len(l.messages) < l.sent:
			ids = append(ids, fmt.Sprintf("%s was accepted %d times of %d", l.ID, len(l.messages), l.sent))
		case len(l.dead) == 0 && len(l.DeadLetter) > 0:
			ids = append(ids, l.ID+" is not in the dead-letter queue")
		case len(l.dead) == 0 && l.Completes && !h.Completed(l.Job, l.Task):
			ids = append(ids, l.ID+" has gone, and its task runs on")
		case slices.ContainsFunc(l.messages, (*message).vanished):
			ids = append(ids, l.ID+" has gone without a receiver")
		}
	}
	return ids
}

// vanished tells whether the message ended and no receiver ended it.
func (m *message) vanished() bool {
	return slices.ContainsFunc(m.ends, func(e servicebustest.Event) bool {
		return e.Kind != servicebustest.EventCompleted && e.Kind != servicebustest.EventDeadLettered
	})
}

func (h *history) p1() Line {
	lost := h.lost()
	return line("P1", "I1", "nothing is lost", lost, "%d of %d requests came to their end", len(h.lives)-min(len(lost), len(h.lives)), len(h.lives))
}

// answers tells whether the call's answer finishes a request for good.
func answers(c batchtest.Call) bool {
	switch c.Code {
	case "TaskCompleted", "JobBeingTerminated", "JobCompleted", "JobBeingDeleted", "JobTerminating":
		return true
	}
	return c.Operation == batchtest.TerminateTask && c.Status == http.StatusNoContent || c.Status == http.StatusNotFound && c.Code != ""
}

// uncertain lists tasks with more completed requests than final answers had been given by then.
func (h *history) uncertain() (wrong []string) {
	for key, lives := range h.tasks {
		need := 0
		var last time.Time
		for _, l := range lives {
			if len(l.dead) > 0 || len(l.DeadLetter) > 0 || l.Skips {
				continue
			}
			end := l.completed()
			last = later(last, end)
			if !end.IsZero() {
				need++
			}
		}
		given, acted := 0, h.acted(key)
		for _, c := range h.calls[key] {
			read := !acted.IsZero() && !c.Time.Before(acted) && c.Operation == batchtest.GetTask && c.Status == http.StatusOK // it showed a completed task
			if (answers(c) || read) && !c.Time.After(last) {
				given++
			}
		}
		if given < need {
			wrong = append(wrong, fmt.Sprintf("%s: %d requests, %d answers", key, need, given))
		}
	}
	return wrong
}

// acted returns when a call first ended the task, zero if none did. Of calls in the same moment the log does not tell the order.
func (h *history) acted(key string) (first time.Time) {
	for _, c := range h.calls[key] {
		if c.Acted && (first.IsZero() || c.Time.Before(first)) {
			first = c.Time
		}
	}
	return first
}

// completed returns when the last of the request's messages was completed, zero when none was.
func (l *life) completed() (last time.Time) {
	for _, m := range l.messages {
		for _, e := range m.ends {
			if e.Kind == servicebustest.EventCompleted {
				last = later(last, e.At)
			}
		}
	}
	return last
}

// hit lists tasks that were ended although every request for them has a condition that is not met, and requests that were
// skipped without a look.
func (h *history) hit() (wrong []string) {
	for key, lives := range h.tasks {
		spared := func(l *life) bool { return l.Skips || slices.Contains(l.DeadLetter, "condition_not_met") }
		if ended := h.acted(key); !ended.IsZero() && !slices.ContainsFunc(lives, func(l *life) bool { return !spared(l) }) {
			wrong = append(wrong, fmt.Sprintf("%s was to be spared and was ended at %s", key, ended.UTC().Format(time.TimeOnly)))
		}
		for _, l := range lives {
			end := l.completed()
			looked := func(c batchtest.Call) bool {
				return c.Operation == batchtest.GetTask && c.Status == http.StatusOK && !c.Time.After(end)
			}
			if l.Skips && !end.IsZero() && !slices.ContainsFunc(h.calls[key], looked) {
				wrong = append(wrong, fmt.Sprintf("%s was skipped without a look at its task", l.ID))
			}
		}
	}
	return wrong
}

func (h *history) p2() Line {
	wrong := append(h.uncertain(), h.hit()...)
	return line("P2", "I5", "finished means certain", wrong, "%d tasks have more completed requests than final answers of Batch, or were ended by none that was to", len(wrong))
}

// identities lists tasks that were called under more ids than there are requests for them, or with a date that was not
// made for the call, and messages that no request explains.
func (h *history) identities() (wrong []string) {
	for _, id := range h.strangers {
		wrong = append(wrong, "message "+id+" belongs to no request")
	}
	const fresh = 40 * time.Second // within an attempt the HTTP client may repeat the request, on another connection
	for key, calls := range h.calls {
		ids, stale := map[string]bool{}, false
		for _, c := range calls {
			ids[strings.ToLower(c.Header.Get("client-request-id"))] = true
			date, err := http.ParseTime(c.Header.Get("ocp-date"))
			stale = stale || err != nil || c.Time.Sub(date).Abs() > fresh
		}
		if len(ids) > len(h.tasks[key]) || ids[""] || stale {
			wrong = append(wrong, fmt.Sprintf("%s: %d ids for %d requests, stale dates: %t", key, len(ids), len(h.tasks[key]), stale))
		}
	}
	return wrong
}

func (h *history) p3() Line {
	wrong := h.identities()
	return line("P3", "I3", "one identity for each request", wrong, "%d tasks saw more client-request-ids than requests, or stale dates", len(wrong))
}

// wronglyDead lists dead letters that the plan does not explain, or that do not explain themselves.
func (h *history) wronglyDead() (wrong []string) {
	for _, l := range h.lives {
		for _, m := range l.dead {
			if !slices.Contains(l.DeadLetter, m.Reason) || m.Description == "" {
				wrong = append(wrong, fmt.Sprintf("%s (%s)", l.ID, m.Reason))
			}
		}
	}
	return wrong
}

func (h *history) p4() Line {
	wrong := h.wronglyDead()
	return line("P4", "I5", "only what a person must look at is dead-lettered", wrong,
		"%d dead letters, %d of them unexpected or without their reason", len(h.Dead), len(wrong))
}

// burned lists the deliveries that raised a delivery count without an excuse.
func (h *history) burned() (wrong []string) {
	for _, k := range h.locks {
		switch {
		case !k.burned():
		case k.end == servicebustest.EventAbandoned:
			wrong = append(wrong, k.life.ID+" was abandoned")
		default:
			wrong = append(wrong, fmt.Sprintf("%s: the lock of %s ended by itself at %s", k.life.ID, k.from.UTC().Format(time.TimeOnly), k.to.UTC().Format(time.TimeOnly)))
		}
	}
	return wrong
}

// burned tells whether the delivery raised the delivery count for nothing.
func (k *lock) burned() bool {
	return k.excuse == none && (k.end == servicebustest.EventAbandoned || k.end == servicebustest.EventLockExpired)
}

func (h *history) p5() Line {
	wrong := h.burned()
	return line("P5", "", "no burned deliveries", wrong, "%d delivery counts rose without need, over %d redeliveries; lost with reason: %s",
		len(wrong), h.Counts.Accepted-len(h.Requests), h.allExcused())
}

func (h *history) p6() Line {
	var wrong []string
	for _, c := range h.Strays {
		wrong = append(wrong, c.Method+" "+c.Path)
	}
	return line("P6", "I6", "no call leaves its path", wrong, "%d of %d calls were not Terminate Task or Get Task of an allowed account", len(wrong), h.CallCount)
}
