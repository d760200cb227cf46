package worker

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

// Scorecard: M3, F14.
func TestBodyOfAnyKindThatHoldsBytes(t *testing.T) {
	t.Parallel()
	raw := func(b azservicebus.AMQPAnnotatedMessageBody) *azservicebus.ReceivedMessage {
		m := &azservicebus.ReceivedMessage{RawAMQPMessage: &azservicebus.AMQPAnnotatedMessage{Body: b}}
		if len(b.Data) == 1 {
			m.Body = b.Data[0] // as the SDK does
		}
		return m
	}
	for name, c := range map[string]struct {
		m    *azservicebus.ReceivedMessage
		want string
		held int // beside the bytes
	}{
		"one data section":      {m: raw(azservicebus.AMQPAnnotatedMessageBody{Data: [][]byte{[]byte("ab")}}), want: "ab"},
		"several data sections": {m: raw(azservicebus.AMQPAnnotatedMessageBody{Data: [][]byte{[]byte("a"), nil, []byte("b")}}), want: "ab"},
		"a text value":          {m: raw(azservicebus.AMQPAnnotatedMessageBody{Value: "ab"}), want: "ab"},
		"a binary value":        {m: raw(azservicebus.AMQPAnnotatedMessageBody{Value: []byte("ab")}), want: "ab"},
		"another value":         {m: raw(azservicebus.AMQPAnnotatedMessageBody{Value: map[any]any{"a": int32(1), nil: []any{"bc", struct{ descriptor any }{"d"}}}}), held: 8},
		"a large array":         {m: raw(azservicebus.AMQPAnnotatedMessageBody{Value: make([]int64, 1000)}), held: 8000},
		"a sequence":            {m: raw(azservicebus.AMQPAnnotatedMessageBody{Sequence: [][]any{{"ab", uint16(1)}, {[]byte("cde")}}}), held: 7},
		"none":                  {m: raw(azservicebus.AMQPAnnotatedMessageBody{}), want: ""},
		"made by hand":          {m: &azservicebus.ReceivedMessage{Body: []byte("ab")}, want: "ab"},
	} {
		d := newDelivery(nil, c.m)
		equal(t, name, string(d.message.Body), c.want)
		equal(t, name+", held bytes", d.size, len(c.want)+c.held)
	}
}

// P3: what names the request is its first message's id, or its place in the queue.
//
// Scorecard: M11.
func TestIdentityOfARequest(t *testing.T) {
	t.Parallel()
	at, sequence := time.Date(2026, 1, 31, 17, 0, 0, 5, time.FixedZone("", 3600)), int64(7)
	for name, c := range map[string]struct {
		property any
		id       string
		want     string
	}{
		"original":              {nil, "m", "m"},
		"copy":                  {"first", "m", "first"},
		"property not a text":   {int64(1), "m", "m"},
		"property empty":        {"", "m", "m"},
		"property of full size": {strings.Repeat("x", maxIdentity), "m", strings.Repeat("x", maxIdentity)},
		"property too long":     {strings.Repeat("x", maxIdentity+1), "m", "m"},
		"no id":                 {nil, "", "sequence-number:7@2026-01-31T16:00:00.000000005Z"},
	} {
		m := &azservicebus.ReceivedMessage{MessageID: c.id, SequenceNumber: &sequence, EnqueuedTime: &at, ApplicationProperties: map[string]any{propRequestID: c.property}}
		equal(t, name, newDelivery(nil, m).message.RequestIdentity, c.want)
	}
	equal(t, "nothing at all", identity(&azservicebus.ReceivedMessage{}), "")
}

// What travels on the message is anyone's to write: it can end a request early, never make it live for ever.
//
// Scorecard: M10.
func TestHistoryOnTheMessageIsNotTrusted(t *testing.T) {
	t.Parallel()
	enqueued := time.Date(2026, 1, 31, 17, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		first, count any
		wantFirst    time.Time
		wantCount    int
	}{
		"none":                {nil, nil, enqueued, 0},
		"ours":                {"2026-01-30T17:00:00.5Z", int64(3), enqueued.Add(-24*time.Hour + time.Second/2), 3},
		"in the future":       {"2999-01-01T00:00:00Z", int64(1) << 31, enqueued, 0},
		"not a time":          {"yesterday", int64(-1), enqueued, 0},
		"of another type":     {enqueued, "3", enqueued, 0},
		"the largest counter": {nil, int64(1) << 30, enqueued, 1 << 30},
	} {
		m := &azservicebus.ReceivedMessage{EnqueuedTime: &enqueued, ApplicationProperties: map[string]any{
			propFirstEnqueued: c.first, propRedeliveries: c.count, propAttempts: c.count}}
		got := newDelivery(nil, m).message
		equal(t, name+", first enqueued", got.FirstEnqueued, c.wantFirst)
		equal(t, name+", counters", [2]int{got.Redeliveries, got.Attempts}, [2]int{c.wantCount, c.wantCount})
	}
}

// A message without a time to live arrives with one of 0; it must not look as if it had expired when it was sent.
func TestMessageWithoutATimeToLiveNeverExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := message("a", 1)
		zero := time.Duration(0)
		m.TimeToLive, m.ExpiresAt = &zero, m.EnqueuedTime
		equal(t, "expires", newDelivery(nil, m).message.ExpiresAt, time.Time{})
	})
}

// A broker that does not say when a message was enqueued makes it neither ancient nor new.
func TestAgeOfAMessageWithoutAnEnqueuedTimeIsNotReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := message("a", 1)
		m.EnqueuedTime = nil
		r := run(t, newScripted(m), always(handler.Terminated))
		synctest.Wait()
		equal(t, "oldest message", r.metric(t, "oldest_message_age_seconds"), 0.0)
		equal(t, "end to end times", r.metric(t, "end_to_end_seconds"), 0.0)
		r.end()
	})
}
