package dialect

import (
	"strings"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/filter"
	"batchterminator/worker/servicebustest/internal/message"
)

// transactionPartitionKey is the sender's, like the partition key.
const transactionPartitionKey codec.Symbol = "x-opt-via-partition-key"

// subject is a message as rules see it. It implements filter.Subject, and filter.Editor on a message of its own.
type subject struct {
	accepted   broker.Message
	wire       *message.Message
	properties message.Properties
}

func newSubject(m broker.Message) *subject {
	wire := Wire(m)
	return &subject{accepted: m, wire: wire, properties: wire.Properties()}
}

// newEditor returns a subject that can be changed without m noticing.
func newEditor(m broker.Message) *subject {
	s := newSubject(m)
	s.wire = s.wire.Clone()
	return s
}

// User implements filter.Subject.
func (s *subject) User(name string) (any, bool) {
	_, value, ok := s.find(name)
	return filterValue(value), ok
}

// find looks up an application property. The spelling that was asked for goes first, because AMQP tells cases apart
// and Service Bus's rules do not.
func (s *subject) find(name string) (key string, value any, ok bool) {
	if value, ok = s.wire.ApplicationProperties.Get(name); ok {
		return name, value, true
	}
	for _, p := range s.wire.ApplicationProperties.All() {
		if key, ok := codec.Text(p.Key); ok && strings.EqualFold(key, name) {
			return key, p.Value, true
		}
	}
	return name, nil, false
}

// System implements filter.Subject.
func (s *subject) System(property filter.System) any {
	switch m := &s.accepted; property {
	case filter.TimeToLive:
		if m.TTL == 0 {
			return broker.Forever
		}
		return m.TTL
	case filter.ScheduledEnqueueTime:
		return timeOrNil(m.ScheduledFor)
	case filter.EnqueuedTime: // rules run when the message reaches the topic, or becomes due in it
		return time.Now()
	case filter.ExpiresAt:
		if m.TTL > 0 {
			return time.Now().Add(m.TTL)
		}
		return nil
	case filter.DeliveryCount, filter.State: // nobody has received it yet: 0 is active
		return int64(0)
	case filter.Size:
		return int64(s.wire.Size())
	}
	return s.text(property)
}

// text is a system property that is a text; nil where the message has none.
func (s *subject) text(property filter.System) any {
	p := &s.properties
	switch property {
	case filter.MessageID:
		return textOrNil(messageID(p.MessageID))
	case filter.CorrelationID:
		return textOrNil(messageID(p.CorrelationID))
	case filter.Label:
		return textOrNil(p.Subject)
	case filter.ContentType:
		return textOrNil(string(p.ContentType))
	case filter.SessionID:
		if p.GroupID.Set {
			return p.GroupID.Value
		}
	case filter.ReplyTo:
		return textOrNil(p.ReplyTo)
	case filter.ReplyToSessionID:
		return textOrNil(p.ReplyToGroupID)
	case filter.To:
		return textOrNil(p.To)
	case filter.PartitionKey:
		return s.annotation(message.PartitionKey)
	case filter.TransactionPartitionKey:
		return s.annotation(transactionPartitionKey)
	}
	return nil
}

func (s *subject) annotation(key codec.Symbol) any {
	v, _ := s.wire.MessageAnnotations.Get(string(key))
	return filterValue(v)
}

func timeOrNil(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func textOrNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// SetUser implements filter.Editor.
func (s *subject) SetUser(name string, value any) error {
	key, old, _ := s.find(name)
	return s.wire.ApplicationProperties.Set(key, narrow(wireValue(value), old))
}

// RemoveUser implements filter.Editor.
func (s *subject) RemoveUser(name string) {
	if key, _, ok := s.find(name); ok {
		s.wire.ApplicationProperties.Delete(key)
	}
}

// SetSystem implements filter.Editor.
func (s *subject) SetSystem(property filter.System, value any) error {
	switch property {
	case filter.TimeToLive:
		s.accepted.TTL, _ = value.(time.Duration)
		s.wire.Header.TTL = codec.Option[uint32]{Value: milliseconds(s.accepted.TTL), Set: value != nil}
		return nil
	case filter.ScheduledEnqueueTime:
		s.accepted.ScheduledFor, _ = value.(time.Time)
		return s.annotate(message.ScheduledEnqueueTime, value)
	case filter.PartitionKey:
		s.accepted.PartitionKey, _ = value.(string)
		return s.annotate(message.PartitionKey, value)
	case filter.TransactionPartitionKey:
		return s.annotate(transactionPartitionKey, value)
	}
	text, _ := value.(string)
	s.setText(property, text, value != nil)
	return s.wire.SetProperties(s.properties)
}

// milliseconds is a duration as the header has it: a uint, which ends after 49 days.
func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), 1<<32-1))
}

func (s *subject) annotate(key codec.Symbol, value any) error {
	if value == nil {
		s.wire.MessageAnnotations.Delete(string(key))
		return nil
	}
	return s.wire.MessageAnnotations.Set(key, value)
}

// setText changes a property that is a text. An id that was of another type becomes one as well.
func (s *subject) setText(property filter.System, text string, set bool) {
	p := &s.properties
	switch property {
	case filter.MessageID:
		p.MessageID, s.accepted.ID = textOrNil(text), text
	case filter.CorrelationID:
		p.CorrelationID = textOrNil(text)
	case filter.Label:
		p.Subject = text
	case filter.ContentType:
		p.ContentType = codec.Symbol(text)
	case filter.SessionID:
		p.GroupID = codec.Option[string]{Value: text, Set: set}
		s.accepted.SessionID, s.accepted.InSession = text, set
	case filter.ReplyTo:
		p.ReplyTo = text
	case filter.ReplyToSessionID:
		p.ReplyToGroupID = text
	case filter.To:
		p.To = text
	}
}

// message is the edited message. What was set on it since it was sent is now part of it.
func (s *subject) message() broker.Message {
	m := s.accepted
	m.Payload, m.Overlay = s.wire, nil
	if m.Size > 0 {
		m.Size = s.wire.Size()
	}
	return m
}
