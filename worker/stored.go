package worker

import (
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

// Stored is a message as a look into its queue shows it. Everything in it but the numbers and times is the sender's word:
// escape it before it reaches a terminal.
type Stored struct {
	SequenceNumber int64
	MessageID      string
	// State is "active", "scheduled" or "deferred". A look does not tell of locks: an active message may be under way.
	State string
	// EnqueuedAt and what follows are zero when the broker did not say.
	EnqueuedAt, ScheduledFor, ExpiresAt time.Time
	// Deliveries counts those that ended without a settlement, or by an abandon.
	Deliveries int
	// Reason and Description say why it was dead-lettered, Source from where.
	Reason, Description, Source string

	ContentType, Subject, CorrelationID, SessionID string
	// Body is nil when its kind cannot be delivered as bytes.
	Body []byte
	// OtherBody: it has one of such a kind.
	OtherBody  bool
	Properties map[string]any
	// Request is the message as policy gets it, with the request's identity.
	Request handler.Message
	// Ledger tells what became of the request's deliveries.
	Ledger []LedgerEntry
	// Unrecorded counts deliveries of this message that ended without a word since the ledger was written: a process died,
	// a lock was lost, or the message never arrived.
	Unrecorded int
}

// LedgerEntry is one line of a message's ledger.
type LedgerEntry struct {
	// At is zero for a delivery that nobody recorded.
	At time.Time
	// What is the rest of the line: an outcome with its attempts, "unrecorded", or how a dead letter came back.
	What string
}

// Service Bus's own reasons.
const (
	deliveriesSpent = "MaxDeliveryCountExceeded"
	expiredByBroker = "TTLExpiredException"
)

var stateNames = map[azservicebus.MessageState]string{
	azservicebus.MessageStateActive: "active", azservicebus.MessageStateDeferred: "deferred", azservicebus.MessageStateScheduled: "scheduled",
}

// newStored describes a message that was received or looked at. The SDK's delivery count has the delivery under way in it,
// also in a look.
func newStored(m *azservicebus.ReceivedMessage) Stored {
	request := newDelivery(nil, m).message
	s := Stored{
		SequenceNumber: sequenceOf(m), MessageID: m.MessageID, State: stateNames[m.State],
		EnqueuedAt: valueOf(m.EnqueuedTime), ScheduledFor: valueOf(m.ScheduledEnqueueTime), ExpiresAt: request.ExpiresAt,
		Deliveries: max(int(m.DeliveryCount)-1, 0),
		Reason:     valueOf(m.DeadLetterReason), Description: valueOf(m.DeadLetterErrorDescription), Source: valueOf(m.DeadLetterSource),
		ContentType: valueOf(m.ContentType), Subject: valueOf(m.Subject), CorrelationID: valueOf(m.CorrelationID), SessionID: valueOf(m.SessionID),
		Body: request.Body, Properties: m.ApplicationProperties, Request: request,
	}
	if raw := m.RawAMQPMessage; s.Body == nil && raw != nil {
		s.OtherBody = raw.Body.Value != nil || raw.Body.Sequence != nil
	}
	history, _ := m.ApplicationProperties[propLedger].(string)
	s.Ledger = readLedger(history)
	if s.Reason == "" || s.Reason == deliveriesSpent { // else who dead-lettered it has accounted for them
		s.Unrecorded = max(s.Deliveries-count(m, propAccounted), 0)
	}
	return s
}

func valueOf[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// readLedger splits a ledger into its entries. Anyone can write there: no more is read than we would have written.
func readLedger(history string) (entries []LedgerEntry) {
	if history == "" || len(history) > maxLedger {
		return nil
	}
	for line := range strings.SplitSeq(history, separator) {
		e := LedgerEntry{What: line}
		if stamp, rest, ok := strings.Cut(line, " "); ok {
			if at, err := time.Parse(time.RFC3339, stamp); err == nil {
				e = LedgerEntry{At: at, What: rest}
			}
		}
		entries = append(entries, e)
	}
	return entries
}

// DeadSince is when the message was dead-lettered, as far as its ledger tells, or its expiry for one that the broker
// dead-lettered for that; else when it was enqueued. Service Bus keeps no time of it.
func (s Stored) DeadSince() time.Time {
	if since := s.recordedSince(); s.Reason != expiredByBroker || s.ExpiresAt.Before(since) || s.ExpiresAt.After(time.Now().Add(time.Minute)) {
		return since
	}
	return s.ExpiresAt
}

func (s Stored) recordedSince() time.Time {
	for i := len(s.Ledger) - 1; i >= 0; i-- {
		if at := s.Ledger[i].At; !at.IsZero() && !at.Before(s.EnqueuedAt.Truncate(time.Second)) && !at.After(time.Now().Add(time.Minute)) {
			return at
		}
	}
	return s.EnqueuedAt
}
