package mgmt

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/message"
)

func tokens(stored ...broker.Stored) codec.Map {
	var uuids []codec.UUID
	for _, m := range stored {
		uuids = append(uuids, codec.UUID(m.LockToken))
	}
	return codec.Map{{Key: "lock-tokens", Value: uuids}}
}

func TestRenewLockAnswersOneExpiryForEachToken(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	store(t, q, "a", "b")
	first, second := lock(t, q), lock(t, q)
	status, condition, body := request(t, q, "com.microsoft:renew-lock", tokens(first, second))
	want(t, status, condition, 200, "")
	v, _ := body.Get("expirations")
	expirations, ok := v.([]time.Time)
	if !ok || len(expirations) != 2 || expirations[0].Before(first.LockedUntil.Truncate(time.Millisecond)) {
		t.Fatalf("expirations are %v (%T)", v, v)
	}
	status, condition, _ = request(t, q, "com.microsoft:renew-lock", tokens(first, broker.Stored{LockToken: broker.Token{1}}))
	want(t, status, condition, 410, "com.microsoft:message-lock-lost")
}

func TestTokensMayComeAsAList(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	store(t, q, "a")
	list := codec.Map{{Key: "lock-tokens", Value: []any{codec.UUID(lock(t, q).LockToken)}}}
	status, condition, _ := request(t, q, "com.microsoft:renew-lock", list)
	want(t, status, condition, 200, "")
}

func peek(from int64, count int32) codec.Map {
	return codec.Map{{Key: "from-sequence-number", Value: from}, {Key: "message-count", Value: count}}
}

