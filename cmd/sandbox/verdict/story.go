package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// told bounds how many requests a verdict tells of.
const told = 3

// stories tell of the first requests with a burned delivery or without an end all that is known: what happened to their
// messages, the calls for their tasks, and what broke meanwhile. A run that depends on the scheduler too cannot always be
// had again, so it has to be understood from what it leaves behind.
func (h *history) stories() (all []string) {
	for _, l := range h.lives {
		wrong := slices.ContainsFunc(l.messages, func(m *message) bool {
			return len(m.ends) != 1 || slices.ContainsFunc(m.locks, (*lock).burned)
		})
		if wrong && len(all) < told {
			all = append(all, h.story(l))
		}
	}
	return all
}

// plot is one line of a story.
type plot struct {
	at   time.Time
	what string
}

func (h *history) story(l *life) string {
	var plots []plot
	add := func(at time.Time, format string, args ...any) {
		plots = append(plots, plot{at, fmt.Sprintf(format, args...)})
	}
	for i, m := range l.messages {
		for _, e := range m.events {
			add(e.At, "message %d (redelivery %d): %s, lock %.4x, delivery count %d %s", i+1, m.number, e.Kind, e.LockToken, e.DeliveryCount, e.Reason)
		}
	}
	for _, c := range h.calls[taskKey(l.Job, l.Task)] {
		add(c.Time, "call %s: %d %s, acted %t", c.Operation, c.Status, c.Code, c.Acted)
	}
	if len(plots) == 0 {
		return l.ID + ": nothing"
	}
	first := slices.MinFunc(plots, func(a, b plot) int { return a.at.Compare(b.at) }).at
	last := slices.MaxFunc(plots, func(a, b plot) int { return a.at.Compare(b.at) }).at
	for _, f := range h.Faults {
		if !f.touches(first, last) {
			continue
		}
		add(f.At, "fault: %s %s", f.Name, f.Message)
		if !f.Until.IsZero() {
			add(f.Until, "end of the fault: %s", f.Name)
		}
	}
	for i, w := range h.Workers {
		if w.Started.After(last) || w.Ended.Before(first) {
			continue
		}
		add(w.Started, "worker %d starts", i+1)
		if w.killed() {
			add(w.Ended, "worker %d is killed", i+1)
			continue
		}
		add(w.Stopped, "worker %d is told to stop", i+1)
		add(w.Ended, "worker %d has ended: %s", i+1, w.Said)
	}
	slices.SortStableFunc(plots, func(a, b plot) int { return a.at.Compare(b.at) })
	var b strings.Builder
	b.WriteString(l.ID)
	for _, p := range plots {
		b.WriteString("\n" + p.at.UTC().Format("02 15:04:05.000000") + "  " + strings.TrimSpace(p.what))
	}
	return b.String()
}
