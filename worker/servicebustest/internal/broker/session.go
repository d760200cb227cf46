package broker

import (
	"container/heap"
	"slices"
	"strings"
	"time"
)

// sessions is what a store that requires sessions knows about them. Like all of a Queue it belongs to the entity's
// mutex.
//
// A session is there while it has a message in any state, a state of its own, or somebody who holds it. Whoever holds
// it alone receives its messages, in order, under one lock for all of them.
type sessions struct {
	queue   *Queue
	byID    map[string]*session // case matters, and a blank id is one like any other
	byOwner map[Owner]*SessionLock
	free    freeSessions   // active messages, and nobody holds it
	waiting []*SessionLock // for the next free session, first come first served
	locks   int64          // ever made
}

type session struct {
	id     string
	live   order // every message of the session
	active order // those its holder can acquire
	held   order // those its holder has
	lock   *SessionLock
	slot   int // place in sessions.free, counted from 1; 0: not in it

	state   []byte // nil: none
	stateAt time.Time
}

func newSessions(q *Queue) *sessions {
	return &sessions{queue: q, byID: make(map[string]*session), byOwner: make(map[Owner]*SessionLock)}
}

// get returns the session, which is there from now on until drop finds nothing in it.
func (s *sessions) get(id string) *session {
	found := s.byID[id]
	if found == nil {
		found = &session{id: id}
		s.byID[id] = found
	}
	return found
}

func (s *sessions) drop(of *session) {
	if of.live.len() == 0 && of.state == nil && of.lock == nil {
		delete(s.byID, of.id)
	}
}

// offer makes m available to the holder of its session, or the session to whoever waits for one.
func (s *sessions) offer(m *entry, now time.Time) {
	m.session.active.insert(m)
	if l := m.session.lock; l != nil {
		l.tell()
		return
	}
	s.place(m.session)
	s.match(now)
}

// withdraw takes m from what its session offers.
func (s *sessions) withdraw(m *entry) {
	m.session.active.remove(m)
	s.place(m.session)
}

// forget takes m, which is neither active nor locked any more, out of its session.
func (s *sessions) forget(m *entry) {
	of := m.session
	of.live.remove(m)
	if m.locked() {
		of.held.remove(m)
	}
	m.session = nil
	s.drop(of)
}

// place gives the session its place among the free ones, or none.
func (s *sessions) place(of *session) {
	free := of.lock == nil && of.active.len() > 0
	switch {
	case free && of.slot > 0:
		heap.Fix(&s.free, of.slot-1)
	case free:
		heap.Push(&s.free, of)
	case of.slot > 0:
		heap.Remove(&s.free, of.slot-1)
	}
}

// match gives free sessions to those who wait.
func (s *sessions) match(now time.Time) {
	for len(s.waiting) > 0 && len(s.free) > 0 {
		l := s.waiting[0]
		s.waiting = slices.Delete(s.waiting, 0, 1)
		l.hold(s.free[0], now)
		l.tell()
	}
}

// end ends every lock and every wait for one, because of why.
func (s *sessions) end(why error) {
	for _, l := range slices.Clone(s.waiting) {
		l.giveUp(why)
		l.tell()
	}
	now := time.Now()
	for _, id := range s.ids() {
		if l := s.byID[id].lock; l != nil {
			l.unlockAll(now)
			l.end(why, now)
			l.tell()
		}
	}
}

func (s *sessions) ids() []string {
	ids := make([]string, 0, len(s.byID))
	for id := range s.byID {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, strings.Compare)
	return ids
}

// SessionInfo is a session at one instant.
type SessionInfo struct {
	ID             string
	Active         int // messages, those its holder has included; without deferred and scheduled ones
	State          []byte
	StateUpdatedAt time.Time // zero: it has no state
	LockedUntil    time.Time // zero: nobody holds it
}

// Sessions returns the sessions by id. Of a store without sessions there are none.
func (q *Queue) Sessions() []SessionInfo {
	q.entity.enter()
	defer q.entity.leave()
	if q.sessions == nil {
		return nil
	}
	infos := make([]SessionInfo, 0, len(q.sessions.byID))
	for _, id := range q.sessions.ids() {
		of := q.sessions.byID[id]
		info := SessionInfo{ID: id, Active: of.active.len(), State: of.state, StateUpdatedAt: of.stateAt}
		of.held.ascend(0, func(m *entry) bool {
			if m.State == Active {
				info.Active++
			}
			return true
		})
		if of.lock != nil {
			info.LockedUntil = of.lock.until
		}
		infos = append(infos, info)
	}
	return infos
}

// PeekSession is Peek for the messages of one session. The messages of a store without sessions may belong to one too.
func (q *Queue) PeekSession(id string, from int64, limit int) []Stored {
	q.entity.enter()
	defer q.entity.leave()
	if q.sessions == nil {
		return peek(&q.live, from, limit, func(m *entry) bool { return m.InSession && m.SessionID == id })
	}
	of := q.sessions.byID[id]
	if of == nil {
		return nil
	}
	return peek(&of.live, from, limit, everyone)
}

// RequiresSession says whether messages are received through a SessionLock alone. A dead-letter sub-queue never does,
// whatever its queue does.
func (q *Queue) RequiresSession() bool { return q.sessions != nil }

// freeSessions orders sessions by their first active message. Service Bus: that is how the next one is chosen.
type freeSessions []*session

func (h freeSessions) Len() int { return len(h) }

func (h freeSessions) Less(i, j int) bool {
	return h[i].active.first().SequenceNumber < h[j].active.first().SequenceNumber
}

func (h freeSessions) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i+1, j+1
}

// Push is called by container/heap.
func (h *freeSessions) Push(x any) {
	of := x.(*session)
	*h = append(*h, of)
	of.slot = len(*h)
}

// Pop is called by container/heap.
func (h *freeSessions) Pop() any {
	last := len(*h) - 1
	of := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	of.slot = 0
	return of
}
