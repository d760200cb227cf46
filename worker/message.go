package worker

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"batchterminator/handler"
)

// Application properties that travel with a request through its scheduled copies.
const (
	propRequestID     = "bt-request-id"     // the original message's id
	propAttempts      = "bt-attempts"       // HTTP attempts so far
	propRedeliveries  = "bt-redeliveries"   // scheduled copies so far
	propFirstEnqueued = "bt-first-enqueued" // RFC 3339
	propOrigin        = "bt-origin"         // the original message's sequence number
	propLedger        = "bt-ledger"         // deliveries so far, newest last
	propAccounted     = "bt-accounted"      // the delivery count up to which the ledger tells of this message's own deliveries
	propSuspect       = "bt-suspect"        // deliveries in a row whose end nobody recorded
	propResubmissions = "bt-resubmissions"  // how often the request came back from the dead-letter queue
	propDeadLetter    = "bt-dead-letter"    // which dead letter it last came back from
)

// maxIdentity bounds a request identity that arrives in a property; message ids are at most 128 characters.
const maxIdentity = 128

// delivery is one receipt of a message, from the receive to its settlement. One goroutine owns it.
type delivery struct {
	client   *client // the one it arrived on
	msg      *azservicebus.ReceivedMessage
	message  handler.Message
	received time.Time
	lockEnds time.Time // by our clock, as granted first
	size     int
	lock     lock
	left     time.Duration  // of the lock when the work had its outcome
	result   handler.Result // what it comes to, once that is decided
	recalled bool           // an earlier delivery had the same outcome, and its settlement was not confirmed

	// Of underway, under its mu: the delivery with the same sequence number that began before, whether it is this one's turn,
	// and what is closed at its end, if somebody waits for that.
	before *delivery
	turn   bool
	over   chan struct{}

	missing    []string        // the ledger's entries for earlier deliveries that it does not have yet
	unrecorded int             // how many of those nobody recorded
	suspicion  int             // what the message says of them
	suspected  int             // the same with this message's own unrecorded deliveries, as far as they are evidence
	alone      <-chan struct{} // closed when nothing else is under way; nil if it has not got the lane

	span trace.Span // nil when nothing is traced
}

func newDelivery(c *client, m *azservicebus.ReceivedMessage) *delivery {
	now := time.Now()
	d := &delivery{client: c, msg: m, received: now}
	if c != nil {
		d.lockEnds = c.lockEnds(m.LockedUntil, now)
	}
	body := bodyOf(m)
	d.size = len(body)
	if body == nil && m.RawAMQPMessage != nil {
		d.size = weight(reflect.ValueOf(m.RawAMQPMessage.Body.Value)) + weight(reflect.ValueOf(m.RawAMQPMessage.Body.Sequence))
	}
	d.message = handler.Message{
		RequestIdentity: identity(m),
		Body:            body,
		Properties:      m.ApplicationProperties,
		FirstEnqueued:   firstEnqueued(m),
		Redeliveries:    count(m, propRedeliveries),
		Attempts:        count(m, propAttempts),
		Deliveries:      int(m.DeliveryCount),
	}
	if m.ContentType != nil {
		d.message.ContentType = *m.ContentType
	}
	// A message without a time to live arrives with one of 0, which the SDK adds to the enqueued time all the same.
	if m.ExpiresAt != nil && m.TimeToLive != nil && *m.TimeToLive > 0 {
		d.message.ExpiresAt = *m.ExpiresAt
	}
	return d
}

// bodyOf returns the body of any kind that holds bytes or text: one or several data sections, or a value.
func bodyOf(m *azservicebus.ReceivedMessage) []byte {
	if m.Body != nil || m.RawAMQPMessage == nil {
		return m.Body
	}
	switch v := m.RawAMQPMessage.Body.Value.(type) {
	case string:
		return []byte(v)
	case []byte:
		return v
	}
	var body []byte
	for _, data := range m.RawAMQPMessage.Body.Data {
		body = append(body, data...)
	}
	return body
}

// weight is about what a body weighs that is no bytes: it will be refused, but is held until then.
func weight(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Invalid: // nil
	case reflect.String:
		n = v.Len()
	case reflect.Interface:
		n = weight(v.Elem())
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			n += weight(v.Index(i))
		}
	case reflect.Struct: // a described type, a time
		for i := range v.NumField() {
			n += weight(v.Field(i))
		}
	case reflect.Map:
		for e := v.MapRange(); e.Next(); {
			n += weight(e.Key()) + weight(e.Value())
		}
	default:
		n = int(v.Type().Size())
	}
	return n
}

// identity names the request through all its copies. A message without an id is known by its place in the queue, which
// stays with it through redeliveries. It is text, since a copy carries it as such.
func identity(m *azservicebus.ReceivedMessage) string {
	if id, ok := m.ApplicationProperties[propRequestID].(string); ok && id != "" && len(id) <= maxIdentity {
		return text(id)
	}
	if m.MessageID != "" {
		return text(m.MessageID)
	}
	var place strings.Builder
	if m.SequenceNumber != nil {
		place.WriteString("sequence-number:" + strconv.FormatInt(*m.SequenceNumber, 10))
	}
	if m.EnqueuedTime != nil {
		place.WriteString("@" + m.EnqueuedTime.UTC().Format(time.RFC3339Nano))
	}
	return place.String()
}

// origin tells the original of a copy from other messages with the same id: senders use one again, for another request too.
func (d *delivery) origin() int64 {
	if sequence, ok := d.msg.ApplicationProperties[propOrigin].(int64); ok {
		return sequence
	}
	return d.sequence()
}

func firstEnqueued(m *azservicebus.ReceivedMessage) time.Time {
	if s, ok := m.ApplicationProperties[propFirstEnqueued].(string); ok {
		// Anyone can write there; a time after the message's own would keep the request from ever being too old.
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil && (m.EnqueuedTime == nil || t.Before(*m.EnqueuedTime)) {
			return t
		}
	}
	if m.EnqueuedTime != nil {
		return *m.EnqueuedTime
	}
	return time.Time{}
}

// count reads a counter of ours; anything else in its place counts as none.
func count(m *azservicebus.ReceivedMessage, property string) int {
	n, ok := m.ApplicationProperties[property].(int64)
	if !ok || n < 0 || n > 1<<30 {
		return 0
	}
	return int(n)
}

// age is the request's, 0 when the broker did not say.
func (d *delivery) age(now time.Time) time.Duration {
	if d.message.FirstEnqueued.IsZero() {
		return 0
	}
	return now.Sub(d.message.FirstEnqueued)
}

// outlived tells whether the message has been here for longer than it was to live at all, by our clock alone: the broker's,
// by which it was alive on arrival, may be another.
func (d *delivery) outlived() bool {
	ttl := d.msg.TimeToLive
	return ttl != nil && *ttl > 0 && time.Since(d.received) >= *ttl
}

// sequence returns the sequence number, 0 when the broker gave none.
func (d *delivery) sequence() int64 { return sequenceOf(d.msg) }

func sequenceOf(m *azservicebus.ReceivedMessage) int64 {
	if m.SequenceNumber == nil {
		return 0
	}
	return *m.SequenceNumber
}

// ids are the log fields that find this message again.
func (d *delivery) ids() []zap.Field {
	return []zap.Field{
		zap.String("message_id", d.msg.MessageID),
		zap.Int64("sequence_number", d.sequence()),
		zap.Uint32("delivery_count", d.msg.DeliveryCount),
	}
}
