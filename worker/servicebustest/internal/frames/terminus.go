package frames

import (
	"fmt"

	"batchterminator/worker/servicebustest/internal/codec"
)

// Terminus is a source (part 3 §3.5.3), a target (§3.5.4) or a coordinator (part
// 4 §4.5.1). The zero Terminus is null.
type Terminus struct {
	Raw         []byte // as encoded; the attach reply repeats it
	Address     string
	Dynamic     bool      // asks for a node to be created
	Coordinator bool      // asks for transactions
	Filter      codec.Map // source only
}

// Source builds a source for an address.
func Source(address string) Terminus { return terminus(codeSource, address) }

// Target builds a target for an address.
func Target(address string) Terminus { return terminus(codeTarget, address) }

func terminus(code byte, address string) Terminus {
	w := codec.NewListWriter(nil, code)
	w.String(address)
	return Terminus{Raw: w.Close(), Address: address}
}

// sourceFields is the number of fields of a source, filterField the place of its filter.
const (
	sourceFields = 11
	filterField  = 7
)

// WithFilter is a source with another filter and all else as it was encoded.
func (t Terminus) WithFilter(filter codec.Map) (Terminus, error) {
	encoded, err := codec.Append(nil, filter)
	if err != nil {
		return t, fmt.Errorf("encode filter: %w", err)
	}
	_, list, _ := codec.Descriptor(t.Raw)
	f, _, err := fieldsOf(list, "source")
	if err != nil {
		return t, err
	}
	w := codec.NewListWriter(nil, codeSource)
	for i := range sourceFields {
		field := f.Raw()
		if i == filterField {
			field = encoded
		}
		w.Raw(field)
	}
	t.Raw, t.Filter = w.Close(), filter
	return t, errUnless(&f, "source")
}

func parseTerminus(raw []byte, want uint64) (Terminus, error) {
	t := Terminus{Raw: raw}
	if raw == nil {
		return t, nil
	}
	code, fields, ok := codec.Descriptor(raw)
	if code == codeCoordinator && want == codeTarget {
		t.Coordinator = true
		return t, nil
	}
	if !ok || code != want {
		return t, fmt.Errorf("attach: terminus with descriptor %#02x where %#02x belongs", code, want)
	}
	f, _, err := fieldsOf(fields, "terminus")
	if err != nil {
		return t, err
	}
	t.Address = f.Text()
	f.Skip(3) // durability and expiry: nodes outlive links here
	t.Dynamic = f.Bool().Value
	if want == codeSource {
		f.Skip(2)
		t.Filter, _ = f.Value().(codec.Map)
	}
	return t, errUnless(&f, "terminus")
}
