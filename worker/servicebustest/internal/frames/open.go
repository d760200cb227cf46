package frames

import "batchterminator/worker/servicebustest/internal/codec"

// Open negotiates the connection (part 2 §2.7.1).
type Open struct {
	ContainerID  string
	Hostname     string
	MaxFrameSize codec.Option[uint32]
	ChannelMax   codec.Option[uint16]
	IdleTimeout  codec.Option[uint32] // milliseconds
	Properties   []byte               // encoded map
}

// Decode reads the fields.
func (o *Open) Decode(b []byte) error {
	f, _, err := fieldsOf(b, "open")
	if err != nil {
		return err
	}
	o.ContainerID = f.Text()
	o.Hostname = f.Text()
	o.MaxFrameSize = f.Uint32()
	o.ChannelMax = f.Uint16()
	o.IdleTimeout = f.Uint32()
	f.Skip(4) // locales and capabilities
	o.Properties = f.Raw()
	return errUnless(&f, "open")
}

func (o Open) append(b []byte) []byte {
	w := codec.NewListWriter(b, CodeOpen)
	w.String(o.ContainerID)
	w.String(o.Hostname)
	w.Uint32(o.MaxFrameSize)
	w.Uint16(o.ChannelMax)
	w.Uint32(o.IdleTimeout)
	w.Nulls(4)
	w.Raw(o.Properties)
	return w.Close()
}
