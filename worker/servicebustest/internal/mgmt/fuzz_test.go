package mgmt

import (
	"maps"
	"slices"
	"testing"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/message"
)

// FuzzRequest asks any operation for anything, several times over: every request is answered with a status, no message
// is lost, and what is left can be delivered.
func FuzzRequest(f *testing.F) {
	for i := range operations {
		f.Add([]byte(i))
	}
	f.Add([]byte("\x03\x00\x05\x06\x07\x08"))
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) > 1024 {
			t.Skip("longer ones repeat themselves")
		}
		g := generator{rest: input}
		q, held := furnished(t, &g)
		g.tokens = held
		for range 8 {
			name, body := g.request()
			status, _, _ := request(t, q, name, body)
			if status < 200 || status > 503 {
				t.Fatalf("%s with %v: status %d", name, body, status)
			}
			if len(g.rest) == 0 {
				break
			}
		}
		c := q.Counts()
		if sum := c.Active + c.Locked + c.Deferred + c.Scheduled + c.DeadLettered + c.Completed + c.Expired + c.Cancelled + c.Forwarded; sum != c.Accepted {
			t.Fatalf("%d of %d messages are accounted for: %+v", sum, c.Accepted, c)
		}
		for _, m := range append(q.Peek(0, 100), q.DeadLetter().Peek(0, 100)...) {
			if _, err := message.Parse(dialect.EncodeReceived(m)); err != nil {
				t.Fatalf("message %d cannot be delivered: %v", m.SequenceNumber, err)
			}
		}
	})
}

// furnished returns a queue, a queue with sessions or a subscription, with messages in every state.
func furnished(t *testing.T, g *generator) (q *broker.Queue, held []codec.UUID) {
	t.Helper()
	switch g.byte() % 3 {
	case 1:
		return newQueue(t, broker.Config{RequiresSession: true}), []codec.UUID{{1}}
	case 2:
		topic, subscription := newSubscription(t)
		store(t, topic, "1", "2")
		return subscription, []codec.UUID{codec.UUID(lock(t, subscription).LockToken)}
	}
	q = newQueue(t, broker.Config{MaxDeliveryCount: 2})
	store(t, q, "1", "2", "3", "4")
	deferred := lock(t, q)
	if err := q.Settle(broker.Outcome{Kind: broker.Defer}, deferred.LockToken); err != nil {
		t.Fatal(err)
	}
	m, err := message.Parse(encoded(t, "later", time.Now().Add(time.Hour)))
	if err == nil {
		_, err = q.Enqueue(dialect.Message(m, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	return q, []codec.UUID{codec.UUID(lock(t, q).LockToken), {2}}
}

// generator turns bytes into requests. What has run out reads as zeros.
type generator struct {
	rest   []byte
	tokens []codec.UUID // locks, and what is none
}

func (g *generator) byte() byte {
	if len(g.rest) == 0 {
		return 0
	}
	b := g.rest[0]
	g.rest = g.rest[1:]
	return b
}

// keys are all that any operation looks at.
var keys = []string{
	"lock-tokens", "sequence-numbers", "from-sequence-number", "message-count", "receiver-settle-mode", "disposition-status",
	"deadletter-reason", "deadletter-description", "properties-to-modify", "messages", "session-id", "session-state", "rule-name",
	"rule-description", "top", "skip", "last-updated-time", "enqueued-time-utc",
}

func (g *generator) request() (operation string, body codec.Map) {
	names := slices.Sorted(maps.Keys(operations))
	operation = names[int(g.byte())%len(names)]
	body = codec.Map{}
	for range g.byte() % 6 {
		body = append(body, codec.Pair{Key: keys[int(g.byte())%len(keys)], Value: g.value(0)})
	}
	return operation, body
}

// value is any value, of the types that requests are made of more often than of others.
func (g *generator) value(depth int) any {
	b := g.byte()
	if depth > 3 {
		b %= 16
	}
	switch b % 24 {
	case 0:
		return nil
	case 1:
		return int32(g.byte()) - 2
	case 2:
		return int64(g.byte()) - 2
	case 3:
		return []any{int64(-1 << 63), int64(1<<63 - 1), uint64(1<<64 - 1), uint32(1), int8(-1), true, 1.5, codec.Char('x')}[g.byte()%8]
	case 4, 5:
		return []any{"", "completed", "abandoned", "suspended", "defered", "1=1", "sys.Label='x' OR y IN (1,2)", "SET a=b"}[g.byte()%8]
	case 6, 7, 8:
		return g.tokens
	case 9, 10:
		return []int64{1, int64(g.byte()), 2}[:1+g.byte()%3]
	case 11:
		return []byte{0, 0x53, 0x77, 0xa1, 1, 'x'}[:g.byte()%7]
	case 12:
		return time.UnixMilli(int64(g.byte()) << (g.byte() % 56))
	case 13:
		return codec.Symbol("sym")
	case 14:
		return []string{"a", ""}
	case 15:
		return codec.UUID{g.byte()}
	case 16, 17, 18:
		list := []any{}
		for range g.byte() % 4 {
			list = append(list, g.value(depth+1))
		}
		return list
	case 19:
		return codec.Described{Descriptor: uint64(g.byte()), Value: g.value(depth + 1)}
	}
	return g.table(depth)
}

// table is a map with the keys of messages and rules, or of other types.
func (g *generator) table(depth int) codec.Map {
	table := codec.Map{}
	for range g.byte() % 4 {
		key := []any{"message", "message-id", "sql-filter", "expression", "correlation-filter", "sql-rule-action", "properties", g.value(3)}[g.byte()%8]
		table = append(table, codec.Pair{Key: key, Value: g.value(depth + 1)})
	}
	return table
}
