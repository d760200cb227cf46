package dialect

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/filter"
	"batchterminator/worker/servicebustest/internal/message"
)

// full is a message with a value in every place that a rule can look at.
func full(t *testing.T) broker.Message {
	t.Helper()
	m := withProperties(t, message.Properties{
		MessageID: "m1", CorrelationID: codec.UUID{1}, To: "to", Subject: "label", ReplyTo: "reply",
		ContentType: "text/plain", GroupID: codec.Some("s1"), ReplyToGroupID: "s2",
	})
	m.Header.TTL = codec.Some[uint32](60_000)
	for key, value := range map[codec.Symbol]any{
		message.PartitionKey: "p1", transactionPartitionKey: "p2", message.ScheduledEnqueueTime: start,
	} {
		if err := m.MessageAnnotations.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []codec.Pair{
		{Key: "byte", Value: int8(1)}, {Key: "short", Value: int16(2)}, {Key: "int", Value: int32(3)}, {Key: "long", Value: int64(4)},
		{Key: "ubyte", Value: uint8(5)}, {Key: "ushort", Value: uint16(6)}, {Key: "uint", Value: uint32(7)}, {Key: "ulong", Value: uint64(8)},
		{Key: "float", Value: float32(0.5)}, {Key: "double", Value: 0.25}, {Key: "bool", Value: true}, {Key: "null", Value: nil},
		{Key: "text", Value: "text"}, {Key: "Text", Value: "other case"}, {Key: "symbol", Value: codec.Symbol("symbol")}, {Key: "char", Value: codec.Char('c')},
		{Key: "uuid", Value: codec.UUID{2}}, {Key: "time", Value: start}, {Key: "binary", Value: []byte{1}},
		{Key: "span", Value: codec.Described{Descriptor: timeSpan, Value: int64(36_000_000_000)}},
		{Key: "ever", Value: codec.Described{Descriptor: timeSpan, Value: int64(math.MaxInt64)}},
		{Key: "offset", Value: codec.Described{Descriptor: dateTimeOffset, Value: int64(638_355_968_000_000_001)}},
		{Key: "uri", Value: codec.Described{Descriptor: uri, Value: "http://x"}},
		{Key: "other", Value: codec.Described{Descriptor: codec.Symbol("x"), Value: "y"}},
	} {
		if err := m.ApplicationProperties.Set(p.Key, p.Value); err != nil {
			t.Fatal(err)
		}
	}
	return Message(m, 0)
}

// given are parameters; now is where a bubble's clock starts.
var given = map[string]any{
	"start": start, "minute": time.Minute, "hour": time.Hour, "uuid": filter.UUID{2}, "bytes": []byte{1},
	"offset": start.Add(100 * time.Nanosecond), "now": time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
}

func TestRulesSeeEveryPartOfAMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := full(t)
		m.Overlay = map[string]any{"added": "overlay"}
		for _, text := range []string{
			"byte = 1 AND short = 2 AND int = 3 AND long = 4", "ubyte = 5 AND ushort = 6 AND uint = 7 AND ulong = 8",
			"float = 0.5 AND double = 0.25 AND bool = TRUE", "[null] IS NULL AND EXISTS([null])", "text = 'text'", "TEXT = 'text'", "[Text] = 'other case'",
			"symbol = 'symbol' AND char = 'c' AND uri = 'http://x'", "uuid = @uuid", "time = @start", "binary = @bytes",
			"span = @hour", "ever > @hour", "offset = @offset", "other IS NOT NULL", "added = 'overlay'", "missing IS NULL AND NOT EXISTS(missing)",
			"sys.MessageId = 'm1'", "sys.CorrelationId = '01000000-0000-0000-0000-000000000000'", "sys.To = 'to'", "sys.Label = 'label'",
			"sys.ReplyTo = 'reply'", "sys.ContentType = 'text/plain'", "sys.SessionId = 's1'", "sys.ReplyToSessionId = 's2'",
			"sys.PartitionKey = 'p1'", "sys.ViaPartitionKey = 'p2'", "sys.TimeToLive = @minute", "sys.ScheduledEnqueueTimeUtc = @start",
			"sys.EnqueuedTimeUtc = @now", "sys.ExpiresAtUtc = @now + @minute", "sys.DeliveryCount = 0 AND sys.State = 0", "sys.Size > 100",
			"sys.SequenceNumber IS NULL AND sys.EnqueuedSequenceNumber IS NULL",
		} {
			wantMatch(t, m, text, true)
		}
		empty := broker.Message{Payload: &message.Message{}}
		for name := range map[string]bool{
			"MessageId": true, "CorrelationId": true, "To": true, "Label": true, "ReplyTo": true, "ContentType": true, "SessionId": true,
			"ReplyToSessionId": true, "PartitionKey": true, "ScheduledEnqueueTimeUtc": true, "ExpiresAtUtc": true,
		} {
			wantMatch(t, empty, "sys."+name+" IS NULL", true)
		}
		wantMatch(t, empty, "sys.TimeToLive > @hour", true)
	})
}

