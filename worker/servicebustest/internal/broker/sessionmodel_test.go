package broker

import (
	"cmp"
	"slices"
	"time"
)

// The model of sessions: who holds which, who waits, and where each message is. It looks at everything to find what
// happens next, and has neither heap nor order.
type sessionModel struct {
	messages []*sessionMessage // by number, which is the index plus one
	held     map[string]*client
	clients  []*client
	waiting  []*client
	locks    int // ever made
}

type sessionMessage struct {
	session string
	place   string // "active", "held", "deferred", "dead", "done"
	count   uint32
	token   Token
}

// client is somebody who holds at most one session.
type client struct {
	owner   Owner
	lock    *SessionLock
	number  int // of the lock: the older one comes first when two are due at once
	session string
	until   time.Time // of the lock, or of the wait
}

func (d *sessionModel) oldest() (session string, found bool) {
	for _, m := range d.messages {
		if m.place == "active" && d.held[m.session] == nil {
			return m.session, true
		}
	}
	return "", false
}

func (d *sessionModel) of(session, place string) []int64 {
	var numbers []int64
	for i, m := range d.messages {
		if m.session == session && m.place == place {
			numbers = append(numbers, int64(i+1))
		}
	}
	return numbers
}

func (d *sessionModel) hold(c *client, session string, at time.Time) {
	c.session, c.until = session, at.Add(modelLock)
	d.held[session] = c
}

func (d *sessionModel) match(at time.Time) {
	for len(d.waiting) > 0 {
		session, found := d.oldest()
		if !found {
			return
		}
		d.hold(d.waiting[0], session, at)
		d.waiting = d.waiting[1:]
	}
}

// end frees the session of c; counted says that the deliveries count.
func (d *sessionModel) end(c *client, counted bool, at time.Time) {
	for _, n := range d.of(c.session, "held") {
		d.back(d.messages[n-1], counted)
	}
	delete(d.held, c.session)
	d.match(at)
}

func (d *sessionModel) back(m *sessionMessage, counted bool) {
	m.place = "active"
	if counted {
		if m.count++; m.count == modelLimit {
			m.place = "dead"
		}
	}
}

const modelLimit = 3

// advance lets happen what is due, one at a time.
func (d *sessionModel) advance(now time.Time) {
	for {
		var next *client
		for _, c := range d.clients {
			busy := d.held[c.session] == c || slices.Contains(d.waiting, c)
			if busy && !c.until.After(now) && (next == nil || cmp.Or(c.until.Compare(next.until), c.number-next.number) < 0) {
				next = c
			}
		}
		switch {
		case next == nil:
			return
		case d.held[next.session] == next:
			d.end(next, true, next.until)
		default:
			d.waiting = slices.DeleteFunc(d.waiting, func(c *client) bool { return c == next })
		}
	}
}
