package message

import (
	"errors"
	"fmt"

	"batchterminator/worker/servicebustest/internal/codec"
)

// Section descriptors (part 3 §3.2).
const (
	sectionHeader                = 0x70
	sectionDeliveryAnnotations   = 0x71
	sectionMessageAnnotations    = 0x72
	sectionProperties            = 0x73
	sectionApplicationProperties = 0x74
	sectionData                  = 0x75
	sectionSequence              = 0x76
	sectionValue                 = 0x77
	sectionFooter                = 0x78
)

// Message is one message. The zero value is a message without any section.
type Message struct {
	Header                Header
	DeliveryAnnotations   Table
	MessageAnnotations    Table
	ApplicationProperties Table

	properties []byte // the section as it is encoded, nil if absent
	body       []byte // all body sections, laid end to end
	footer     []byte
}

// Parse cuts b into sections. The message keeps b: the caller gives it up.
func Parse(b []byte) (*Message, error) {
	m := &Message{}
	whole, bodyStart, last := b, -1, uint64(0)
	for len(b) > 0 {
		code, value, ok := codec.Descriptor(b)
		if !ok || code < sectionHeader || code > sectionFooter {
			return nil, fmt.Errorf("parse message: no section starts with % x", b[:min(len(b), 3)])
		}
		repeatable := code == sectionData || code == sectionSequence
		if code < last || code == last && !repeatable || last >= sectionData && code > last && code != sectionFooter {
			return nil, fmt.Errorf("parse message: section %#02x after %#02x", code, last)
		}
		rest, err := codec.Skip(value)
		if err != nil {
			return nil, fmt.Errorf("parse message: section %#02x: %w", code, err)
		}
		n := len(b) - len(rest)
		if bodyStart < 0 && code >= sectionData && code != sectionFooter {
			bodyStart = len(whole) - len(b)
		}
		if bodyStart >= 0 && code != sectionFooter {
			// One slice over all body sections, however many a batch has.
			end := len(whole) - len(rest)
			m.body = whole[bodyStart:end:end]
		}
		if err := m.keep(code, b[:n:n], value[:len(value)-len(rest)]); err != nil {
			return nil, fmt.Errorf("parse message: section %#02x: %w", code, err)
		}
		b, last = rest, code
	}
	return m, nil
}

// keep stores one section that is not part of the body; raw is all of it, value what follows the descriptor.
func (m *Message) keep(code uint64, raw, value []byte) (err error) {
	switch code {
	case sectionHeader:
		m.Header, err = parseHeader(value)
	case sectionDeliveryAnnotations:
		m.DeliveryAnnotations, err = parseTable(raw, value)
	case sectionMessageAnnotations:
		m.MessageAnnotations, err = parseTable(raw, value)
	case sectionApplicationProperties:
		m.ApplicationProperties, err = parseTable(raw, value)
	case sectionProperties:
		if _, err = parseProperties(value); err == nil {
			m.properties = raw
		}
	case sectionFooter:
		m.footer = raw
	}
	return err
}

// Clone returns a copy that can be edited apart.
func (m *Message) Clone() *Message {
	c := *m
	return &c
}

// Size is the length of the message as Append writes it.
func (m *Message) Size() int { return len(m.Append(nil)) }

// Append encodes the message. Header and properties are always written: Go
// clients read delivery count and time to live only if both are there.
func (m *Message) Append(b []byte) []byte {
	b = m.Header.append(b)
	b = m.DeliveryAnnotations.append(b, sectionDeliveryAnnotations)
	b = m.MessageAnnotations.append(b, sectionMessageAnnotations)
	return m.appendRest(b)
}

// appendRest encodes everything behind the annotations.
func (m *Message) appendRest(b []byte) []byte {
	if m.properties == nil {
		b = Properties{}.append(b)
	} else {
		b = append(b, m.properties...)
	}
	b = m.ApplicationProperties.append(b, sectionApplicationProperties)
	if m.body == nil {
		// A body section is mandatory (part 3 §3.2); replies often have none.
		b = codec.AppendNull(codec.AppendDescriptor(b, sectionValue))
	} else {
		b = append(b, m.body...)
	}
	return append(b, m.footer...)
}

// errBody is returned for a body of another kind than asked for.
var errBody = errors.New("message body is of another kind")

// Data returns the data sections of the body.
func (m *Message) Data() ([][]byte, error) {
	var out [][]byte
	for b := m.body; len(b) > 0; {
		code, value, _ := codec.Descriptor(b)
		if code != sectionData {
			return nil, errBody
		}
		v, rest, err := codec.Decode(value)
		if err != nil {
			return nil, err
		}
		data, ok := v.([]byte)
		if !ok {
			return nil, errBody
		}
		out = append(out, data)
		b = rest
	}
	return out, nil
}

// Value returns the value of an amqp-value body, nil if there is no body.
func (m *Message) Value() (any, error) {
	if m.body == nil {
		return nil, nil
	}
	code, value, _ := codec.Descriptor(m.body)
	if code != sectionValue {
		return nil, errBody
	}
	v, _, err := codec.Decode(value)
	return v, err
}

// Body is the body's sections as they are encoded.
func (m *Message) Body() []byte { return m.body }

// SetData makes the body one data section for each part.
func (m *Message) SetData(parts ...[]byte) {
	m.body = nil
	for _, p := range parts {
		m.body = codec.AppendBinary(codec.AppendDescriptor(m.body, sectionData), p)
	}
}

// SetValue makes the body an amqp-value section.
func (m *Message) SetValue(v any) error {
	b, err := codec.Append(codec.AppendDescriptor(nil, sectionValue), v)
	if err != nil {
		return fmt.Errorf("set message body: %w", err)
	}
	m.body = b
	return nil
}
