package frames

import "batchterminator/worker/servicebustest/internal/codec"

// EndSession ends a session (part 2 §2.7.8); End ends a frame.
type EndSession struct {
	Error *Error
}

// Decode reads the fields.
func (e *EndSession) Decode(b []byte) (err error) {
	e.Error, err = errorField(b, "end")
	return err
}

func (e EndSession) append(b []byte) []byte { return appendErrorField(b, CodeEnd, e.Error) }

// errorField reads a performative whose only field is an error.
func errorField(b []byte, name string) (*Error, error) {
	f, _, err := fieldsOf(b, name)
	if err != nil {
		return nil, err
	}
	raw := f.Raw()
	if err := errUnless(&f, name); err != nil {
		return nil, err
	}
	return parseError(raw)
}

func appendErrorField(b []byte, code byte, e *Error) []byte {
	w := codec.NewListWriter(b, code)
	if e != nil {
		w.Nested(e.append)
	}
	return w.Close()
}
