package message

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/codec"
)

// section encodes one section.
func section(t testing.TB, code byte, v any) []byte {
	t.Helper()
	b, err := codec.Append(codec.AppendDescriptor(nil, code), v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// full is a message with every section and types that a re-encoding might change.
func full(t testing.TB) []byte {
	return join(
		section(t, 0x70, []any{true, uint8(7), uint32(5000)}),
		section(t, 0x71, codec.Map{{Key: codec.Symbol("d"), Value: int64(1)}}),
		section(t, 0x72, codec.Map{{Key: codec.Symbol("z"), Value: []int64{1}}, {Key: codec.Symbol("a"), Value: uint8(1)}}),
		section(t, 0x73, []any{codec.UUID{1}, []byte("me"), "to", "subject", "back", uint64(7), codec.Symbol("text/plain")}),
		[]byte{0x00, 0x53, 0x74, 0xd1, 0, 0, 0, 12, 0, 0, 0, 2, 0xa1, 1, 'n', 0x71, 0, 0, 0, 1}, // int 1, long way round
		section(t, 0x75, []byte("one")), section(t, 0x75, []byte("two")),
		section(t, 0x78, codec.Map{{Key: codec.Symbol("f"), Value: true}}),
	)
}

func parse(t testing.TB, b []byte) *Message {
	t.Helper()
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestUntouchedMessageKeepsItsBytes(t *testing.T) {
	t.Parallel()
	b := full(t)
	got := parse(t, bytes.Clone(b)).Append(nil)
	header := section(t, 0x70, []any{true, uint8(7), uint32(5000), nil, uint32(0)}) // delivery count is always written
	want := append(header, b[len(section(t, 0x70, []any{true, uint8(7), uint32(5000)})):]...)
	if !bytes.Equal(got, want) {
		t.Errorf("\n% x, want\n% x", got, want)
	}
}

func TestHeaderAndPropertiesAreAlwaysWritten(t *testing.T) {
	t.Parallel()
	m := parse(t, section(t, 0x77, "body"))
	var got amqp.Message
	if err := got.UnmarshalBinary(m.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if got.Header == nil || got.Properties == nil || got.Value != "body" {
		t.Errorf("header %v, properties %v, value %v", got.Header, got.Properties, got.Value)
	}
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	t.Parallel()
	data, value, props := section(t, 0x75, []byte("x")), section(t, 0x77, "x"), section(t, 0x73, []any{"id"})
	for name, b := range map[string][]byte{
		"no section":              []byte("plain text"),
		"unknown section":         section(t, 0x79, nil),
		"properties twice":        join(props, props),
		"properties behind body":  join(data, props),
		"two kinds of body":       join(data, value),
		"two values":              join(value, value),
		"cut short":               data[:len(data)-1],
		"header is no list":       section(t, 0x70, "x"),
		"annotations are no map":  section(t, 0x72, []any{}),
		"id is a list":            section(t, 0x73, []any{[]any{}}),
		"map with a broken entry": {0x00, 0x53, 0x74, 0xc1, 3, 2, 0xa1, 9},
	} {
		if m, err := Parse(b); err == nil {
			t.Errorf("%s: parsed as %+v", name, m)
		}
	}
}

func TestDeliveryAddsTheBrokersPartOnly(t *testing.T) {
	t.Parallel()
	m := parse(t, full(t))
	before := m.Append(nil)
	at := time.UnixMilli(1_700_000_000_000).UTC()
	b := m.AppendDelivery(nil, Delivery{
		DeliveryCount: 3, TTL: codec.Some[uint32](9), EnqueuedTime: at, SequenceNumber: 1 << 40, LockedUntil: at, LockToken: codec.UUID{9},
		State: codec.Some(Deferred), DeadLetterSource: "q", EnqueueSequenceNumber: 4,
	})
	if !bytes.Equal(m.Append(nil), before) {
		t.Error("the stored message has changed")
	}
	var got amqp.Message
	if err := got.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	annotations := amqp.Annotations{
		"z": []int64{1}, "a": uint8(1), string(EnqueuedTime): at, string(SequenceNumber): int64(1 << 40), string(LockedUntil): at,
		string(MessageState): int32(1), string(DeadLetterSource): "q", string(EnqueueSequenceNumber): int64(4),
	}
	if diff := cmp.Diff(annotations, got.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(amqp.Annotations{"d": int64(1), string(LockToken): amqp.UUID{9}}, got.DeliveryAnnotations); diff != "" {
		t.Errorf("delivery annotations (-want +got):\n%s", diff)
	}
	if want := (amqp.MessageHeader{Durable: true, Priority: 7, TTL: 9 * time.Millisecond, DeliveryCount: 3}); *got.Header != want {
		t.Errorf("header %+v", *got.Header)
	}
	if fmt.Sprintf("%s", got.Data) != "[one two]" || got.ApplicationProperties["n"] != int32(1) || got.Footer["f"] != true {
		t.Errorf("data %s, properties %v, footer %v", got.Data, got.ApplicationProperties, got.Footer)
	}
	plain := parse(t, parse(t, section(t, 0x77, "x")).AppendDelivery(nil, Delivery{}))
	if plain.DeliveryAnnotations.Len() != 0 || plain.MessageAnnotations.Len() != 2 {
		t.Errorf("a delivery without lock carries %v and %v", plain.DeliveryAnnotations.All(), plain.MessageAnnotations.All())
	}
}

func TestStripTakesTheFormerLifeAway(t *testing.T) {
	t.Parallel()
	m := parse(t, section(t, 0x77, "x"))
	received := parse(t, m.AppendDelivery(nil, Delivery{
		DeliveryCount: 2, SequenceNumber: 1, EnqueueSequenceNumber: 1, LockedUntil: time.Unix(1, 0), LockToken: codec.UUID{1},
		State: codec.Some(Active), DeadLetterSource: "q",
	}))
	if err := received.MessageAnnotations.Set(PartitionKey, "mine"); err != nil {
		t.Fatal(err)
	}
	received.Strip()
	want := codec.Map{{Key: PartitionKey, Value: "mine"}}
	if diff := cmp.Diff(want, received.MessageAnnotations.All()); diff != "" || received.DeliveryAnnotations.Len() != 0 || received.Header.DeliveryCount != 0 {
		t.Errorf("left over: %s, %v, %+v", diff, received.DeliveryAnnotations.All(), received.Header)
	}
}

func TestEditingATableLeavesOtherEntriesAndClonesAlone(t *testing.T) {
	t.Parallel()
	m := parse(t, full(t))
	c := m.Clone()
	table := &c.ApplicationProperties
	if err := table.Set("first", true); err != nil || parse(t, c.Append(nil)).ApplicationProperties.Len() != 2 {
		t.Errorf("the first edit is not written, %v", err)
	}
	table.Delete("first")
	for _, err := range []error{table.Set("DeadLetterReason", "bad"), table.Set("x", int64(1)), table.Set("x", int64(2))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	table.Delete("missing")
	again := parse(t, c.Append(nil))
	want := codec.Map{{Key: "n", Value: int32(1)}, {Key: "DeadLetterReason", Value: "bad"}, {Key: "x", Value: int64(2)}}
	if diff := cmp.Diff(want, again.ApplicationProperties.All()); diff != "" {
		t.Errorf("edited (-want +got):\n%s", diff)
	}
	if m.ApplicationProperties.Len() != 1 {
		t.Errorf("the original has %v", m.ApplicationProperties.All())
	}
	if _, ok := m.ApplicationProperties.Get("x"); ok {
		t.Error("the original has the clone's entry")
	}
	table.Delete("n")
	table.Delete("x")
	table.Delete("DeadLetterReason")
	if parse(t, c.Append(nil)).ApplicationProperties.Len() != 0 {
		t.Error("entries left")
	}
	for _, bad := range []error{table.Set(1, "v"), table.Set("k", 1)} {
		if bad == nil {
			t.Error("an entry without AMQP type was taken")
		}
	}
}

func TestPropertiesKeepTheTypeOfIDs(t *testing.T) {
	t.Parallel()
	for _, id := range []any{nil, "s", uint64(0), uint64(300), codec.UUID{1}, []byte{1}} {
		m := &Message{}
		want := Properties{MessageID: id, CorrelationID: id, To: "t", GroupID: codec.Some("g"), CreationTime: time.UnixMilli(1).UTC(), GroupSequence: codec.Some[uint32](0)}
		if err := m.SetProperties(want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, parse(t, m.Append(nil)).Properties()); diff != "" {
			t.Errorf("id %T (-want +got):\n%s", id, diff)
		}
	}
	if err := (&Message{}).SetProperties(Properties{MessageID: 1}); err == nil {
		t.Error("an int was taken for an id")
	}
}

func TestBodyIsReadAsTheKindItIs(t *testing.T) {
	t.Parallel()
	data, value := parse(t, full(t)), parse(t, section(t, 0x77, codec.Map{{Key: "k", Value: int64(1)}}))
	if parts, err := data.Data(); err != nil || fmt.Sprintf("%s", parts) != "[one two]" {
		t.Errorf("data %s, %v", parts, err)
	}
	if _, err := data.Value(); err == nil {
		t.Error("data reads as a value")
	}
	if v, err := value.Value(); err != nil || !cmp.Equal(v, codec.Map{{Key: "k", Value: int64(1)}}) {
		t.Errorf("value %v, %v", v, err)
	}
	if _, err := value.Data(); err == nil {
		t.Error("a value reads as data")
	}
	if v, err := (&Message{}).Value(); v != nil || err != nil {
		t.Errorf("no body reads as %v, %v", v, err)
	}
}

func TestBatchIsSplitWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	inner := section(t, 0x75, []byte("in"))
	batch := parse(t, join(section(t, 0x73, []any{"envelope"}), section(t, 0x75, inner), section(t, 0x75, inner)))
	msgs, err := batch.Split()
	if err != nil || len(msgs) != 2 || msgs[0].Properties().MessageID != nil {
		t.Errorf("%d messages, %v", len(msgs), err)
	}
	for name, bad := range map[string][]byte{
		"second broken": join(section(t, 0x75, inner), section(t, 0x75, []byte("junk"))),
		"not data":      section(t, 0x77, inner),
	} {
		if msgs, err := parse(t, bad).Split(); err == nil {
			t.Errorf("%s: %d messages", name, len(msgs))
		}
	}
}