func wantMatch(t *testing.T, m broker.Message, text string, want bool) {
	t.Helper()
	f, err := SQLFilter(text, given)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Match(&m); err != nil || got != want {
		t.Errorf("%s: %v, %v, want %v", text, got, err, want)
	}
}

func TestActionsChangeACopyAndKeepTheWidthOfNumbers(t *testing.T) {
	t.Parallel()
	m := full(t)
	before := m.Payload.(*message.Message).Append(nil)
	a, err := SQLAction(`SET byte = 9 SET short = 9 SET [int] = 9 SET long = 9 SET ubyte = 9 SET ushort = 9 SET uint = 9 SET ulong = 0
		SET float = 9 SET TEXT = 'new'; REMOVE Bool; SET uuid = newid(); SET span = @minute SET [fresh one] = 1`, given)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := a.Apply(m)
	if err != nil {
		t.Fatal(err)
	}
	wire := decoded(t, Wire(changed).Append(nil))
	for key, want := range map[string]any{
		"byte": int8(9), "short": int16(9), "int": int32(9), "long": int64(9), "ubyte": uint8(9), "ushort": uint16(9), "uint": uint32(9),
		"ulong": uint64(0), "float": float32(9), "fresh one": int64(1),
		"span": codec.Described{Descriptor: timeSpan, Value: int64(600_000_000)},
	} {
		got, _ := wire.ApplicationProperties.Get(key)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", key, diff)
		}
	}
	if v, _ := wire.ApplicationProperties.Get("text"); v != "new" {
		t.Errorf("text is %v: TEXT means the first property of that name", v)
	}
	if _, ok := wire.ApplicationProperties.Get("bool"); ok {
		t.Error("bool was not removed")
	}
	if v, _ := wire.ApplicationProperties.Get("uuid"); v == (codec.UUID{2}) {
		t.Error("uuid was not changed")
	}
	if diff := cmp.Diff(before, m.Payload.(*message.Message).Append(nil)); diff != "" {
		t.Errorf("the message of the other subscriptions changed:\n%s", diff)
	}
}

func TestANumberThatOutgrowsItsWidthGetsAWiderOne(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]int64{
		"byte": 128, "short": 1 << 15, "int": 1 << 31, "ubyte": 256, "ushort": 1 << 16, "uint": 1 << 32, "ulong": -1,
	} {
		changed := apply(t, full(t), "SET ["+key+"] = @value", map[string]any{"value": value})
		if got, _ := Wire(changed).ApplicationProperties.Get(key); got != value {
			t.Errorf("%s is %v (%T), want %d", key, got, got, value)
		}
	}
}

