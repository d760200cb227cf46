package mgmt

import (
	"fmt"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
)

// settler is where messages are received by number and settled by token: the entity, or one session of it.
type settler interface {
	ReceiveDeferred(sequences []int64, mode broker.Mode) ([]broker.Stored, error)
	Settle(outcome broker.Outcome, tokens ...broker.Token) error
}

// settler returns the session that the request is about, or the entity if it names none.
func (t target) settler(req codec.Map) (settler, error) {
	_, inSession, err := optionalText(req, "session-id")
	if err != nil {
		return nil, err
	}
	if !t.RequiresSession() || !inSession && !t.named {
		return t.Queue, nil
	}
	return t.session(req)
}

// session returns the lock on the session that the request is about. A link speaks for the session it holds and for no
// other; a request that names no link speaks for whoever holds the session with the id.
func (t target) session(req codec.Map) (*broker.SessionLock, error) {
	id, given, err := optionalText(req, "session-id")
	switch {
	case err != nil:
		return nil, err
	case !t.RequiresSession():
		return nil, fmt.Errorf("session %q of %s: %w", id, t.Path(), broker.ErrNoSessions)
	case !given && !t.named:
		return nil, badArgument("neither a session-id nor the link of a session receiver is given")
	}
	lock := t.HeldBy(t.owner)
	if !t.named {
		lock = t.Holder(id)
	}
	if lock == nil || given && lock.ID() != id {
		return nil, fmt.Errorf("session %q of %s: %w", id, t.Path(), broker.ErrSessionLockLost)
	}
	return lock, nil
}

func renewSessionLock(q target, req codec.Map) (codec.Map, error) {
	lock, err := q.session(req)
	if err != nil {
		return nil, err
	}
	until, err := lock.Renew()
	if err != nil {
		return nil, err
	}
	return codec.Map{{Key: "expiration", Value: until}}, nil
}

func getSessionState(q target, req codec.Map) (codec.Map, error) {
	lock, err := q.session(req)
	if err != nil {
		return nil, err
	}
	state, err := lock.State()
	if err != nil {
		return nil, err
	}
	// The key is there in any case; a nil slice would be an empty binary, which is a state.
	if state == nil {
		return codec.Map{{Key: "session-state", Value: nil}}, nil
	}
	return codec.Map{{Key: "session-state", Value: state}}, nil
}

func setSessionState(q target, req codec.Map) (codec.Map, error) {
	lock, err := q.session(req)
	if err != nil {
		return nil, err
	}
	v, _ := req.Get("session-state")
	state, ok := v.([]byte)
	if !ok && v != nil {
		return nil, badArgument("session-state is %T, not binary", v)
	}
	return done, lock.SetState(state)
}

// Service Bus: a last-updated-time at the end of all time lists the sessions with messages or state, any other those
// whose state was set after it. The Go SDK sends the first instant of the year 10000.
var endOfTime = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

func getMessageSessions(q target, req codec.Map) (codec.Map, error) {
	if !q.RequiresSession() {
		return nil, fmt.Errorf("list sessions of %s: %w", q.Path(), broker.ErrNoSessions)
	}
	v, _ := req.Get("last-updated-time")
	updatedAfter, ok := v.(time.Time)
	if !ok {
		return nil, badArgument("last-updated-time is %T, not a timestamp", v)
	}
	skip, err := number(req, "skip")
	if err != nil {
		return nil, err
	}
	top, err := number(req, "top")
	if err != nil {
		return nil, err
	}
	if skip < 0 || top < 1 {
		return nil, badArgument("skip is %d and top is %d", skip, top)
	}
	var ids []string
	for _, s := range q.Sessions() {
		if updatedAfter.Before(endOfTime) && s.StateUpdatedAt.After(updatedAfter) ||
			!updatedAfter.Before(endOfTime) && (s.Active > 0 || s.State != nil) {
			ids = append(ids, s.ID)
		}
	}
	ids = ids[min(skip, int64(len(ids))):]
	ids = ids[:min(top, int64(len(ids)))]
	if len(ids) == 0 {
		return nil, nil
	}
	return codec.Map{{Key: "skip", Value: int32(skip) + int32(len(ids))}, {Key: "sessions-ids", Value: ids}}, nil
}
