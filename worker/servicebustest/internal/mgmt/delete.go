package mgmt

import (
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
)

// maxDeleted is how many messages one request deletes at most, in the premium tier. Clients that purge ask for as many
// and go on until they get fewer.
const maxDeleted = 4000

func batchDelete(on target, req codec.Map) (codec.Map, error) {
	count, err := number(req, "message-count")
	if err != nil {
		return nil, err
	}
	if count < 1 {
		return nil, badArgument("message-count is %d, not positive", count)
	}
	v, _ := req.Get("enqueued-time-utc")
	before, ok := v.(time.Time)
	if !ok {
		return nil, badArgument("enqueued-time-utc is %T, not a timestamp", v)
	}
	// Clients see times cut to milliseconds; what they saw enqueued at the time they name is meant too.
	before = before.Add(time.Millisecond - 1)
	id, inSession, err := optionalText(req, "session-id")
	if err != nil {
		return nil, err
	}
	limit := int(min(count, maxDeleted))
	deleted := 0
	if inSession {
		deleted, err = on.DeleteActiveInSession(id, limit, before)
	} else {
		deleted, err = on.DeleteActive(limit, before)
	}
	if err != nil || deleted == 0 {
		return nil, err
	}
	return codec.Map{{Key: "message-count", Value: int32(deleted)}}, nil
}
