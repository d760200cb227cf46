package mgmt

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/message"
)

var owner = broker.Owner{Connection: 1, Link: "link"}

func newSessionQueue(t *testing.T) *broker.Queue {
	t.Helper()
	return newQueue(t, broker.Config{RequiresSession: true})
}

func acceptSession(t *testing.T, q *broker.Queue, id string, owner broker.Owner) *broker.SessionLock {
	t.Helper()
	lock, err := q.AcceptSession(id, owner)
	if err != nil {
		t.Fatal(err)
	}
	return lock
}

func storeIn(t *testing.T, q *broker.Queue, ids ...string) {
	t.Helper()
	for _, id := range ids {
		m := message.Message{}
		if err := m.SetProperties(message.Properties{GroupID: codec.Some(id)}); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Enqueue(dialect.Message(&m, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

func of(id any, more ...codec.Pair) codec.Map {
	return append(codec.Map{{Key: "session-id", Value: id}}, more...)
}

// Which session a request is about: that of the link it names, or the one it names itself.
func TestRequestIsAboutTheSessionOfItsLink(t *testing.T) {
	t.Parallel()
	q := newSessionQueue(t)
	acceptSession(t, q, "", owner)
	acceptSession(t, q, "other", broker.Owner{Connection: 2, Link: "link"})
	const lost = "com.microsoft:session-lock-lost"
	for name, test := range map[string]struct {
		link      string
		body      codec.Map
		status    int32
		condition string
	}{
		"link and id":                {"link", of(""), 200, ""},
		"link alone":                 {"link", codec.Map{}, 200, ""},
		"null id":                    {"link", of(nil), 200, ""},
		"id alone":                   {"", of("other"), 200, ""},
		"id that nobody holds":       {"", of("free"), 410, lost},
		"id that another link holds": {"link", of("other"), 410, lost},
		"link that holds nothing":    {"stale", of(""), 410, lost},
		"link of nobody, without id": {"stale", codec.Map{}, 410, lost},
		"neither":                    {"", codec.Map{}, 400, "com.microsoft:argument-error"},
		"id that is a number":        {"link", of(int32(1)), 400, "com.microsoft:argument-error"},
	} {
		status, condition, body := requestFor(t, q, test.link, "com.microsoft:renew-session-lock", test.body)
		if status != test.status || condition != test.condition {
			t.Errorf("%s: answered %d %s, want %d %s", name, status, condition, test.status, test.condition)
		}
		if expiration, _ := body.Get("expiration"); status == 200 {
			if until, ok := expiration.(time.Time); !ok || until.Before(time.Now()) {
				t.Errorf("%s: expiration is %v (%T)", name, expiration, expiration)
			}
		}
	}
}

func TestSessionOperationsNeedSessions(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	for _, operation := range []string{"renew-session-lock", "get-session-state", "set-session-state", "get-message-sessions"} {
		status, condition, _ := requestFor(t, q, "link", "com.microsoft:"+operation, of("s"))
		if status != 400 || condition != "amqp:not-allowed" {
			t.Errorf("%s: answered %d %s", operation, status, condition)
		}
	}
}

func TestSessionStateIsNullUntilItIsSet(t *testing.T) {
	t.Parallel()
	q := newSessionQueue(t)
	acceptSession(t, q, "s", owner)
	state := func() any {
		t.Helper()
		status, condition, body := requestFor(t, q, "link", "com.microsoft:get-session-state", of("s"))
		want(t, status, condition, 200, "")
		v, ok := body.Get("session-state")
		if !ok {
			t.Fatal("session-state is not there at all")
		}
		return v
	}
	for _, set := range []struct{ value, read any }{
		{nil, nil}, {[]byte("half"), []byte("half")}, {[]byte{}, nil}, {[]byte("way"), []byte("way")}, {nil, nil},
	} {
		status, condition, _ := requestFor(t, q, "link", "com.microsoft:set-session-state", of("s", codec.Pair{Key: "session-state", Value: set.value}))
		want(t, status, condition, 200, "")
		if diff := cmp.Diff(set.read, state()); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", set.value, diff)
		}
	}
	status, condition, _ := requestFor(t, q, "link", "com.microsoft:set-session-state", of("s", codec.Pair{Key: "session-state", Value: "text"}))
	want(t, status, condition, 400, "com.microsoft:argument-error")
	for _, operation := range []string{"get-session-state", "set-session-state"} {
		status, condition, _ = requestFor(t, q, "stale", "com.microsoft:"+operation, of("s"))
		want(t, status, condition, 410, "com.microsoft:session-lock-lost")
	}
}

func TestDeferredMessagesOfASessionAreItsHoldersAlone(t *testing.T) {
	t.Parallel()
	q := newSessionQueue(t)
	storeIn(t, q, "s", "s")
	lock := acceptSession(t, q, "s", owner)
	for _, m := range lock.Acquire(nil, 2, broker.PeekLock) {
		if err := lock.Settle(broker.Outcome{Kind: broker.Defer}, m.LockToken); err != nil {
			t.Fatal(err)
		}
	}
	status, condition, _ := request(t, q, "com.microsoft:receive-by-sequence-number", bySequence(1, 1))
	want(t, status, condition, 400, "amqp:not-allowed")
	status, condition, _ = requestFor(t, q, "stale", "com.microsoft:receive-by-sequence-number", bySequence(1, 1))
	want(t, status, condition, 410, "com.microsoft:session-lock-lost")
	status, condition, body := requestFor(t, q, "link", "com.microsoft:receive-by-sequence-number", bySequence(1, 1))
	want(t, status, condition, 200, "")
	until, _ := messages(t, body)[0].MessageAnnotations.Get("x-opt-locked-until")
	if diff := cmp.Diff(any(lock.LockedUntil().UTC().Truncate(time.Millisecond)), until); diff != "" {
		t.Errorf("locked until (-want +got):\n%s", diff)
	}
	status, condition, _ = request(t, q, "com.microsoft:receive-by-sequence-number", append(bySequence(0, 2), of("s")...))
	want(t, status, condition, 200, "")
}

func TestDispositionInASessionNeedsItsLock(t *testing.T) {
	t.Parallel()
	q := newSessionQueue(t)
	storeIn(t, q, "s", "s", "s")
	lock := acceptSession(t, q, "s", owner)
	held := lock.Acquire(nil, 3, broker.PeekLock)
	complete := func(m broker.Stored) codec.Map {
		return append(tokens(m), codec.Pair{Key: "disposition-status", Value: "completed"})
	}
	status, condition, _ := requestFor(t, q, "link", "com.microsoft:update-disposition", complete(held[0]))
	want(t, status, condition, 200, "")
	status, condition, _ = requestFor(t, q, "link", "com.microsoft:update-disposition", complete(held[0]))
	want(t, status, condition, 410, "com.microsoft:message-lock-lost")
	status, condition, _ = request(t, q, "com.microsoft:update-disposition", complete(held[1])) // a token is enough
	want(t, status, condition, 200, "")
	lock.Release()
	status, condition, _ = requestFor(t, q, "link", "com.microsoft:update-disposition", complete(held[2]))
	want(t, status, condition, 410, "com.microsoft:session-lock-lost")
	if got := q.Counts(); got != (broker.Counts{Accepted: 3, Active: 1, Completed: 2}) {
		t.Errorf("counts are %+v", got)
	}
}

func TestPeekShowsOneSessionOrAll(t *testing.T) {
	t.Parallel()
	q := newSessionQueue(t)
	storeIn(t, q, "a", "", "a")
	for want, req := range map[int]codec.Map{
		3: peek(0, 9), 2: append(peek(0, 9), of("a")...), 1: append(peek(0, 9), of("")...),
	} {
		_, _, body := request(t, q, "com.microsoft:peek-message", req)
		if got := len(messages(t, body)); got != want {
			t.Errorf("%v peeked %d messages, want %d", req, got, want)
		}
	}
	status, condition, _ := request(t, q, "com.microsoft:peek-message", append(peek(0, 9), of("b")...))
	want(t, status, condition, 204, "")
}

func list(updated time.Time, skip, top int32) codec.Map {
	return codec.Map{{Key: "last-updated-time", Value: updated}, {Key: "skip", Value: skip}, {Key: "top", Value: top}}
}

func TestSessionsAreListedPageByPage(t *testing.T) {
	t.Parallel()
	q := newSessionQueue(t)
	storeIn(t, q, "a", "b", "put off", "c")
	off := acceptSession(t, q, "put off", owner)
	if err := off.Settle(broker.Outcome{Kind: broker.Defer}, off.Acquire(nil, 1, broker.PeekLock)[0].LockToken); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Hour)
	state := acceptSession(t, q, "state only", owner)
	if err := state.SetState([]byte("x")); err != nil {
		t.Fatal(err)
	}
	everything := time.UnixMilli(253402300800000) // the year 10000
	for name, test := range map[string]struct {
		req  codec.Map
		want []string // nil: no content
	}{
		"all":                {list(everything, 0, 100), []string{"a", "b", "c", "state only"}},
		"page":               {list(everything, 1, 2), []string{"b", "c"}},
		"last page":          {list(everything, 3, 2), []string{"state only"}},
		"behind the end":     {list(everything, 4, 2), nil},
		"far behind the end": {list(everything, 1<<30, 2), nil},
		"state after":        {list(before, 0, 100), []string{"state only"}},
		"state not after":    {list(time.Now().Add(time.Hour), 0, 100), nil},
	} {
		status, condition, body := request(t, q, "com.microsoft:get-message-sessions", test.req)
		if test.want == nil {
			want(t, status, condition, 204, "")
			continue
		}
		want(t, status, condition, 200, "")
		ids, _ := body.Get("sessions-ids")
		if diff := cmp.Diff(any(test.want), ids); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		skip, _ := test.req.Get("skip")
		if next, _ := body.Get("skip"); next != skip.(int32)+int32(len(test.want)) {
			t.Errorf("%s: next skip is %v", name, next)
		}
	}
	for _, bad := range []codec.Map{{}, list(everything, -1, 1), list(everything, 0, 0), slices.Delete(list(everything, 0, 1), 1, 2)} {
		status, condition, _ := request(t, q, "com.microsoft:get-message-sessions", bad)
		want(t, status, condition, 400, "com.microsoft:argument-error")
	}
}
