package broker

// Counts says where the messages of an entity are. Accepted is always the sum of all others: nothing is lost.
type Counts struct {
	Accepted     int // ever
	Active       int
	Locked       int
	Deferred     int // and not locked
	Scheduled    int
	DeadLettered int // now in the dead-letter sub-queue or that for failed transfers, in any state
	Completed    int // ended by a receiver, from the queue or its dead-letter sub-queue
	Expired      int // dropped at the end of their time to live
	Cancelled    int // cancelled before their scheduled time
	Forwarded    int // gone to another entity or, from a topic, to its subscriptions
}

// Counts returns where the messages of the entity are at this instant.
func (q *Queue) Counts() Counts {
	e := q.entity
	e.enter()
	defer e.leave()
	main := e.main
	return Counts{
		Accepted: e.accepted, Active: main.active.len(), Locked: len(main.locks), Deferred: main.deferred,
		Scheduled: main.scheduled, DeadLettered: e.dead.live.len() + e.transferDead.live.len(),
		Completed: e.ended.completed, Expired: e.ended.expired, Cancelled: e.ended.cancelled,
		Forwarded: e.ended.forwarded + e.transferring,
	}
}

// MaxLocked is the highest number of messages of this store that were ever locked at the same time.
func (q *Queue) MaxLocked() int {
	q.entity.mu.Lock()
	defer q.entity.mu.Unlock()
	return q.maxLocked
}
