package frames

import "batchterminator/worker/servicebustest/internal/codec"

// Transfer carries a message or a part of it (part 2 §2.7.5). Of the frames of
// one delivery only the first needs id, tag and format.
type Transfer struct {
	Handle        uint32
	DeliveryID    codec.Option[uint32]
	DeliveryTag   []byte
	MessageFormat codec.Option[uint32]
	Settled       bool
	More          bool
	Resume        bool
	Aborted       bool
}

// Decode reads the fields and returns the payload. Tag and payload alias b.
func (t *Transfer) Decode(b []byte) (payload []byte, err error) {
	f, payload, err := fieldsOf(b, "transfer")
	if err != nil {
		return nil, err
	}
	handle := f.Uint32()
	t.Handle = handle.Value
	t.DeliveryID = f.Uint32()
	t.DeliveryTag = f.Binary()
	t.MessageFormat = f.Uint32()
	t.Settled = f.Bool().Value
	t.More = f.Bool().Value
	f.Skip(2) // receiver settle mode and state: for resumed and transactional deliveries
	t.Resume = f.Bool().Value
	t.Aborted = f.Bool().Value
	if err := errUnless(&f, "transfer"); err != nil {
		return nil, err
	}
	if !handle.Set {
		return nil, missing("transfer", "handle")
	}
	return payload, nil
}

func (t Transfer) append(b []byte) []byte {
	w := codec.NewListWriter(b, CodeTransfer)
	w.Uint32(codec.Some(t.Handle))
	w.Uint32(t.DeliveryID)
	w.Binary(t.DeliveryTag)
	w.Uint32(t.MessageFormat)
	if t.DeliveryID.Set {
		w.Bool(t.Settled)
	} else {
		w.True(t.Settled)
	}
	w.True(t.More)
	w.Nulls(2)
	w.True(t.Resume)
	w.True(t.Aborted)
	return w.Close()
}
