package filter

import "slices"

// Correlation lets a message pass that has every value asked for. Texts compare by code point, numbers of any width by
// their value; nil asks for nothing.
type Correlation struct {
	MessageID        *string
	CorrelationID    *string
	To               *string
	ReplyTo          *string
	Label            *string
	SessionID        *string
	ReplyToSessionID *string
	ContentType      *string
	Properties       []Property
}

// Property is a user property asked for.
type Property struct {
	Name  string
	Value any
}

// Match implements Filter.
func (c *Correlation) Match(s Subject) (bool, error) {
	for _, asked := range c.system() {
		if asked.value == nil {
			continue
		}
		if got, ok := s.System(asked.property).(string); !ok || got != *asked.value {
			return false, nil
		}
	}
	return !slices.ContainsFunc(c.Properties, func(p Property) bool {
		got, ok := s.User(p.Name)
		if !ok {
			return true
		}
		eq, ok := equal(widen(got), widen(p.Value))
		return !ok || !eq
	}), nil
}

// condition asks for the value of a system property.
type condition struct {
	property System
	value    *string
}

func (c *Correlation) system() [8]condition {
	return [...]condition{
		{MessageID, c.MessageID}, {CorrelationID, c.CorrelationID}, {To, c.To}, {ReplyTo, c.ReplyTo}, {Label, c.Label},
		{SessionID, c.SessionID}, {ReplyToSessionID, c.ReplyToSessionID}, {ContentType, c.ContentType},
	}
}
