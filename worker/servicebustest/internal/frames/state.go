package frames

import (
	"fmt"

	"batchterminator/worker/servicebustest/internal/codec"
)

// State is a delivery state (part 3 §3.4).
type State interface {
	append(b []byte) []byte
}

// Delivery states. Received and Transactional are recognised only: a client
// under test may send the first while it reads, and the second is refused.
type (
	Accepted struct{}
	Released struct{}
	Rejected struct{ Error *Error }
	Modified struct {
		DeliveryFailed    bool
		UndeliverableHere bool
		Annotations       codec.Map
	}
	Received      struct{}
	Transactional struct{}
)

func parseState(raw []byte) (State, error) {
	if raw == nil {
		return nil, nil
	}
	code, fields, ok := codec.Descriptor(raw)
	if !ok {
		return nil, fmt.Errorf("delivery state: no descriptor")
	}
	switch code {
	case CodeAccepted:
		return Accepted{}, nil
	case CodeReleased:
		return Released{}, nil
	case CodeReceived:
		return Received{}, nil
	case CodeTransactional:
		return Transactional{}, nil
	}
	f, _, err := fieldsOf(fields, "delivery state")
	if err != nil {
		return nil, err
	}
	switch code {
	case CodeRejected:
		e, err := parseError(f.Raw())
		if err != nil {
			return nil, err
		}
		return Rejected{e}, errUnless(&f, "rejected")
	case CodeModified:
		m := Modified{DeliveryFailed: f.Bool().Value, UndeliverableHere: f.Bool().Value}
		m.Annotations, _ = f.Value().(codec.Map)
		return m, errUnless(&f, "modified")
	}
	return nil, fmt.Errorf("delivery state: unknown descriptor %#02x", code)
}

// empty is the encoding of a state without fields.
func empty(b []byte, code byte) []byte {
	w := codec.NewListWriter(b, code)
	return w.Close()
}

func (Accepted) append(b []byte) []byte      { return empty(b, CodeAccepted) }
func (Released) append(b []byte) []byte      { return empty(b, CodeReleased) }
func (Received) append(b []byte) []byte      { return empty(b, CodeReceived) }
func (Transactional) append(b []byte) []byte { return empty(b, CodeTransactional) }

func (r Rejected) append(b []byte) []byte {
	w := codec.NewListWriter(b, CodeRejected)
	if r.Error != nil {
		w.Nested(r.Error.append)
	}
	return w.Close()
}

func (m Modified) append(b []byte) []byte {
	w := codec.NewListWriter(b, CodeModified)
	w.Bool(m.DeliveryFailed)
	w.Bool(m.UndeliverableHere)
	w.Raw(encodedMap(m.Annotations))
	return w.Close()
}

// encodedMap encodes m; nil if it is empty. A map with a value of no AMQP type is
// left out: the state or error around it matters more than its details.
func encodedMap(m codec.Map) []byte {
	if len(m) == 0 {
		return nil
	}
	b, err := codec.Append(nil, m)
	if err != nil {
		return nil
	}
	return b
}
