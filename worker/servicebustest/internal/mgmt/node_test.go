package mgmt

import (
	"testing"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/message"
	"batchterminator/worker/servicebustest/internal/transport"
)

func newQueue(t *testing.T, cfg broker.Config) *broker.Queue {
	t.Helper()
	n := broker.NewNamespace(true)
	t.Cleanup(n.Close)
	q, err := n.CreateQueue("orders", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func encoded(t *testing.T, body string, scheduledFor time.Time) []byte {
	t.Helper()
	m := &message.Message{}
	m.SetData([]byte(body))
	if !scheduledFor.IsZero() {
		if err := m.MessageAnnotations.Set(message.ScheduledEnqueueTime, scheduledFor); err != nil {
			t.Fatal(err)
		}
	}
	return m.Append(nil)
}

// store puts messages into q as a sender link would.
func store(t *testing.T, q *broker.Queue, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		m, err := message.Parse(encoded(t, body, time.Time{}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Enqueue(dialect.Message(m, 0)); err != nil {
			t.Fatal(err)
		}
	}
}

// request performs an operation and returns the reply's status, condition and body, checking what every reply has.
func request(t *testing.T, q *broker.Queue, operation string, body any) (int32, string, codec.Map) {
	t.Helper()
	return requestFor(t, q, "", operation, body)
}

// requestFor is request on behalf of a link of connection 1, as clients name it; none if link is empty.
func requestFor(t *testing.T, q *broker.Queue, link, operation string, body any) (int32, string, codec.Map) {
	t.Helper()
	req := &message.Message{}
	if err := req.ApplicationProperties.Set("operation", operation); err != nil {
		t.Fatal(err)
	}
	if link != "" {
		if err := req.ApplicationProperties.Set("associated-link-name", link); err != nil {
			t.Fatal(err)
		}
	}
	if err := req.SetValue(body); err != nil {
		t.Fatal(err)
	}
	// Through bytes, as it comes and goes.
	req, err := message.Parse(req.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := message.Parse(New(q).Respond(transport.Request{Link: transport.Link{Conn: 1, Name: "management"}}, req).Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	v, _ := reply.ApplicationProperties.Get("statusCode")
	status, ok := v.(int32)
	if !ok {
		t.Fatalf("statusCode is %T: the Go SDK wants an int", v)
	}
	camel, _ := reply.ApplicationProperties.Get("errorCondition")
	dashed, _ := reply.ApplicationProperties.Get("error-condition")
	condition, isSymbol := camel.(codec.Symbol)
	if camel != dashed || (status >= 300) != isSymbol {
		t.Fatalf("status %d with errorCondition %v (%T) and error-condition %v", status, camel, camel, dashed)
	}
	value, err := reply.Value()
	if err != nil {
		t.Fatal(err)
	}
	m, _ := value.(codec.Map)
	return status, string(condition), m
}

func want(t *testing.T, status int32, condition string, wantStatus int32, wantCondition string) {
	t.Helper()
	if status != wantStatus || condition != wantCondition {
		t.Fatalf("answered %d %s, want %d %s", status, condition, wantStatus, wantCondition)
	}
}

func lock(t *testing.T, q *broker.Queue) broker.Stored {
	t.Helper()
	got := q.Acquire(nil, 1, broker.PeekLock)
	if len(got) != 1 {
		t.Fatal("nothing to lock")
	}
	return got[0]
}

func TestOperationsThatAreNotEmulatedSaySo(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	for _, operation := range []string{"com.microsoft:update-rule", "", "READ"} {
		status, condition, _ := request(t, q, operation, codec.Map{})
		want(t, status, condition, 501, "amqp:not-implemented")
	}
}

func TestMalformedRequestsAreArgumentErrors(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	store(t, q, "a")
	held := tokens(lock(t, q))
	with := func(key string, value any) codec.Map { return codec.Map{{Key: key, Value: value}} }
	for name, test := range map[string]struct {
		operation string
		body      any
	}{
		"body is no map":          {"renew-lock", "text"},
		"no tokens":               {"renew-lock", codec.Map{}},
		"tokens of another type":  {"renew-lock", with("lock-tokens", []any{"text"})},
		"peek without start":      {"peek-message", with("message-count", int32(1))},
		"peek without count":      {"peek-message", with("from-sequence-number", int64(1))},
		"peek of none":            {"peek-message", peek(1, 0)},
		"number is text":          {"receive-by-sequence-number", with("sequence-numbers", []any{"1"})},
		"no numbers":              {"cancel-scheduled-message", codec.Map{}},
		"no settle mode":          {"receive-by-sequence-number", with("sequence-numbers", []int64{1})},
		"unknown disposition":     {"update-disposition", append(held, codec.Pair{Key: "disposition-status", Value: "deferred"})},
		"reason is a number":      {"update-disposition", append(held, codec.Pair{Key: "disposition-status", Value: "suspended"}, codec.Pair{Key: "deadletter-reason", Value: int64(1)})},
		"properties are no map":   {"update-disposition", append(held, codec.Pair{Key: "disposition-status", Value: "abandoned"}, codec.Pair{Key: "properties-to-modify", Value: "x"})},
		"nothing to schedule":     {"schedule-message", with("messages", []any{})},
		"message is text":         {"schedule-message", with("messages", []any{with("message", "text")})},
		"message does not decode": {"schedule-message", with("messages", []any{with("message", []byte("text"))})},
	} {
		status, condition, _ := request(t, q, "com.microsoft:"+test.operation, test.body)
		if status != 400 || condition != "com.microsoft:argument-error" {
			t.Errorf("%s: answered %d %s, want 400 com.microsoft:argument-error", name, status, condition)
		}
	}
	if got := q.Counts(); got != (broker.Counts{Accepted: 1, Locked: 1}) {
		t.Errorf("a refused request had an effect: %+v", got)
	}
}
