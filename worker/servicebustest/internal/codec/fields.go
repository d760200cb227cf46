package codec

import (
	"fmt"
	"math"
	"time"
)

// Fields reads the fields of a composite type in order, without boxing them. A
// field that is null or missing at the end reads as absent; the first wrong one
// stops the rest and is reported by Err.
type Fields struct {
	rest []byte
	left int
	err  error
}

// NewFields opens the list that starts b and returns what follows the list.
func NewFields(b []byte) (f Fields, rest []byte, err error) {
	if len(b) == 0 {
		return f, nil, errShort
	}
	body, rest, err := take(b[0], b[1:])
	if err != nil {
		return f, nil, err
	}
	switch b[0] {
	case codeList0:
	case codeList8, codeList32:
		f.left, f.rest, err = items(b[0], body)
	default:
		err = fmt.Errorf("composite type holds format code %#02x, not a list", b[0])
	}
	return f, rest, err
}

// Err is the first error met.
func (f *Fields) Err() error { return f.err }

// fail keeps the first error and makes the remaining fields absent.
func (f *Fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
	f.left = 0
}

// next cuts the next field; ok is false if it is absent.
func (f *Fields) next() (code byte, body []byte, ok bool) {
	if f.left == 0 {
		return 0, nil, false
	}
	f.left--
	if len(f.rest) == 0 {
		f.fail(errShort)
		return 0, nil, false
	}
	code = f.rest[0]
	body, rest, err := take(code, f.rest[1:])
	if err != nil {
		f.fail(err)
		return 0, nil, false
	}
	f.rest = rest
	return code, body, code != codeNull
}

// Raw cuts the next field as it is encoded; nil if it is absent.
func (f *Fields) Raw() []byte {
	if f.left == 0 {
		return nil
	}
	f.left--
	rest, err := Skip(f.rest)
	if err != nil {
		f.fail(err)
		return nil
	}
	raw := f.rest[: len(f.rest)-len(rest) : len(f.rest)-len(rest)]
	f.rest = rest
	if raw[0] == codeNull {
		return nil
	}
	return raw
}

// Skip passes over n fields.
func (f *Fields) Skip(n int) {
	for range n {
		f.Raw()
	}
}

// Value decodes the next field by its own type.
func (f *Fields) Value() any {
	raw := f.Raw()
	if raw == nil {
		return nil
	}
	v, _, err := Decode(raw)
	if err != nil {
		f.fail(err)
	}
	return v
}

// unsigned reads any unsigned width.
func unsigned(code byte, body []byte) (uint64, bool) {
	switch code {
	case codeUint0, codeUlong0:
		return 0, true
	case codeUbyte, codeSmallUint, codeSmallUlong:
		return uint64(body[0]), true
	case codeUshort:
		return uint64(be.Uint16(body)), true
	case codeUint:
		return uint64(be.Uint32(body)), true
	case codeUlong:
		return be.Uint64(body), true
	}
	return 0, false
}

func (f *Fields) uint(limit uint64) (uint64, bool) {
	code, body, ok := f.next()
	if !ok {
		return 0, false
	}
	v, ok := unsigned(code, body)
	if !ok || v > limit {
		f.fail(fmt.Errorf("format code %#02x where an unsigned number up to %d belongs", code, limit))
		return 0, false
	}
	return v, true
}

// Uint8 reads a ubyte.
func (f *Fields) Uint8() Option[uint8] {
	v, ok := f.uint(math.MaxUint8)
	return Option[uint8]{uint8(v), ok}
}

// Uint16 reads a ushort.
func (f *Fields) Uint16() Option[uint16] {
	v, ok := f.uint(math.MaxUint16)
	return Option[uint16]{uint16(v), ok}
}

// Uint32 reads a uint.
func (f *Fields) Uint32() Option[uint32] {
	v, ok := f.uint(math.MaxUint32)
	return Option[uint32]{uint32(v), ok}
}

// Uint64 reads a ulong.
func (f *Fields) Uint64() Option[uint64] {
	v, ok := f.uint(math.MaxUint64)
	return Option[uint64]{v, ok}
}

// Bool reads a boolean.
func (f *Fields) Bool() Option[bool] {
	code, body, ok := f.next()
	if !ok {
		return Option[bool]{}
	}
	switch code {
	case codeTrue, codeFalse:
		return Some(code == codeTrue)
	case codeBool:
		return Some(body[0] != 0)
	}
	f.fail(fmt.Errorf("format code %#02x where a boolean belongs", code))
	return Option[bool]{}
}

// Text reads a string or symbol; absent reads as empty.
func (f *Fields) Text() string { return f.OptionalText().Value }

// OptionalText reads a string or symbol of which an empty one is not absent.
func (f *Fields) OptionalText() Option[string] {
	code, body, ok := f.next()
	if !ok {
		return Option[string]{}
	}
	switch code {
	case codeString8, codeString32, codeSymbol8, codeSymbol32:
		return Some(string(body))
	}
	f.fail(fmt.Errorf("format code %#02x where text belongs", code))
	return Option[string]{}
}

// Binary reads a binary; it aliases the input.
func (f *Fields) Binary() []byte {
	code, body, ok := f.next()
	if !ok {
		return nil
	}
	if code != codeBinary8 && code != codeBinary32 {
		f.fail(fmt.Errorf("format code %#02x where a binary belongs", code))
		return nil
	}
	return body
}

// Time reads a timestamp; absent reads as the zero time.
func (f *Fields) Time() time.Time {
	code, body, ok := f.next()
	if !ok {
		return time.Time{}
	}
	if code != codeTimestamp {
		f.fail(fmt.Errorf("format code %#02x where a timestamp belongs", code))
		return time.Time{}
	}
	return timestamp(int64(be.Uint64(body)))
}
