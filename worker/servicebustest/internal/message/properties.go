package message

import (
	"fmt"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
)

// Properties is the properties section (part 3 §3.2.4). MessageID and
// CorrelationID are a string, uint64, codec.UUID or []byte, or nil.
type Properties struct {
	MessageID          any
	UserID             []byte
	To                 string
	Subject            string
	ReplyTo            string
	CorrelationID      any
	ContentType        codec.Symbol
	ContentEncoding    codec.Symbol
	AbsoluteExpiryTime time.Time // zero means absent, here and below
	CreationTime       time.Time
	GroupID            codec.Option[string] // Service Bus: the session id, which may be blank
	GroupSequence      codec.Option[uint32]
	ReplyToGroupID     string
}

// Properties decodes the properties section; an absent one reads as empty.
func (m *Message) Properties() Properties {
	if m.properties == nil {
		return Properties{}
	}
	_, value, _ := codec.Descriptor(m.properties)
	p, _ := parseProperties(value) // Parse has seen it decode, SetProperties has encoded it
	return p
}

// SetProperties replaces the properties section.
func (m *Message) SetProperties(p Properties) error {
	if !isID(p.MessageID) || !isID(p.CorrelationID) {
		return fmt.Errorf("set message properties: ids of type %T and %T", p.MessageID, p.CorrelationID)
	}
	m.properties = p.append(nil)
	return nil
}

// isID says whether v is one of the types an id may have (part 3 §3.2.11-14).
func isID(v any) bool {
	switch v.(type) {
	case nil, string, uint64, codec.UUID, []byte:
		return true
	}
	return false
}

func parseProperties(value []byte) (Properties, error) {
	f, _, err := codec.NewFields(value)
	if err != nil {
		return Properties{}, err
	}
	p := Properties{
		MessageID:          f.Value(),
		UserID:             f.Binary(),
		To:                 f.Text(),
		Subject:            f.Text(),
		ReplyTo:            f.Text(),
		CorrelationID:      f.Value(),
		ContentType:        codec.Symbol(f.Text()),
		ContentEncoding:    codec.Symbol(f.Text()),
		AbsoluteExpiryTime: f.Time(),
		CreationTime:       f.Time(),
		GroupID:            f.OptionalText(),
		GroupSequence:      f.Uint32(),
		ReplyToGroupID:     f.Text(),
	}
	if err := f.Err(); err != nil {
		return p, err
	}
	if !isID(p.MessageID) || !isID(p.CorrelationID) {
		return p, fmt.Errorf("ids of type %T and %T", p.MessageID, p.CorrelationID)
	}
	return p, nil
}

func (p Properties) append(b []byte) []byte {
	w := codec.NewListWriter(b, sectionProperties)
	writeID(&w, p.MessageID)
	w.Binary(p.UserID)
	w.String(p.To)
	w.String(p.Subject)
	w.String(p.ReplyTo)
	writeID(&w, p.CorrelationID)
	w.Symbol(p.ContentType)
	w.Symbol(p.ContentEncoding)
	w.Time(p.AbsoluteExpiryTime)
	w.Time(p.CreationTime)
	w.OptionalString(p.GroupID)
	w.Uint32(p.GroupSequence)
	w.String(p.ReplyToGroupID)
	return w.Close()
}

// writeID writes an id of a type that isID has let through.
func writeID(w *codec.ListWriter, id any) {
	switch id := id.(type) {
	case string:
		w.Nested(func(b []byte) []byte { return codec.AppendString(b, id) })
	case uint64:
		w.Uint64(codec.Some(id))
	case codec.UUID:
		w.Nested(func(b []byte) []byte { return codec.AppendUUID(b, id) })
	case []byte:
		w.Binary(id)
	default:
		w.Null()
	}
}
