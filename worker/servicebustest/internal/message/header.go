package message

import (
	"batchterminator/worker/servicebustest/internal/codec"
)

// Header is the header section (part 3 §3.2.1).
type Header struct {
	Durable       bool
	Priority      codec.Option[uint8]  // absent means 4
	TTL           codec.Option[uint32] // milliseconds; absent means for ever
	FirstAcquirer bool
	DeliveryCount uint32 // failed deliveries before this one
}

func parseHeader(value []byte) (Header, error) {
	f, _, err := codec.NewFields(value)
	if err != nil {
		return Header{}, err
	}
	h := Header{
		Durable:       f.Bool().Value,
		Priority:      f.Uint8(),
		TTL:           f.Uint32(),
		FirstAcquirer: f.Bool().Value,
		DeliveryCount: f.Uint32().Value,
	}
	return h, f.Err()
}

func (h Header) append(b []byte) []byte {
	w := codec.NewListWriter(b, sectionHeader)
	w.True(h.Durable)
	w.Uint8(h.Priority)
	w.Uint32(h.TTL)
	w.True(h.FirstAcquirer)
	// Written even when zero: JS shows an absent delivery count as undefined.
	w.Uint32(codec.Some(h.DeliveryCount))
	return w.Close()
}
