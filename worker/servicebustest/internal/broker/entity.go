package broker

import (
	"container/heap"
	"sync"
	"time"
)

// entity is what a queue, topic or subscription and its sub-queues share.
type entity struct {
	namespace *Namespace
	name      string
	kind      Kind
	topic     *entity // of a subscription
	createdAt time.Time

	main, dead, transferDead *Queue

	subscriptions []*entity // of a topic, in order of creation; any goroutine, under namespace.mu

	mu sync.Mutex
	// Below: read and written by any goroutine, under mu.
	cfg          Config
	rules        []Rule // of a subscription, by name; replaced, never changed in place
	updatedAt    time.Time
	accessedAt   time.Time // the last time somebody sent or received; zero: never
	lastSequence int64
	transferring int       // messages that left for another entity and did not arrive yet
	outgoing     bool      // some of them left since the last unlock
	recent       sightings // message ids of late, for duplicate detection
	due          dueHeap
	timer        *time.Timer
	armedFor     time.Time   // zero: no timer is running
	idle         *time.Timer // nil: see AutoDeleteOnIdle
	ledger       *ledger     // nil: no history
	accepted     int         // messages ever accepted
	ended        ended
	changed      chan struct{}  // nil until somebody waits for a change
	dirty        bool           // something changed since the last leave
	told         []*SessionLock // those whose holder has news since the last leave
	closed       bool
	gone         bool // deleted, as well as closed

	ticks sync.WaitGroup // armed timers and running ticks; Add under mu, Close waits
}

// ended counts the messages that are no more, by how they went.
type ended struct{ completed, expired, cancelled, forwarded int }

// enter locks the entity and lets everything that is due happen. Every exported operation starts with it.
func (e *entity) enter() time.Time {
	e.mu.Lock()
	now := time.Now()
	e.advance(now)
	return now
}

// leave unlocks the entity and only then wakes receivers, because a wake-up may come straight back, and lets what left
// the entity arrive.
func (e *entity) leave() {
	outgoing := e.outgoing
	wakeAll(e.unlock())
	if outgoing {
		e.namespace.router.run()
	}
}

// unlock is leave for the router, which wakes and delivers when nothing is locked. It returns whom to wake.
func (e *entity) unlock() []*watcher {
	e.outgoing = false
	e.arm()
	if e.dirty {
		e.dirty = false
		if e.changed != nil {
			close(e.changed)
			e.changed = nil
		}
	}
	var woken []*watcher
	for _, call := range e.takeCalls() {
		woken = append(woken, &watcher{wake: call})
	}
	for _, q := range [...]*Queue{e.main, e.dead, e.transferDead} {
		watchers := q.takeWatchers()
		if woken == nil {
			woken = watchers[:len(watchers):len(watchers)] // shared with the queue: appending copies
			continue
		}
		woken = append(woken, watchers...)
	}
	e.mu.Unlock()
	return woken
}

func wakeAll(watchers []*watcher) {
	for _, w := range watchers {
		w.wake()
	}
}

// advance performs due events in order, each at the time it was due, so that a late timer changes nothing. What an
// event brings about (an activated message that expires) is in the heap again before the next is looked at.
func (e *entity) advance(now time.Time) {
	for len(e.due) > 0 && !e.due[0].due.After(now) {
		next := e.due[0]
		at := next.due
		e.setDue(next.of, time.Time{})
		next.of.happen(at)
	}
}

// arm makes the timer fire no later than the next due event. A timer that is now too early is left alone: it finds
// nothing due and arms anew, which is cheaper than a Reset for each settled message.
func (e *entity) arm() {
	if e.closed || len(e.due) == 0 {
		return
	}
	next := e.due[0].due
	if !e.armedFor.IsZero() && !next.Before(e.armedFor) {
		return
	}
	e.disarm()
	e.armedFor = next
	e.ticks.Add(1)
	e.timer = time.AfterFunc(time.Until(next), e.tick)
}

func (e *entity) disarm() {
	if e.timer != nil && e.timer.Stop() {
		e.ticks.Done()
	}
	e.timer, e.armedFor = nil, time.Time{}
}

func (e *entity) tick() {
	defer e.ticks.Done()
	e.enter()
	e.armedFor = time.Time{}
	e.leave()
}

// close stops the timer and waits for a tick that is under way. The stores stay readable.
func (e *entity) close() {
	e.mu.Lock()
	e.closed = true
	e.disarm()
	e.stopIdle()
	if e.main.sessions != nil {
		e.main.sessions.end(e.over())
	}
	e.leave()
	e.ticks.Wait()
}

// over says why nothing can be had of e any more; nil while something can.
func (e *entity) over() error {
	switch {
	case e.gone:
		return ErrEntityNotFound
	case e.closed:
		return ErrClosed
	}
	return nil
}

// abandon closes an entity that is no longer in its namespace.
func (e *entity) abandon() {
	e.mu.Lock()
	e.gone = true
	e.mu.Unlock()
	e.close()
}

// setDue changes the one time that t waits for; zero for never.
func (e *entity) setDue(t timed, at time.Time) {
	a := t.clock()
	a.of, a.due, a.rank = t, at, t.rank()
	switch {
	case at.IsZero() && a.slot > 0:
		heap.Remove(&e.due, a.slot-1)
	case at.IsZero():
	case a.slot > 0:
		heap.Fix(&e.due, a.slot-1)
	default:
		heap.Push(&e.due, a)
	}
}

// nextSequence numbers from 1 and never repeats (Service Bus: assigned at acceptance, never reused).
func (e *entity) nextSequence() int64 {
	e.lastSequence++
	return e.lastSequence
}
