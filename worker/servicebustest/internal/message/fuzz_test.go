package message

import (
	"bytes"
	"testing"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
)

// FuzzParse reads any bytes as a message, and a batch. What is taken can be encoded, reads the same again, can be
// delivered and edited, and takes no more memory than its bytes suggest.
func FuzzParse(f *testing.F) {
	one := full(f)
	batch := &Message{}
	batch.SetData(one, one)
	f.Add(one)
	f.Add(batch.Append(nil))
	f.Add(section(f, sectionValue, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(bytes.Clone(b))
		if err != nil {
			return
		}
		whole(t, m)
		if parts, err := m.Split(); err == nil {
			if len(parts)*5 > len(b) {
				t.Fatalf("%d messages in %d bytes", len(parts), len(b))
			}
			for _, part := range parts {
				whole(t, part)
			}
		}
	})
}

// whole asserts that a message survives what a broker does with it.
func whole(t *testing.T, m *Message) {
	t.Helper()
	encoded := m.Append(nil)
	again, err := Parse(encoded)
	if err != nil {
		t.Fatalf("% x encodes to what cannot be read: %v", encoded, err)
	}
	if twice := again.Append(nil); !bytes.Equal(twice, encoded) {
		t.Fatalf("% x became % x", encoded, twice)
	}
	_, _ = m.Value() // any body may be asked for its value, or have none
	m = m.Clone()
	m.Strip()
	if err := m.ApplicationProperties.Set("DeadLetterReason", "why"); err != nil {
		t.Fatalf("a property cannot be added: %v", err)
	}
	delivered := m.AppendDelivery(nil, Delivery{SequenceNumber: 1, EnqueuedTime: time.UnixMilli(1), LockToken: codec.UUID{1}})
	if m, err = Parse(delivered); err != nil {
		t.Fatalf("as delivered: %v", err)
	}
	if v, _ := m.MessageAnnotations.Get(string(SequenceNumber)); v != int64(1) {
		t.Fatalf("the sequence number is %v", v)
	}
	if v, _ := m.ApplicationProperties.Get("DeadLetterReason"); v != "why" {
		t.Fatalf("the property reads %v", v)
	}
}
