package broker

import "time"

// timed is what something happens to at a time of its own: a message, a session lock.
type timed interface {
	clock() *alarm
	rank() int64 // decides between two that are due at the same time
	happen(at time.Time)
}

// alarm is the clock that a timed thing embeds. Every field belongs to the entity's mutex and is written by setDue.
type alarm struct {
	of   timed
	due  time.Time // zero: never
	rank int64
	slot int // place in the entity's heap, counted from 1; 0: not in it
}

// dueHeap orders alarms by due time.
type dueHeap []*alarm

func (h dueHeap) Len() int { return len(h) }

func (h dueHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].rank < h[j].rank
	}
	return h[i].due.Before(h[j].due)
}

func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i+1, j+1
}

// Push is called by container/heap.
func (h *dueHeap) Push(x any) {
	a := x.(*alarm)
	*h = append(*h, a)
	a.slot = len(*h)
}

// Pop is called by container/heap.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	a.slot = 0
	return a
}
