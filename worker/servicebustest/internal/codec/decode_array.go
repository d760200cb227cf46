package codec

import (
	"fmt"
	"math"
	"time"
)

// array decodes an array: count, one constructor, then bare elements.
func array(code byte, body []byte, depth int) (any, error) {
	count, rest, err := counted(code, body)
	if err != nil {
		return nil, err
	}
	if len(rest) == 0 {
		return nil, errShort
	}
	of, elems := rest[0], rest[1:]
	if of == codeDescribed {
		return describedArray(count, rest, depth)
	}
	width := fixedWidth(of)
	switch {
	case width == 0 && count > 0:
		return nil, fmt.Errorf("array of zero-width elements %#02x", of)
	case width > 0 && len(elems) != count*width:
		return nil, errCount
	case width < 0 && count > len(elems):
		return nil, errCount
	}
	if v, ok := numberArray(of, count, elems); ok {
		return v, nil
	}
	return otherArray(of, count, elems, depth)
}

func numberArray(of byte, count int, elems []byte) (any, bool) {
	switch of {
	case codeUbyte:
		return Ubytes(elems), true
	case codeByte:
		return fixed(count, elems, 1, func(b []byte) int8 { return int8(b[0]) }), true
	case codeUshort:
		return fixed(count, elems, 2, be.Uint16), true
	case codeShort:
		return fixed(count, elems, 2, func(b []byte) int16 { return int16(be.Uint16(b)) }), true
	case codeSmallUint:
		return fixed(count, elems, 1, func(b []byte) uint32 { return uint32(b[0]) }), true
	case codeUint:
		return fixed(count, elems, 4, be.Uint32), true
	case codeSmallInt:
		return fixed(count, elems, 1, func(b []byte) int32 { return int32(int8(b[0])) }), true
	case codeInt:
		return fixed(count, elems, 4, func(b []byte) int32 { return int32(be.Uint32(b)) }), true
	case codeSmallUlong:
		return fixed(count, elems, 1, func(b []byte) uint64 { return uint64(b[0]) }), true
	case codeUlong:
		return fixed(count, elems, 8, be.Uint64), true
	case codeSmallLong:
		return fixed(count, elems, 1, func(b []byte) int64 { return int64(int8(b[0])) }), true
	case codeLong:
		return fixed(count, elems, 8, func(b []byte) int64 { return int64(be.Uint64(b)) }), true
	case codeFloat:
		return fixed(count, elems, 4, func(b []byte) float32 { return math.Float32frombits(be.Uint32(b)) }), true
	case codeDouble:
		return fixed(count, elems, 8, func(b []byte) float64 { return math.Float64frombits(be.Uint64(b)) }), true
	}
	return nil, false
}

func otherArray(of byte, count int, elems []byte, depth int) (any, error) {
	switch of {
	case codeBool:
		return fixed(count, elems, 1, func(b []byte) bool { return b[0] != 0 }), nil
	case codeTimestamp:
		return fixed(count, elems, 8, func(b []byte) time.Time { return timestamp(int64(be.Uint64(b))) }), nil
	case codeUUID:
		return fixed(count, elems, 16, func(b []byte) UUID { return UUID(b) }), nil
	case codeBinary8, codeBinary32:
		return variable(of, count, elems, func(b []byte) []byte { return b })
	case codeString8, codeString32:
		return variable(of, count, elems, func(b []byte) string { return string(b) })
	case codeSymbol8, codeSymbol32:
		return variable(of, count, elems, func(b []byte) Symbol { return Symbol(b) })
	}
	vs, err := variable(of, count, elems, func(b []byte) []byte { return b })
	if err != nil {
		return nil, err
	}
	out := Array{Of: of, Elems: make([]any, count)}
	for i, body := range vs {
		if depth == maxDepth {
			return nil, errDepth
		}
		if out.Elems[i], err = value(of, body, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// describedArray decodes elements that share one descriptor.
func describedArray(count int, ctor []byte, depth int) (any, error) {
	if depth == maxDepth {
		return nil, errDepth
	}
	descriptor, rest, err := decode(ctor[1:], depth+1)
	if err != nil {
		return nil, err
	}
	if len(rest) == 0 || rest[0] == codeDescribed || rest[0] == codeArray8 || rest[0] == codeArray32 {
		return nil, fmt.Errorf("array element constructor not supported")
	}
	if fixedWidth(rest[0]) == 0 && count > 0 {
		return nil, fmt.Errorf("array of zero-width elements %#02x", rest[0])
	}
	if count > len(rest)-1 {
		return nil, errCount
	}
	vs, err := variable(rest[0], count, rest[1:], func(b []byte) []byte { return b })
	if err != nil {
		return nil, err
	}
	out := Array{Of: codeDescribed, Elems: make([]any, count)}
	for i, body := range vs {
		v, err := value(rest[0], body, depth+1)
		if err != nil {
			return nil, err
		}
		out.Elems[i] = Described{Descriptor: descriptor, Value: v}
	}
	return out, nil
}

// fixed decodes count elements of one width; array has checked the total.
func fixed[T any](count int, elems []byte, width int, get func([]byte) T) []T {
	out := make([]T, count)
	for i := range out {
		out[i] = get(elems[i*width:])
	}
	return out
}

// variable decodes elements that carry their own length, or cuts any others.
func variable[T any](of byte, count int, elems []byte, get func([]byte) T) ([]T, error) {
	out := make([]T, count)
	for i := range out {
		body, rest, err := take(of, elems)
		if err != nil {
			return nil, err
		}
		out[i], elems = get(body), rest
	}
	if len(elems) > 0 {
		return nil, errPadding
	}
	return out, nil
}