// messages decodes the entries of a reply.
func messages(t *testing.T, body codec.Map) []*message.Message {
	t.Helper()
	v, _ := body.Get("messages")
	list, ok := v.([]any)
	if !ok {
		t.Fatalf("messages is %T, want a list", v)
	}
	var out []*message.Message
	for _, e := range list {
		raw, _ := e.(codec.Map).Get("message")
		m, err := message.Parse(raw.([]byte))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func TestPeekAnswersNoContentBehindTheEnd(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	store(t, q, "a")
	status, condition, body := request(t, q, "com.microsoft:peek-message", peek(2, 1))
	want(t, status, condition, 204, "")
	if body != nil {
		t.Fatalf("body is %v", body)
	}
}

func TestPeekedMessageShowsStateAndNoLock(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	store(t, q, "a")
	lock(t, q)
	_, _, body := request(t, q, "com.microsoft:peek-message", peek(1, 1))
	m := messages(t, body)[0]
	if state, _ := m.MessageAnnotations.Get("x-opt-message-state"); state != int32(0) {
		t.Errorf("state is %v (%T), want int 0", state, state)
	}
	if _, ok := m.MessageAnnotations.Get("x-opt-locked-until"); ok || m.DeliveryAnnotations.Len() != 0 {
		t.Error("a peek shows the lock")
	}
}

func TestPeekIsBoundedInMessagesAndBytes(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	store(t, q, make([]string, maxPeeked+1)...)
	_, _, body := request(t, q, "com.microsoft:peek-message", peek(1, maxPeeked+1))
	if got := len(messages(t, body)); got != maxPeeked {
		t.Errorf("peeked %d messages, want %d", got, maxPeeked)
	}
	big := newQueue(t, broker.Config{MaxMessageSize: 1 << 20})
	store(t, big, string(make([]byte, 200<<10)), string(make([]byte, 200<<10)))
	_, _, body = request(t, big, "com.microsoft:peek-message", peek(1, 2))
	if got := len(messages(t, body)); got != 1 {
		t.Errorf("peeked %d large messages at once, want 1", got)
	}
}

func bySequence(mode uint32, numbers ...int64) codec.Map {
	return codec.Map{{Key: "sequence-numbers", Value: numbers}, {Key: "receiver-settle-mode", Value: mode}}
}

func TestReceiveBySequenceNumberLocksOrDeletes(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	store(t, q, "a")
	if err := q.Settle(broker.Outcome{Kind: broker.Defer}, lock(t, q).LockToken); err != nil {
		t.Fatal(err)
	}
	status, condition, body := request(t, q, "com.microsoft:receive-by-sequence-number", bySequence(1, 1))
	want(t, status, condition, 200, "")
	v, _ := body.Get("messages")
	token, _ := v.([]any)[0].(codec.Map).Get("lock-token")
	m := messages(t, body)[0]
	inMessage, _ := m.DeliveryAnnotations.Get("x-opt-lock-token")
	if token != inMessage || token == (codec.UUID{}) {
		t.Errorf("lock-token is %v, in the message %v", token, inMessage)
	}
	if state, _ := m.MessageAnnotations.Get("x-opt-message-state"); state != int32(1) {
		t.Errorf("state is %v", state)
	}
	status, condition, _ = request(t, q, "com.microsoft:receive-by-sequence-number", bySequence(1, 1))
	want(t, status, condition, 404, "com.microsoft:message-not-found")

	if err := q.Settle(broker.Outcome{Kind: broker.Abandon}, broker.Token(token.(codec.UUID))); err != nil {
		t.Fatal(err)
	}
	status, condition, _ = request(t, q, "com.microsoft:receive-by-sequence-number", bySequence(0, 1))
	want(t, status, condition, 200, "")
	if got := q.Counts(); got != (broker.Counts{Accepted: 1, Completed: 1}) {
		t.Errorf("counts are %+v", got)
	}
}

func TestUpdateDispositionSettlesByToken(t *testing.T) {
	t.Parallel()
	for status, wantCounts := range map[string]broker.Counts{
		"completed": {Accepted: 1, Completed: 1},
		"abandoned": {Accepted: 1, Active: 1},
		"suspended": {Accepted: 1, DeadLettered: 1},
		"defered":   {Accepted: 1, Deferred: 1},
	} {
		q := newQueue(t, broker.Config{})
		store(t, q, "a")
		req := append(tokens(lock(t, q)),
			codec.Pair{Key: "disposition-status", Value: status},
			codec.Pair{Key: "deadletter-reason", Value: "why"},
			codec.Pair{Key: "deadletter-description", Value: nil},
			codec.Pair{Key: "properties-to-modify", Value: codec.Map{{Key: "k", Value: int64(1)}}})
		code, condition, _ := request(t, q, "com.microsoft:update-disposition", req)
		want(t, code, condition, 200, "")
		if diff := cmp.Diff(wantCounts, q.Counts()); diff != "" {
			t.Errorf("%s: counts differ (-want +got):\n%s", status, diff)
		}
		code, condition, _ = request(t, q, "com.microsoft:update-disposition", req)
		want(t, code, condition, 410, "com.microsoft:message-lock-lost")
	}
}

func TestDispositionPropertiesReachTheMessage(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	store(t, q, "a")
	req := append(tokens(lock(t, q)), codec.Pair{Key: "disposition-status", Value: "suspended"},
		codec.Pair{Key: "deadletter-reason", Value: "why"}, codec.Pair{Key: "deadletter-description", Value: "how"},
		codec.Pair{Key: "properties-to-modify", Value: codec.Map{{Key: "k", Value: int64(1)}}})
	request(t, q, "com.microsoft:update-disposition", req)
	_, _, body := request(t, q.DeadLetter(), "com.microsoft:peek-message", peek(1, 1))
	got := messages(t, body)[0].ApplicationProperties.All()
	wantProperties := codec.Map{
		{Key: "DeadLetterErrorDescription", Value: "how"}, {Key: "DeadLetterReason", Value: "why"}, {Key: "k", Value: int64(1)},
	}
	if diff := cmp.Diff(wantProperties, got); diff != "" {
		t.Errorf("properties differ (-want +got):\n%s", diff)
	}
}

func TestScheduleAndCancel(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	later := time.Now().Add(time.Hour)
	list := []any{
		codec.Map{{Key: "message-id", Value: "1"}, {Key: "message", Value: encoded(t, "a", later)}},
		codec.Map{{Key: "message-id", Value: "2"}, {Key: "message", Value: encoded(t, "b", later)}},
	}
	status, condition, body := request(t, q, "com.microsoft:schedule-message", codec.Map{{Key: "messages", Value: list}})
	want(t, status, condition, 200, "")
	v, _ := body.Get("sequence-numbers")
	if diff := cmp.Diff([]int64{1, 2}, v); diff != "" {
		t.Fatalf("sequence numbers differ:\n%s", diff)
	}
	status, condition, _ = request(t, q, "com.microsoft:cancel-scheduled-message", codec.Map{{Key: "sequence-numbers", Value: []any{int32(2)}}})
	want(t, status, condition, 200, "")
	status, condition, _ = request(t, q, "com.microsoft:cancel-scheduled-message", codec.Map{{Key: "sequence-numbers", Value: []int64{1, 2}}})
	want(t, status, condition, 404, "com.microsoft:message-not-found")
	if got := q.Counts(); got != (broker.Counts{Accepted: 2, Scheduled: 1, Cancelled: 1}) {
		t.Errorf("counts are %+v", got)
	}
}

func TestOversizedScheduledMessageIsRefused(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{MaxMessageSize: 100})
	list := []any{codec.Map{{Key: "message", Value: encoded(t, string(make([]byte, 101)), time.Time{})}}}
	status, condition, _ := request(t, q, "com.microsoft:schedule-message", codec.Map{{Key: "messages", Value: list}})
	want(t, status, condition, 413, "amqp:link:message-size-exceeded")
}
