package dialect

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/message"
	"batchterminator/worker/servicebustest/internal/transport"
)

var start = time.UnixMilli(1_700_000_000_000).UTC()

func withProperties(t *testing.T, p message.Properties) *message.Message {
	t.Helper()
	m := &message.Message{}
	if err := m.SetProperties(p); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestIDsOfEveryTypeReadAsText(t *testing.T) {
	t.Parallel()
	for want, id := range map[string]any{
		"text": "text", "42": uint64(42), "0102": []byte{1, 2}, "": "",
		"01000000-0000-0000-0000-000000000000": codec.UUID{1},
	} {
		if got := Message(withProperties(t, message.Properties{MessageID: id}), 0).ID; got != want {
			t.Errorf("id %v reads as %q, want %q", id, got, want)
		}
	}
}

func TestAMessageWithoutIDIsGivenOne(t *testing.T) {
	t.Parallel()
	sent := message.Properties{Subject: "subject", CorrelationID: uint64(7)}
	first, second := withProperties(t, sent), withProperties(t, sent)
	a, b := Message(first, 0), Message(second, 0)
	if len(a.ID) != 32 || a.ID == b.ID || first.Properties().MessageID != a.ID {
		t.Errorf("ids %q and %q; the message says %v", a.ID, b.ID, first.Properties().MessageID)
	}
	sent.MessageID = a.ID
	if diff := cmp.Diff(sent, first.Properties()); diff != "" {
		t.Errorf("the other properties changed:\n%s", diff)
	}
}

func TestTimeToLiveComesFromHeaderOrAbsoluteExpiry(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		header     codec.Option[uint32]
		properties message.Properties
		want       time.Duration
	}{
		"neither":            {},
		"header":             {header: codec.Some[uint32](1500), want: 1500 * time.Millisecond},
		"expiry":             {properties: message.Properties{CreationTime: start, AbsoluteExpiryTime: start.Add(time.Hour)}, want: time.Hour},
		"header wins":        {header: codec.Some[uint32](1), properties: message.Properties{CreationTime: start, AbsoluteExpiryTime: start.Add(time.Hour)}, want: time.Millisecond},
		"expiry alone":       {properties: message.Properties{AbsoluteExpiryTime: start}},
		"expiry before that": {properties: message.Properties{CreationTime: start, AbsoluteExpiryTime: start.Add(-time.Hour)}},
	} {
		m := withProperties(t, test.properties)
		m.Header.TTL = test.header
		if got := Message(m, 0).TTL; got != test.want {
			t.Errorf("%s: time to live %v, want %v", name, got, test.want)
		}
	}
}

func TestScheduleAnnotationMayBeNull(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		value any
		want  time.Time
	}{{start, start}, {nil, time.Time{}}} {
		m := &message.Message{}
		if err := m.MessageAnnotations.Set(message.ScheduledEnqueueTime, test.value); err != nil {
			t.Fatal(err)
		}
		if got := Message(m, 0).ScheduledFor; !got.Equal(test.want) {
			t.Errorf("annotation %v schedules for %v", test.value, got)
		}
	}
}

func TestWhatOnlyTheBrokerMaySayIsDroppedOnArrival(t *testing.T) {
	t.Parallel()
	m := &message.Message{}
	if err := m.MessageAnnotations.Set(message.SequenceNumber, int64(99)); err != nil {
		t.Fatal(err)
	}
	m.Header.DeliveryCount = 7
	accepted := Message(m, 0)
	got := decoded(t, EncodeReceived(broker.Stored{Message: accepted, SequenceNumber: 1, EnqueuedAt: start}))
	if number, _ := got.MessageAnnotations.Get(string(message.SequenceNumber)); number != int64(1) || got.Header.DeliveryCount != 0 {
		t.Errorf("sequence number %v, delivery count %d", number, got.Header.DeliveryCount)
	}
}

