package frames

import "batchterminator/worker/servicebustest/internal/codec"

// Detach detaches a link (part 2 §2.7.7).
type Detach struct {
	Handle uint32
	Closed bool
	Error  *Error
}

// Decode reads the fields.
func (d *Detach) Decode(b []byte) error {
	f, _, err := fieldsOf(b, "detach")
	if err != nil {
		return err
	}
	handle := f.Uint32()
	d.Handle = handle.Value
	d.Closed = f.Bool().Value
	raw := f.Raw()
	if err := errUnless(&f, "detach"); err != nil {
		return err
	}
	if !handle.Set {
		return missing("detach", "handle")
	}
	d.Error, err = parseError(raw)
	return err
}

func (d Detach) append(b []byte) []byte {
	w := codec.NewListWriter(b, CodeDetach)
	w.Uint32(codec.Some(d.Handle))
	w.True(d.Closed)
	if d.Error != nil {
		w.Nested(d.Error.append)
	}
	return w.Close()
}
