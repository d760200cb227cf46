package frames

import (
	"fmt"

	"batchterminator/worker/servicebustest/internal/codec"
)

// Error says why something ended (part 2 §2.8.14).
type Error struct {
	Condition   codec.Symbol
	Description string
	Info        codec.Map
}

func parseError(raw []byte) (*Error, error) {
	if raw == nil {
		return nil, nil
	}
	code, fields, ok := codec.Descriptor(raw)
	if !ok || code != codeError {
		return nil, fmt.Errorf("error: descriptor %#02x", code)
	}
	f, _, err := fieldsOf(fields, "error")
	if err != nil {
		return nil, err
	}
	e := &Error{Condition: codec.Symbol(f.Text()), Description: f.Text()}
	e.Info, _ = f.Value().(codec.Map)
	return e, errUnless(&f, "error")
}

func (e *Error) append(b []byte) []byte {
	w := codec.NewListWriter(b, codeError)
	w.Symbol(e.Condition)
	w.String(e.Description)
	w.Raw(encodedMap(e.Info))
	return w.Close()
}