func apply(t *testing.T, m broker.Message, text string, parameters map[string]any) broker.Message {
	t.Helper()
	a, err := SQLAction(text, parameters)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := a.Apply(m)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestActionsOnSystemPropertiesReachBrokerAndWire(t *testing.T) {
	t.Parallel()
	m := full(t)
	m.Overlay = map[string]any{"kept": "overlay"}
	m.Size = 1
	changed := apply(t, m, `SET sys.MessageId = 'm2' SET sys.CorrelationId = 5 SET sys.To = 'a' SET sys.Label = 'b' SET sys.ReplyTo = 'c'
		SET sys.ContentType = 'd' SET sys.SessionId = 'e' SET sys.ReplyToSessionId = 'f' SET sys.PartitionKey = 'g'
		SET sys.ViaPartitionKey = 'h' SET sys.TimeToLive = @hour SET sys.ScheduledEnqueueTimeUtc = @offset`, given)
	wire := decoded(t, Wire(changed).Append(nil))
	want := message.Properties{
		MessageID: "m2", CorrelationID: "5", To: "a", Subject: "b", ReplyTo: "c", ContentType: "d", GroupID: codec.Some("e"), ReplyToGroupID: "f",
	}
	if diff := cmp.Diff(want, wire.Properties()); diff != "" {
		t.Errorf("properties differ (-want +got):\n%s", diff)
	}
	if wire.Header.TTL != codec.Some[uint32](3_600_000) {
		t.Errorf("time to live is %v", wire.Header.TTL)
	}
	partition, _ := wire.MessageAnnotations.Get("x-opt-partition-key")
	via, _ := wire.MessageAnnotations.Get("x-opt-via-partition-key")
	if partition != "g" || via != "h" {
		t.Errorf("partition keys are %v and %v", partition, via)
	}
	if v, _ := wire.ApplicationProperties.Get("kept"); v != "overlay" {
		t.Errorf("what the broker had set is %v", v)
	}
	size := changed.Size
	changed.Payload, changed.Size = nil, 0
	accepted := broker.Message{
		ID: "m2", SessionID: "e", InSession: true, PartitionKey: "g", TTL: time.Hour, ScheduledFor: given["offset"].(time.Time),
	}
	if diff := cmp.Diff(accepted, changed); diff != "" {
		t.Errorf("message differs (-want +got):\n%s", diff)
	}
	if size != len(wire.Append(nil)) {
		t.Errorf("size is %d, encoded %d", size, len(wire.Append(nil)))
	}
}

func TestSystemPropertiesCanBeRemoved(t *testing.T) {
	t.Parallel()
	changed := apply(t, full(t), `REMOVE sys.MessageId REMOVE sys.CorrelationId REMOVE sys.To REMOVE sys.Label REMOVE sys.ReplyTo
		REMOVE sys.ContentType REMOVE sys.SessionId REMOVE sys.ReplyToSessionId REMOVE sys.PartitionKey REMOVE sys.ViaPartitionKey
		REMOVE sys.TimeToLive REMOVE sys.ScheduledEnqueueTimeUtc`, nil)
	wire := decoded(t, Wire(changed).Append(nil))
	if diff := cmp.Diff(message.Properties{}, wire.Properties()); diff != "" {
		t.Errorf("properties are left (-want +got):\n%s", diff)
	}
	if wire.Header.TTL.Set || wire.MessageAnnotations.Len() != 0 {
		t.Errorf("time to live %v and annotations %v are left", wire.Header.TTL, wire.MessageAnnotations.All())
	}
	changed.Payload = nil
	if diff := cmp.Diff(broker.Message{}, changed); diff != "" {
		t.Errorf("message differs (-want +got):\n%s", diff)
	}
}

func TestAnActionThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	a, err := SQLAction("SET x = text - 1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Apply(full(t)); err == nil {
		t.Error("a text minus a number has a result")
	}
}

func TestCorrelationFilterWithAmqpTypes(t *testing.T) {
	t.Parallel()
	r, err := DecodeRule("r", codec.Map{{Key: "correlation-filter", Value: codec.Map{
		{Key: "label", Value: "label"}, {Key: "session-id", Value: codec.Symbol("s1")}, {Key: "to", Value: nil},
		{Key: "properties", Value: codec.Map{{Key: "int", Value: int64(3)}, {Key: "uuid", Value: codec.UUID{2}}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	m := full(t)
	if ok, err := r.Filter.Match(&m); !ok || err != nil {
		t.Errorf("matches: %v, %v", ok, err)
	}
	m = apply(t, m, "SET uuid = newid()", nil)
	if ok, err := r.Filter.Match(&m); ok || err != nil {
		t.Errorf("with another uuid matches: %v, %v", ok, err)
	}
}
