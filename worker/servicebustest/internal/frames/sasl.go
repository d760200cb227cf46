package frames

import (
	"fmt"

	"batchterminator/worker/servicebustest/internal/codec"
)

// SASLMechanisms offers mechanisms (part 5 §5.3.3.1).
type SASLMechanisms struct {
	Mechanisms []codec.Symbol
}

// Decode reads the fields.
func (m *SASLMechanisms) Decode(b []byte) error {
	f, _, err := fieldsOf(b, "sasl-mechanisms")
	if err != nil {
		return err
	}
	switch v := f.Value().(type) {
	case []codec.Symbol:
		m.Mechanisms = v
	case codec.Symbol: // one of a multiple may stand alone (part 1 §1.4)
		m.Mechanisms = []codec.Symbol{v}
	}
	return errUnless(&f, "sasl-mechanisms")
}

func (m SASLMechanisms) append(b []byte) []byte {
	raw, err := codec.Append(nil, m.Mechanisms)
	if err != nil {
		panic(fmt.Sprintf("encode symbols: %v", err)) // []Symbol has a type
	}
	w := codec.NewListWriter(b, CodeSASLMechanisms)
	w.Raw(raw)
	return w.Close()
}

// SASLInit chooses one (part 5 §5.3.3.2).
type SASLInit struct {
	Mechanism       codec.Symbol
	InitialResponse []byte
	Hostname        string
}

// Decode reads the fields.
func (i *SASLInit) Decode(b []byte) error {
	f, _, err := fieldsOf(b, "sasl-init")
	if err != nil {
		return err
	}
	i.Mechanism = codec.Symbol(f.Text())
	i.InitialResponse = f.Binary()
	i.Hostname = f.Text()
	return errUnless(&f, "sasl-init")
}

func (i SASLInit) append(b []byte) []byte {
	w := codec.NewListWriter(b, CodeSASLInit)
	w.Symbol(i.Mechanism)
	w.Binary(i.InitialResponse)
	w.String(i.Hostname)
	return w.Close()
}

// SASLOutcome ends the exchange (part 5 §5.3.3.6); 0 is ok, 1 failed.
type SASLOutcome struct {
	Code uint8
}

// Decode reads the fields.
func (o *SASLOutcome) Decode(b []byte) error {
	f, _, err := fieldsOf(b, "sasl-outcome")
	if err != nil {
		return err
	}
	o.Code = f.Uint8().Value
	return errUnless(&f, "sasl-outcome")
}

func (o SASLOutcome) append(b []byte) []byte {
	w := codec.NewListWriter(b, CodeSASLOutcome)
	w.Uint8(codec.Some(o.Code))
	return w.Close()
}
