package codec

import (
	"encoding/hex"
	"time"
)

// Symbol is a name from a constrained domain (part 1 §1.6.21).
type Symbol string

// Char is one Unicode code point (part 1 §1.6.16).
type Char rune

// UUID is in RFC 4122 order, as AMQP sends it (part 1 §1.6.18).
type UUID [16]byte

// String is the usual form: 8-4-4-4-12 lower-case digits.
func (u UUID) String() string {
	var s [36]byte
	at := 0
	for i, b := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			s[at] = '-'
			at++
		}
		hex.Encode(s[at:at+2], []byte{b})
		at += 2
	}
	return string(s[:])
}

// Swap exchanges RFC order and the mixed-endian order of a .NET Guid. Service
// Bus: a delivery tag is the lock token in that order; Swap is its own inverse.
func (u UUID) Swap() UUID {
	u[0], u[1], u[2], u[3] = u[3], u[2], u[1], u[0]
	u[4], u[5] = u[5], u[4]
	u[6], u[7] = u[7], u[6]
	return u
}

// Decimals are carried as they came: no client under test computes with them.
type (
	Decimal32  [4]byte
	Decimal64  [8]byte
	Decimal128 [16]byte
)

// Described is a value annotated with a descriptor (part 1 §1.2).
type Described struct {
	Descriptor any
	Value      any
}

// Pair is one entry of a Map.
type Pair struct {
	Key, Value any
}

// Map keeps its entries in wire order: AMQP calls a map with the same entries
// in another order a different one (part 1 §1.6.23).
type Map []Pair

// Get finds the entry named key. Clients disagree about strings and symbols as
// keys, so either matches.
func (m Map) Get(key string) (any, bool) {
	for _, p := range m {
		if IsKey(p.Key, key) {
			return p.Value, true
		}
	}
	return nil, false
}

// IsKey says whether a decoded map key is name, spelled as string or symbol.
func IsKey(key any, name string) bool {
	switch k := key.(type) {
	case string:
		return k == name
	case Symbol:
		return string(k) == name
	}
	return false
}

// Array is an array whose element type has no Go slice here: char, decimals,
// lists, maps, arrays and described values. Every element has the Go type of the
// first. Of is the element's format code and matters only to an empty array.
type Array struct {
	Of    byte
	Elems []any
}

// Ubytes is an array of ubyte; a plain []byte is binary.
type Ubytes []uint8

// Option is a field that may be absent. AMQP gives absent, null and default
// values the same meaning only where the field has a default.
type Option[T any] struct {
	Value T
	Set   bool
}

// Some is a field that is present.
func Some[T any](v T) Option[T] { return Option[T]{Value: v, Set: true} }

// Or is the field's value, or its default.
func (o Option[T]) Or(def T) T {
	if o.Set {
		return o.Value
	}
	return def
}

// Int64 reads any integer width: clients disagree about the width of counts,
// timeouts and sequence numbers.
func Int64(v any) (int64, bool) {
	switch n := v.(type) {
	case uint8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case uint32:
		return int64(n), true
	case uint64:
		return int64(n), n <= 1<<63-1
	case int8:
		return int64(n), true
	case int16:
		return int64(n), true
	case int32:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

// Text reads a string or a symbol.
func Text(v any) (string, bool) {
	switch s := v.(type) {
	case string:
		return s, true
	case Symbol:
		return string(s), true
	}
	return "", false
}

// timestamp is the inverse of AppendTimestamp.
func timestamp(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
