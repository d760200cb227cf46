package dialect

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/message"
)

// Message makes a wire message one for the broker and takes ownership of it. size is its encoded length, 0 where the
// link has already held the transfer against the limit.
func Message(m *message.Message, size int) broker.Message {
	properties := m.Properties()
	if properties.MessageID == nil {
		properties.MessageID = newMessageID()
		if err := m.SetProperties(properties); err != nil {
			panic("dialect: message id: " + err.Error()) // decoded a moment ago, and a string encodes
		}
	}
	accepted := broker.Message{
		ID: messageID(properties.MessageID), SessionID: properties.GroupID.Value, InSession: properties.GroupID.Set,
		TTL: timeToLive(m, properties), Size: size, Payload: m,
	}
	if m.MessageAnnotations.Len() > 0 {
		if v, ok := m.MessageAnnotations.Get(string(message.ScheduledEnqueueTime)); ok {
			accepted.ScheduledFor, _ = v.(time.Time) // null: some clients resend it so
		}
		if v, ok := m.MessageAnnotations.Get(string(message.PartitionKey)); ok {
			accepted.PartitionKey, _ = codec.Text(v)
		}
	}
	m.Strip()
	return accepted
}

// newMessageID names a message whose sender did not. Service Bus does; the JavaScript SDK cannot settle a message
// without an id.
func newMessageID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// messageID spells an id of any legal type (AMQP 1.0 part 3 §3.2.11) as text, for humans and look-ups; the message
// keeps the original.
func messageID(id any) string {
	switch id := id.(type) {
	case string:
		return id
	case uint64:
		return strconv.FormatUint(id, 10)
	case codec.UUID:
		return id.String()
	case []byte:
		return fmt.Sprintf("%x", id)
	}
	return ""
}

// timeToLive reads the header; the JavaScript SDK may say the same by absolute expiry instead.
func timeToLive(m *message.Message, p message.Properties) time.Duration {
	switch {
	case m.Header.TTL.Set:
		return time.Duration(m.Header.TTL.Value) * time.Millisecond
	case p.AbsoluteExpiryTime.After(p.CreationTime) && !p.CreationTime.IsZero():
		return p.AbsoluteExpiryTime.Sub(p.CreationTime)
	}
	return 0
}

// EncodeReceived encodes a message received under peek-lock or by receive-and-delete.
func EncodeReceived(m broker.Stored) []byte {
	return encode(m, locked(m))
}

// sectionsOverhead is a guess at what surrounds a body, to save growing the buffer.
const sectionsOverhead = 512

// EncodeDeferred encodes a message received by sequence number. Service Bus: it shows its state, a plain delivery
// does not.
func EncodeDeferred(m broker.Stored) []byte {
	d := locked(m)
	d.State = codec.Some(message.State(m.State))
	return encode(m, d)
}

// EncodePeeked encodes a message for somebody who only looks. Service Bus: a peek shows the state and never a lock.
func EncodePeeked(m broker.Stored) []byte {
	d := delivery(m)
	d.State = codec.Some(message.State(m.State))
	return encode(m, d)
}

func encode(m broker.Stored, d message.Delivery) []byte {
	wire := Wire(m.Message)
	return wire.AppendDelivery(make([]byte, 0, len(wire.Body())+sectionsOverhead), d)
}

// locked adds the lock, if there is one: a message deleted on delivery has a token that is none.
func locked(m broker.Stored) message.Delivery {
	d := delivery(m)
	if !m.LockedUntil.IsZero() {
		d.LockedUntil, d.LockToken = m.LockedUntil, codec.UUID(m.LockToken)
	}
	return d
}

func delivery(m broker.Stored) message.Delivery {
	d := message.Delivery{
		DeliveryCount: m.DeliveryCount, EnqueuedTime: m.EnqueuedAt, SequenceNumber: m.SequenceNumber,
		EnqueueSequenceNumber: m.EnqueuedSequence, DeadLetterSource: m.DeadLetterSource,
	}
	if !m.ExpiresAt.IsZero() {
		// The clients add the time to live to the enqueued time, so what is sent is the effective one. It is a uint of
		// milliseconds; beyond 49 days it saturates.
		d.TTL = codec.Some(uint32(min(m.ExpiresAt.Sub(m.EnqueuedAt).Milliseconds(), 1<<32-1)))
	}
	return d
}

// Wire returns the wire message behind a stored one with the properties the broker set on it, in a stable order.
func Wire(m broker.Message) *message.Message {
	wire := m.Payload.(*message.Message)
	if len(m.Overlay) == 0 {
		return wire
	}
	wire = wire.Clone()
	for _, key := range slices.Sorted(maps.Keys(m.Overlay)) {
		if err := wire.ApplicationProperties.Set(key, m.Overlay[key]); err != nil {
			// Overlays are strings of ours and values that a client sent: what was decoded encodes.
			panic(fmt.Sprintf("dialect: property %s: %v", key, err))
		}
	}
	return wire
}

// Properties turns the properties of a settlement into the broker's form.
func Properties(m codec.Map) map[string]any {
	properties := make(map[string]any, len(m))
	for _, p := range m {
		if key, ok := codec.Text(p.Key); ok {
			properties[key] = p.Value
		}
	}
	return properties
}
