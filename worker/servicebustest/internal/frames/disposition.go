package frames

import "batchterminator/worker/servicebustest/internal/codec"

// Disposition settles deliveries (part 2 §2.7.6). A nil State is absent.
type Disposition struct {
	Role    bool // of the peer that writes it
	First   uint32
	Last    codec.Option[uint32] // absent means First
	Settled bool
	State   State
}

// Decode reads the fields.
func (d *Disposition) Decode(b []byte) error {
	f, _, err := fieldsOf(b, "disposition")
	if err != nil {
		return err
	}
	role, first := f.Bool(), f.Uint32()
	d.Role, d.First = role.Value, first.Value
	d.Last = f.Uint32()
	d.Settled = f.Bool().Value
	state := f.Raw()
	if err := errUnless(&f, "disposition"); err != nil {
		return err
	}
	if !role.Set || !first.Set {
		return missing("disposition", "role or first")
	}
	d.State, err = parseState(state)
	return err
}

func (d Disposition) append(b []byte) []byte {
	w := codec.NewListWriter(b, CodeDisposition)
	w.Bool(d.Role)
	w.Uint32(codec.Some(d.First))
	w.Uint32(d.Last)
	w.True(d.Settled)
	if d.State != nil {
		w.Nested(d.State.append)
	}
	return w.Close()
}
