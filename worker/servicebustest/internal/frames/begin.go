package frames

import "batchterminator/worker/servicebustest/internal/codec"

// BeginSession starts a session (part 2 §2.7.2); Begin starts a frame.
type BeginSession struct {
	RemoteChannel  codec.Option[uint16] // only in the answer
	NextOutgoingID uint32
	IncomingWindow uint32
	OutgoingWindow uint32
	HandleMax      codec.Option[uint32]
}

// Decode reads the fields.
func (s *BeginSession) Decode(b []byte) error {
	f, _, err := fieldsOf(b, "begin")
	if err != nil {
		return err
	}
	s.RemoteChannel = f.Uint16()
	next, in, out := f.Uint32(), f.Uint32(), f.Uint32()
	s.HandleMax = f.Uint32()
	if err := errUnless(&f, "begin"); err != nil {
		return err
	}
	if !next.Set || !in.Set || !out.Set {
		return missing("begin", "next-outgoing-id or window")
	}
	s.NextOutgoingID, s.IncomingWindow, s.OutgoingWindow = next.Value, in.Value, out.Value
	return nil
}

func (s BeginSession) append(b []byte) []byte {
	w := codec.NewListWriter(b, CodeBegin)
	w.Uint16(s.RemoteChannel)
	w.Uint32(codec.Some(s.NextOutgoingID))
	w.Uint32(codec.Some(s.IncomingWindow))
	w.Uint32(codec.Some(s.OutgoingWindow))
	w.Uint32(s.HandleMax)
	return w.Close()
}
