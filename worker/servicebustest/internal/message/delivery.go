package message

import (
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
)

// Names of the annotations that belong to the broker (Service Bus). The one for
// a former sequence number has no d behind "enqueue".
const (
	EnqueuedTime          codec.Symbol = "x-opt-enqueued-time"
	SequenceNumber        codec.Symbol = "x-opt-sequence-number"
	EnqueueSequenceNumber codec.Symbol = "x-opt-enqueue-sequence-number"
	LockedUntil           codec.Symbol = "x-opt-locked-until"
	MessageState          codec.Symbol = "x-opt-message-state"
	DeadLetterSource      codec.Symbol = "x-opt-deadletter-source"
	LockToken             codec.Symbol = "x-opt-lock-token" //nolint:gosec // G101: the name of an annotation

	// The remaining names are the sender's to set.
	ScheduledEnqueueTime codec.Symbol = "x-opt-scheduled-enqueue-time"
	PartitionKey         codec.Symbol = "x-opt-partition-key"
)

// State is the value of x-opt-message-state: an int, never a long, or the Go
// client panics.
type State int32

const (
	Active    State = 0
	Deferred  State = 1
	Scheduled State = 2
)

// Delivery is what the broker adds to a message on its way to one receiver.
// Zero fields are not sent, except that SequenceNumber and EnqueuedTime always
// are.
type Delivery struct {
	DeliveryCount         uint32
	TTL                   codec.Option[uint32] // milliseconds, replaces the sender's
	EnqueuedTime          time.Time
	SequenceNumber        int64
	EnqueueSequenceNumber int64
	LockedUntil           time.Time
	LockToken             codec.UUID // RFC order
	State                 codec.Option[State]
	DeadLetterSource      string
}

// Strip removes what only the broker may say, so that a message that a client
// received and sends again does not carry its former life along.
func (m *Message) Strip() {
	m.DeliveryAnnotations.Delete(string(LockToken))
	for _, key := range []codec.Symbol{EnqueuedTime, SequenceNumber, EnqueueSequenceNumber, LockedUntil, MessageState, DeadLetterSource} {
		m.MessageAnnotations.Delete(string(key))
	}
	m.Header.DeliveryCount = 0
	m.Header.FirstAcquirer = false
}

// AppendDelivery encodes a stripped message with the broker's part added.
// Service Bus: the real broker adds exactly these annotations and no other.
func (m *Message) AppendDelivery(b []byte, d Delivery) []byte {
	h := m.Header
	h.DeliveryCount = d.DeliveryCount
	if d.TTL.Set {
		h.TTL = d.TTL
	}
	b = h.append(b)

	var scratch [256]byte
	if d.LockToken == (codec.UUID{}) {
		b = m.DeliveryAnnotations.append(b, sectionDeliveryAnnotations)
	} else {
		entry := codec.AppendUUID(codec.AppendSymbol(scratch[:0], LockToken), d.LockToken)
		b = m.DeliveryAnnotations.appendWith(b, sectionDeliveryAnnotations, entry, 1)
	}
	entries, n := d.annotations(scratch[:0])
	b = m.MessageAnnotations.appendWith(b, sectionMessageAnnotations, entries, n)
	return m.appendRest(b)
}

// annotations encodes the entries of d for the message annotations.
func (d *Delivery) annotations(b []byte) (entries []byte, n int) {
	b = codec.AppendTimestamp(codec.AppendSymbol(b, EnqueuedTime), d.EnqueuedTime)
	b = codec.AppendInt64(codec.AppendSymbol(b, SequenceNumber), d.SequenceNumber)
	n = 2
	if d.EnqueueSequenceNumber != 0 {
		b = codec.AppendInt64(codec.AppendSymbol(b, EnqueueSequenceNumber), d.EnqueueSequenceNumber)
		n++
	}
	if !d.LockedUntil.IsZero() {
		b = codec.AppendTimestamp(codec.AppendSymbol(b, LockedUntil), d.LockedUntil)
		n++
	}
	if d.State.Set {
		b = codec.AppendInt32(codec.AppendSymbol(b, MessageState), int32(d.State.Value))
		n++
	}
	if d.DeadLetterSource != "" {
		b = codec.AppendString(codec.AppendSymbol(b, DeadLetterSource), d.DeadLetterSource)
		n++
	}
	return b, n
}