func decoded(t *testing.T, b []byte) *message.Message {
	t.Helper()
	m, err := message.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func annotations(m *message.Message) []string {
	var keys []string
	for _, p := range append(m.DeliveryAnnotations.All(), m.MessageAnnotations.All()...) {
		keys = append(keys, fmt.Sprint(p.Key))
	}
	return keys
}

func TestEachWayOfReceivingShowsItsOwnAnnotations(t *testing.T) {
	t.Parallel()
	locked := broker.Stored{
		Message: broker.Message{Payload: &message.Message{}}, SequenceNumber: 1, EnqueuedAt: start,
		LockToken: broker.Token{1}, LockedUntil: start.Add(time.Minute), State: broker.Deferred,
	}
	deleted := locked
	deleted.LockedUntil = time.Time{}
	for name, test := range map[string]struct {
		encoded []byte
		want    []string
	}{
		"peek-lock": {EncodeReceived(locked), []string{"x-opt-lock-token", "x-opt-enqueued-time", "x-opt-sequence-number", "x-opt-locked-until"}},
		"delete":    {EncodeReceived(deleted), []string{"x-opt-enqueued-time", "x-opt-sequence-number"}},
		"deferred":  {EncodeDeferred(locked), []string{"x-opt-lock-token", "x-opt-enqueued-time", "x-opt-sequence-number", "x-opt-locked-until", "x-opt-message-state"}},
		"peek":      {EncodePeeked(locked), []string{"x-opt-enqueued-time", "x-opt-sequence-number", "x-opt-message-state"}},
	} {
		if diff := cmp.Diff(test.want, annotations(decoded(t, test.encoded))); diff != "" {
			t.Errorf("%s: annotations differ (-want +got):\n%s", name, diff)
		}
	}
}

func TestEffectiveTimeToLiveIsSentAndSaturates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ttl  time.Duration
		want uint32
	}{{time.Minute, 60_000}, {100 * 24 * time.Hour, 1<<32 - 1}} {
		m := broker.Stored{Message: broker.Message{Payload: &message.Message{}}, EnqueuedAt: start, ExpiresAt: start.Add(test.ttl)}
		if got := decoded(t, EncodeReceived(m)).Header.TTL; got != codec.Some(test.want) {
			t.Errorf("%v is sent as %v, want %d", test.ttl, got, test.want)
		}
	}
}

func TestOverlayWinsOverTheSendersPropertiesAndLeavesTheMessageAlone(t *testing.T) {
	t.Parallel()
	wire := &message.Message{}
	for _, key := range []string{"kept", "changed"} {
		if err := wire.ApplicationProperties.Set(key, "sender"); err != nil {
			t.Fatal(err)
		}
	}
	m := broker.Stored{Message: broker.Message{Payload: wire, Overlay: map[string]any{"changed": "broker", "added": int64(1)}}}
	want := codec.Map{{Key: "kept", Value: "sender"}, {Key: "added", Value: int64(1)}, {Key: "changed", Value: "broker"}}
	if diff := cmp.Diff(want, Wire(m.Message).ApplicationProperties.All()); diff != "" {
		t.Errorf("properties differ (-want +got):\n%s", diff)
	}
	if v, _ := wire.ApplicationProperties.Get("changed"); v != "sender" {
		t.Errorf("the stored message changed to %v", v)
	}
}

func TestEveryRefusalHasItsConditionAndStatus(t *testing.T) {
	t.Parallel()
	own := &transport.Error{Condition: "com.microsoft:argument-error", Description: "own"}
	for _, test := range []struct {
		err       error
		condition string
		status    int32
	}{
		{broker.ErrLockLost, "com.microsoft:message-lock-lost", 410},
		{broker.ErrMessageNotFound, "com.microsoft:message-not-found", 404},
		{broker.ErrEntityNotFound, "amqp:not-found", 404},
		{broker.ErrTooLarge, "amqp:link:message-size-exceeded", 413},
		{broker.ErrNotAllowed, "amqp:not-allowed", 400},
		{broker.ErrNotImplemented, "amqp:not-implemented", 501},
		{broker.ErrClosed, "amqp:internal-error", 500},
		{errors.New("anything"), "amqp:internal-error", 500},
		{own, "com.microsoft:argument-error", 400},
	} {
		got := Error(fmt.Errorf("wrapped: %w", test.err))
		if got.Condition != test.condition || got.Description == "" || Status(got.Condition) != test.status {
			t.Errorf("%v is said as %s with status %d", test.err, got.Condition, Status(got.Condition))
		}
	}
	if Error(nil) != nil {
		t.Error("no error became one")
	}
}
