package broker

import "time"

// startIdle has e deleted when nobody uses it for a time. It is called with e locked, or before e is known.
func (e *entity) startIdle(after time.Duration) {
	e.stopIdle()
	if e.closed || after == Forever {
		return
	}
	e.namespace.idling.Add(1)
	e.idle = time.AfterFunc(after, e.idled)
}

func (e *entity) stopIdle() {
	if e.idle != nil && e.idle.Stop() {
		e.namespace.idling.Done()
	}
	e.idle = nil
}

// idled looks whether e was used in the meantime. Using it costs no timer that way. Service Bus: the use of a
// subscription is a use of its topic.
func (e *entity) idled() {
	n := e.namespace
	defer n.idling.Done()
	used := e.lastUse()
	for _, s := range n.subscriptionsOf(e) {
		if also := s.lastUse(); also.After(used) {
			used = also
		}
	}
	e.mu.Lock()
	left := time.Until(used.Add(e.cfg.AutoDeleteOnIdle))
	if left > 0 {
		e.startIdle(left)
	}
	e.mu.Unlock()
	if left <= 0 {
		_ = n.Delete(e.kind, e.name) // unless somebody else just did
	}
}

// lastUse is when e was last sent to, received from or updated; now, while a receiver is attached or something is
// scheduled.
func (e *entity) lastUse() time.Time {
	now := e.enter()
	defer e.leave()
	if e.main.scheduled > 0 {
		return now
	}
	for _, q := range [...]*Queue{e.main, e.dead, e.transferDead} {
		if len(q.watchers)+len(q.locks) > 0 {
			return now
		}
	}
	if e.accessedAt.After(e.updatedAt) {
		return e.accessedAt
	}
	return e.updatedAt
}
