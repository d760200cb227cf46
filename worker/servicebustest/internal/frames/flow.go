package frames

import "batchterminator/worker/servicebustest/internal/codec"

// Flow updates windows and, with a handle, credit (part 2 §2.7.4).
type Flow struct {
	NextIncomingID codec.Option[uint32] // absent until the writer has seen begin
	IncomingWindow uint32
	NextOutgoingID uint32
	OutgoingWindow uint32
	Handle         codec.Option[uint32]
	DeliveryCount  codec.Option[uint32]
	LinkCredit     codec.Option[uint32]
	Available      codec.Option[uint32]
	Drain          bool
	Echo           bool
}

// Decode reads the fields.
func (l *Flow) Decode(b []byte) error {
	f, _, err := fieldsOf(b, "flow")
	if err != nil {
		return err
	}
	l.NextIncomingID = f.Uint32()
	in, next, out := f.Uint32(), f.Uint32(), f.Uint32()
	l.IncomingWindow, l.NextOutgoingID, l.OutgoingWindow = in.Value, next.Value, out.Value
	l.Handle = f.Uint32()
	l.DeliveryCount = f.Uint32()
	l.LinkCredit = f.Uint32()
	l.Available = f.Uint32()
	l.Drain = f.Bool().Value
	l.Echo = f.Bool().Value
	if err := errUnless(&f, "flow"); err != nil {
		return err
	}
	if !in.Set || !next.Set || !out.Set {
		return missing("flow", "next-outgoing-id or window")
	}
	return nil
}

func (l Flow) append(b []byte) []byte {
	w := codec.NewListWriter(b, CodeFlow)
	w.Uint32(l.NextIncomingID)
	w.Uint32(codec.Some(l.IncomingWindow))
	w.Uint32(codec.Some(l.NextOutgoingID))
	w.Uint32(codec.Some(l.OutgoingWindow))
	w.Uint32(l.Handle)
	w.Uint32(l.DeliveryCount)
	w.Uint32(l.LinkCredit)
	w.Uint32(l.Available)
	w.True(l.Drain)
	w.True(l.Echo)
	return w.Close()
}
