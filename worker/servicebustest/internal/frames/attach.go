package frames

import "batchterminator/worker/servicebustest/internal/codec"

// Attach attaches a link (part 2 §2.7.3).
type Attach struct {
	Name                 string
	Handle               uint32
	Role                 bool                // RoleSender or RoleReceiver, of the peer that writes it
	SenderMode           codec.Option[uint8] // absent means mixed
	ReceiverMode         codec.Option[uint8] // absent means first
	Source, Target       Terminus
	InitialDeliveryCount codec.Option[uint32] // from the sender only
	MaxMessageSize       codec.Option[uint64]
	Properties           []byte // encoded map
}

// Decode reads the fields. The termini alias b.
func (a *Attach) Decode(b []byte) error {
	f, _, err := fieldsOf(b, "attach")
	if err != nil {
		return err
	}
	a.Name = f.Text()
	handle, role := f.Uint32(), f.Bool()
	a.Handle, a.Role = handle.Value, role.Value
	a.SenderMode = f.Uint8()
	a.ReceiverMode = f.Uint8()
	source, target := f.Raw(), f.Raw()
	f.Skip(2) // unsettled deliveries of an earlier attachment: not resumed
	a.InitialDeliveryCount = f.Uint32()
	a.MaxMessageSize = f.Uint64()
	f.Skip(2) // capabilities
	a.Properties = f.Raw()
	if err := errUnless(&f, "attach"); err != nil {
		return err
	}
	if a.Name == "" || !handle.Set || !role.Set {
		return missing("attach", "name, handle or role")
	}
	if a.Source, err = parseTerminus(source, codeSource); err != nil {
		return err
	}
	a.Target, err = parseTerminus(target, codeTarget)
	return err
}

func (a Attach) append(b []byte) []byte {
	w := codec.NewListWriter(b, CodeAttach)
	w.String(a.Name)
	w.Uint32(codec.Some(a.Handle))
	w.Bool(a.Role)
	w.Uint8(a.SenderMode)
	w.Uint8(a.ReceiverMode)
	w.Raw(a.Source.Raw)
	w.Raw(a.Target.Raw)
	w.Nulls(2)
	w.Uint32(a.InitialDeliveryCount)
	w.Uint64(a.MaxMessageSize)
	w.Nulls(2)
	w.Raw(a.Properties)
	return w.Close()
}
