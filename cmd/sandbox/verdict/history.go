package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// copies is the name space of the ids that scheduled copies carry: version 5 over the request's identity, the number of the
// redelivery and the original's sequence number, with line feeds between them. Workers of two releases share a queue during an
// upgrade, so this may not change.
var copies = uuid.MustParse("0d1f0c0e-6a6b-4c55-8a3e-2f3a3f0a9d44")

func copyID(request string, number int, original int64) string {
	return uuid.NewSHA1(copies, fmt.Appendf(nil, "%s\n%d\n%d", request, number, original)).String()
}

// history is the evidence by request.
type history struct {
	Evidence
	lives []*life // in the order of the plan
	// strangers are messages that no request explains.
	strangers []string
	locks     []*lock
	// calls by task, in the order in which they began.
	calls map[string][]batchtest.Call
	// requests by task.
	tasks map[string][]*life
}

// life is a request with all its messages.
type life struct {
	Request
	sent     int // as planned: more than once for duplicates
	messages []*message
	dead     []servicebustest.StoredMessage
}

// message is an original, or a scheduled copy.
type message struct {
	id       string
	number   int // of the redelivery; 0 for an original
	accepted time.Time
	locks    []*lock
	events   []servicebustest.Event
	// ends are the events that ended it: one, unless something is wrong.
	ends []servicebustest.Event
}

// lock is one delivery under peek-lock.
type lock struct {
	life    *life
	message string
	token   servicebustest.LockToken
	// from the delivery to the end; granted is when it was given or renewed last, used when its holder was heard of last.
	from, to, granted, used time.Time
	// end is how it ended; 0 when it has not.
	end servicebustest.EventKind
	// excuse is why an end by itself is not the worker's doing.
	excuse excuse
	// held is when the worker ceased to hold it.
	held time.Time
}

func newHistory(e Evidence) *history {
	h := &history{Evidence: e, calls: map[string][]batchtest.Call{}, tasks: map[string][]*life{}}
	owner := h.plan()
	for _, m := range e.Ledger {
		if l := owner[m.MessageID]; l.life != nil {
			h.read(l.life, l.number, m)
		} else {
			h.strangers = append(h.strangers, m.MessageID)
		}
	}
	for _, m := range e.Dead {
		if l := owner[m.ID]; l.life != nil {
			l.life.dead = append(l.life.dead, m)
		}
	}
	for _, c := range e.Calls {
		key := taskKey(c.JobID, c.TaskID)
		h.calls[key] = append(h.calls[key], c)
	}
	for _, calls := range h.calls {
		slices.SortStableFunc(calls, func(a, b batchtest.Call) int { return a.Time.Compare(b.Time) })
	}
	h.excuse()
	return h
}

// place says of a message id whose it is.
type place struct {
	life   *life
	number int
}

// plan makes a life of each request, and returns whose each message id is.
func (h *history) plan() map[string]place {
	accepted := make(map[string]bool, len(h.Ledger))
	sequences := make(map[string][]int64, len(h.Ledger)) // under which messages with the id were delivered
	for _, m := range h.Ledger {
		accepted[m.MessageID] = true
		for _, e := range m.Events {
			if known := sequences[m.MessageID]; e.Kind == servicebustest.EventDelivered && !e.DeadLetter && !slices.Contains(known, e.SequenceNumber) {
				sequences[m.MessageID] = append(known, e.SequenceNumber)
			}
		}
	}
	owner := make(map[string]place, len(h.Ledger))
	for _, r := range h.Requests {
		if again := owner[r.ID].life; again != nil {
			again.sent++
			continue
		}
		l := &life{Request: r, sent: 1}
		h.lives = append(h.lives, l)
		owner[r.ID] = place{l, 0}
		for _, original := range sequences[r.ID] {
			for n := 1; accepted[copyID(r.ID, n, original)]; n++ {
				owner[copyID(r.ID, n, original)] = place{l, n}
			}
		}
		if r.Task != "" {
			key := taskKey(r.Job, r.Task)
			h.tasks[key] = append(h.tasks[key], l)
		}
	}
	return owner
}

func taskKey(job, task string) string { return strings.ToLower(job + "/" + task) }

// read adds one message of the ledger.
func (h *history) read(l *life, number int, of servicebustest.MessageHistory) {
	m := &message{id: of.MessageID, number: number, events: of.Events}
	open := map[servicebustest.LockToken]*lock{}
	for i, e := range of.Events {
		if i == 0 {
			m.accepted = e.At
		}
		if e.DeadLetter {
			continue
		}
		switch e.Kind {
		case servicebustest.EventDelivered:
			k := &lock{life: l, message: of.MessageID, token: e.LockToken, from: e.At, granted: e.At}
			open[e.LockToken] = k
			m.locks = append(m.locks, k)
		case servicebustest.EventCompleted, servicebustest.EventDeadLettered, servicebustest.EventTTLExpired,
			servicebustest.EventDeleted, servicebustest.EventCancelled:
			m.ends = append(m.ends, e)
		}
		if k := open[e.LockToken]; k != nil {
			k.note(e)
		}
	}
	l.messages = append(l.messages, m)
	h.locks = append(h.locks, m.locks...)
}

// note takes an event that names the lock.
func (k *lock) note(e servicebustest.Event) {
	switch e.Kind {
	case servicebustest.EventRenewed:
		k.granted, k.used = e.At, e.At
	case servicebustest.EventSettleRefused:
		k.used = e.At
	case servicebustest.EventLockExpired:
		k.to, k.end = e.At, e.Kind
	case servicebustest.EventDelivered:
	default:
		if k.end == 0 { // else the broker dead-letters what its last lock ran out on
			k.to, k.used, k.end = e.At, e.At, e.Kind
		}
	}
}

// covers tells whether the lock stood at that time.
func (k *lock) covers(at time.Time, slack time.Duration) bool {
	return !at.Before(k.from) && (k.end == 0 || !at.After(k.to.Add(slack)))
}
