package servicebustest

import (
	"fmt"
	"slices"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/message"
)

// Edit is one change that Alter makes to a message.
type Edit func(m *message.Message)

// Alter changes the message of a Send, Deliver or Reply on its way. The stored message stays what it is. A value that
// has no AMQP type is a mistake in the test and panics.
func Alter(edits ...Edit) Fault {
	return Rewrite(func(wire []byte) []byte {
		m, err := message.Parse(wire)
		if err != nil {
			return wire // it is not our mistake: at Send the client wrote it
		}
		for _, edit := range edits {
			edit(m)
		}
		return m.Append(nil)
	})
}

// NoAnnotations takes away the annotations: sequence number, enqueued time, lock token and lock expiry.
func NoAnnotations() Edit {
	return func(m *message.Message) {
		m.DeliveryAnnotations, m.MessageAnnotations = message.Table{}, message.Table{}
	}
}

// Annotation sets a message annotation to a value of any type, nil included. Clients rely on the types of those they
// know: an x-opt-locked-until that is a string makes the Go SDK panic.
func Annotation(key string, value any) Edit {
	mustEncode("annotation "+key, value)
	return func(m *message.Message) { _ = m.MessageAnnotations.Set(codec.Symbol(key), encodable(value)) }
}

// Property sets an application property.
func Property(key string, value any) Edit {
	mustEncode("property "+key, value)
	return func(m *message.Message) { _ = m.ApplicationProperties.Set(key, encodable(value)) }
}

// ValueBody makes the body an AMQP value instead of data: what other languages send for a string or a map.
func ValueBody(value any) Edit {
	mustEncode("body", value)
	return func(m *message.Message) { _ = m.SetValue(encodable(value)) }
}

// DataBody makes the body several data sections, or none at all.
func DataBody(parts ...[]byte) Edit {
	return func(m *message.Message) { m.SetData(parts...) }
}

func mustEncode(what string, value any) {
	if _, err := codec.Append(nil, encodable(value)); err != nil {
		panic(fmt.Sprintf("servicebustest: %s: %v", what, err))
	}
}

// encodable is a value as a client in Go would send it; the codec insists on a width.
func encodable(value any) any {
	if n, ok := value.(int); ok {
		return int64(n)
	}
	return value
}

// shifted moves the times that a message from the server tells: those of a delivery, and those in the reply of a management
// request. off is by how much the clock is off at a time; a message keeps the time at which it was enqueued.
func shifted(off func(time.Time) time.Duration) func(wire []byte) []byte {
	now := off(time.Now())
	return func(wire []byte) []byte {
		m, err := message.Parse(wire)
		if err != nil {
			return wire // a fault made it something else
		}
		move := func(key codec.Symbol, by func(time.Time) time.Duration) {
			if v, ok := m.MessageAnnotations.Get(string(key)); ok {
				if at, ok := v.(time.Time); ok {
					_ = m.MessageAnnotations.Set(key, at.Add(by(at))) // a time has a type
				}
			}
		}
		move(message.EnqueuedTime, off)
		move(message.LockedUntil, func(time.Time) time.Duration { return now })
		if body, err := m.Value(); err == nil {
			if body, ok := body.(codec.Map); ok && shiftReply(body, off) {
				_ = m.SetValue(body) // decoded, so it encodes
			}
		}
		return m.Append(nil)
	}
}

// shiftReply moves the times in the body of a reply and says whether there were any.
func shiftReply(body codec.Map, off func(time.Time) time.Duration) (changed bool) {
	now := off(time.Now())
	for i := range body {
		switch v := body[i].Value.(type) {
		case []time.Time: // expirations
			moved := slices.Clone(v)
			for j := range moved {
				moved[j] = moved[j].Add(now)
			}
			body[i].Value, changed = moved, true
		case []any: // messages
			for _, entry := range v {
				if m, ok := entry.(codec.Map); ok {
					changed = shiftReply(m, off) || changed
				}
			}
		case []byte:
			if body[i].Key == "message" {
				body[i].Value, changed = shifted(off)(v), true
			}
		}
	}
	return changed
}
