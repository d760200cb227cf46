package codec

import (
	"fmt"
	"math"
	"time"
)

// wideHeader is the room a list or map header may need: code, size, count.
const wideHeader = 9

// openCompound reserves a wide header; closeCompound fills it in and returns
// what it can to the short form.
func openCompound(b []byte) []byte { return append(b, make([]byte, wideHeader)...) }

// closeCompound completes the list or map whose header starts at start. code8
// is its 8-bit form.
func closeCompound(b []byte, start int, code8 byte, count int) []byte {
	items := len(b) - start - wideHeader
	if items+1 <= math.MaxUint8 && count <= math.MaxUint8 {
		b[start], b[start+1], b[start+2] = code8, byte(items+1), byte(count)
		copy(b[start+3:], b[start+wideHeader:])
		return b[:start+3+items]
	}
	b[start] = code8 + wide
	be.PutUint32(b[start+1:], uint32(items+4))
	be.PutUint32(b[start+5:], uint32(count))
	return b
}

func appendList(b []byte, v []any) ([]byte, error) {
	if len(v) == 0 {
		return append(b, codeList0), nil
	}
	start := len(b)
	b = openCompound(b)
	var err error
	for i, e := range v {
		if b, err = appendValue(b, e); err != nil {
			return nil, fmt.Errorf("list element %d: %w", i, err)
		}
	}
	return closeCompound(b, start, codeList8, len(v)), nil
}

func appendMap(b []byte, v Map) ([]byte, error) {
	start := len(b)
	b = openCompound(b)
	var err error
	for _, p := range v {
		if b, err = appendValue(b, p.Key); err != nil {
			return nil, fmt.Errorf("map key: %w", err)
		}
		if b, err = appendValue(b, p.Value); err != nil {
			return nil, fmt.Errorf("map entry %v: %w", p.Key, err)
		}
	}
	return closeCompound(b, start, codeMap8, 2*len(v)), nil
}

// AppendPairs encodes a map from entries that are encoded already: pairs of
// them, laid end to end.
func AppendPairs(b []byte, pairs int, entries ...[]byte) []byte {
	start := len(b)
	b = openCompound(b)
	for _, e := range entries {
		b = append(b, e...)
	}
	return closeCompound(b, start, codeMap8, 2*pairs)
}

// ListWriter encodes the fields of a composite type in order. Fields left null
// at the end are not sent at all (part 1 §1.4).
type ListWriter struct {
	buf   []byte
	start int
	count int
	nulls int // null fields seen since the last real one, not yet written
}

// NewListWriter starts the list of the composite type code at the end of b.
func NewListWriter(b []byte, code byte) ListWriter {
	b = AppendDescriptor(b, code)
	return ListWriter{buf: openCompound(b), start: len(b)}
}

// Close ends the list and returns the buffer.
func (w *ListWriter) Close() []byte {
	if w.count == 0 {
		return append(w.buf[:w.start], codeList0)
	}
	return closeCompound(w.buf, w.start, codeList8, w.count)
}

// next makes room for a field that is not null.
func (w *ListWriter) next() {
	for ; w.nulls > 0; w.nulls-- {
		w.buf = append(w.buf, codeNull)
		w.count++
	}
	w.count++
}

// Null leaves a field out.
func (w *ListWriter) Null() { w.nulls++ }

// Bool writes a boolean that has no default.
func (w *ListWriter) Bool(v bool) {
	w.next()
	w.buf = AppendBool(w.buf, v)
}

// True writes a boolean whose default is false.
func (w *ListWriter) True(v bool) {
	if !v {
		w.Null()
		return
	}
	w.Bool(true)
}

// Uint8 writes a ubyte.
func (w *ListWriter) Uint8(v Option[uint8]) {
	if !v.Set {
		w.Null()
		return
	}
	w.next()
	w.buf = AppendUint8(w.buf, v.Value)
}

// Uint16 writes a ushort.
func (w *ListWriter) Uint16(v Option[uint16]) {
	if !v.Set {
		w.Null()
		return
	}
	w.next()
	w.buf = AppendUint16(w.buf, v.Value)
}

// Uint32 writes a uint.
func (w *ListWriter) Uint32(v Option[uint32]) {
	if !v.Set {
		w.Null()
		return
	}
	w.next()
	w.buf = AppendUint32(w.buf, v.Value)
}

// Uint64 writes a ulong.
func (w *ListWriter) Uint64(v Option[uint64]) {
	if !v.Set {
		w.Null()
		return
	}
	w.next()
	w.buf = AppendUint64(w.buf, v.Value)
}

// String writes a string; the empty one counts as absent.
func (w *ListWriter) String(v string) {
	w.OptionalString(Option[string]{v, v != ""})
}

// OptionalString writes a string that may be empty without being absent.
func (w *ListWriter) OptionalString(v Option[string]) {
	if !v.Set {
		w.Null()
		return
	}
	w.next()
	w.buf = AppendString(w.buf, v.Value)
}

// Symbol writes a symbol; the empty one counts as absent.
func (w *ListWriter) Symbol(v Symbol) {
	if v == "" {
		w.Null()
		return
	}
	w.next()
	w.buf = AppendSymbol(w.buf, v)
}

// Binary writes a binary; nil counts as absent.
func (w *ListWriter) Binary(v []byte) {
	if v == nil {
		w.Null()
		return
	}
	w.next()
	w.buf = AppendBinary(w.buf, v)
}

// Raw writes a value that is encoded already; nil counts as absent.
func (w *ListWriter) Raw(v []byte) {
	if v == nil {
		w.Null()
		return
	}
	w.next()
	w.buf = append(w.buf, v...)
}

// Nested writes a value with the function that encodes it.
func (w *ListWriter) Nested(appendTo func(b []byte) []byte) {
	w.next()
	w.buf = appendTo(w.buf)
}

// Time writes a timestamp; the zero time counts as absent.
func (w *ListWriter) Time(t time.Time) {
	if t.IsZero() {
		w.Null()
		return
	}
	w.next()
	w.buf = AppendTimestamp(w.buf, t)
}

// Nulls leaves n fields out.
func (w *ListWriter) Nulls(n int) { w.nulls += n }
