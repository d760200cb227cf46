package codec

import (
	"fmt"
	"math"
	"time"
)

// appendArray encodes the slice types. An array writes its element constructor
// once, so elements take the full-width form of their type.
func appendArray(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case []bool:
		return fixedArray(b, codeBool, v, func(b []byte, e bool) []byte {
			if e {
				return append(b, 1)
			}
			return append(b, 0)
		}), nil
	case Ubytes:
		return append(arrayHeader(b, codeUbyte, len(v), len(v)), v...), nil
	case []int8:
		return fixedArray(b, codeByte, v, func(b []byte, e int8) []byte { return append(b, byte(e)) }), nil
	case []uint16:
		return fixedArray(b, codeUshort, v, be.AppendUint16), nil
	case []int16:
		return fixedArray(b, codeShort, v, func(b []byte, e int16) []byte { return be.AppendUint16(b, uint16(e)) }), nil
	case []uint32:
		return fixedArray(b, codeUint, v, be.AppendUint32), nil
	case []int32:
		return fixedArray(b, codeInt, v, func(b []byte, e int32) []byte { return be.AppendUint32(b, uint32(e)) }), nil
	case []uint64:
		return fixedArray(b, codeUlong, v, be.AppendUint64), nil
	case []int64:
		return fixedArray(b, codeLong, v, func(b []byte, e int64) []byte { return be.AppendUint64(b, uint64(e)) }), nil
	}
	return appendOtherArray(b, v)
}

func appendOtherArray(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case []float32:
		return fixedArray(b, codeFloat, v, func(b []byte, e float32) []byte { return be.AppendUint32(b, math.Float32bits(e)) }), nil
	case []float64:
		return fixedArray(b, codeDouble, v, func(b []byte, e float64) []byte { return be.AppendUint64(b, math.Float64bits(e)) }), nil
	case []time.Time:
		return fixedArray(b, codeTimestamp, v, func(b []byte, e time.Time) []byte { return be.AppendUint64(b, uint64(e.UnixMilli())) }), nil
	case []UUID:
		return fixedArray(b, codeUUID, v, func(b []byte, e UUID) []byte { return append(b, e[:]...) }), nil
	case [][]byte:
		return variableArray(b, codeBinary8, v), nil
	case []string:
		return variableArray(b, codeString8, v), nil
	case []Symbol:
		return variableArray(b, codeSymbol8, v), nil
	case Array:
		return appendAnyArray(b, v)
	}
	return nil, fmt.Errorf("no AMQP type for %T", v)
}

// fixedArray encodes elements whose width the high nibble of code gives.
func fixedArray[T any](b []byte, code byte, v []T, put func([]byte, T) []byte) []byte {
	b = arrayHeader(b, code, len(v), len(v)*fixedWidth(code))
	for _, e := range v {
		b = put(b, e)
	}
	return b
}

// variableArray encodes elements with a length each: 8-bit ones if all fit.
func variableArray[T ~string | ~[]byte](b []byte, code8 byte, v []T) []byte {
	code, size := code8, 0
	for _, e := range v {
		size += len(e)
		if len(e) > math.MaxUint8 {
			code = code8 + wide
		}
	}
	lenWidth := 1
	if code != code8 {
		lenWidth = 4
	}
	b = arrayHeader(b, code, len(v), size+lenWidth*len(v))
	for _, e := range v {
		if lenWidth == 1 {
			b = append(b, byte(len(e)))
		} else {
			b = be.AppendUint32(b, uint32(len(e)))
		}
		b = append(b, e...)
	}
	return b
}

// arrayHeader writes everything up to the first element.
func arrayHeader(b []byte, code byte, count, elems int) []byte {
	if elems+2 <= math.MaxUint8 && count <= math.MaxUint8 {
		return append(b, codeArray8, byte(elems+2), byte(count), code)
	}
	b = be.AppendUint32(append(b, codeArray32), uint32(elems+5))
	return append(be.AppendUint32(b, uint32(count)), code)
}

// appendAnyArray encodes every element in full, then keeps the constructor of
// the first only. Elements that choose short or long forms by their size are
// brought to the long one.
func appendAnyArray(b []byte, v Array) ([]byte, error) {
	if len(v.Elems) == 0 {
		of := v.Of
		if of == codeDescribed {
			of = codeNull // a described constructor without its descriptor would not parse
		}
		return arrayHeader(b, of, 0, 0), nil
	}
	var ctor, elems []byte
	for i, e := range v.Elems {
		one, err := appendValue(nil, e)
		if err != nil {
			return nil, fmt.Errorf("array element %d: %w", i, err)
		}
		c, body, err := widen(one)
		if err != nil {
			return nil, fmt.Errorf("array element %d: %w", i, err)
		}
		if i == 0 {
			ctor = c
		} else if string(c) != string(ctor) {
			return nil, fmt.Errorf("array element %d: type differs from the first", i)
		}
		elems = append(elems, body...)
	}
	b = be.AppendUint32(append(b, codeArray32), uint32(4+len(ctor)+len(elems)))
	b = be.AppendUint32(b, uint32(len(v.Elems)))
	return append(append(b, ctor...), elems...), nil
}

// widen splits one encoded value into a constructor that suits all values of
// its type and the rest.
func widen(one []byte) (ctor, body []byte, err error) {
	if one[0] == codeDescribed {
		rest, err := Skip(one[1:])
		if err != nil {
			return nil, nil, err
		}
		inner, body, err := widen(rest)
		if err != nil {
			return nil, nil, err
		}
		prefix := one[:len(one)-len(rest)]
		return append(append([]byte{}, prefix...), inner...), body, nil
	}
	code, rest := one[0], one[1:]
	switch code {
	case codeNull:
		return nil, nil, fmt.Errorf("an array of null takes no room: its count would mean nothing")
	case codeTrue, codeFalse:
		return []byte{codeBool}, []byte{codeFalse - code}, nil
	case codeUint0, codeSmallUint:
		n, _ := unsigned(code, rest)
		return []byte{codeUint}, be.AppendUint32(nil, uint32(n)), nil
	case codeUlong0, codeSmallUlong:
		n, _ := unsigned(code, rest)
		return []byte{codeUlong}, be.AppendUint64(nil, n), nil
	case codeSmallInt:
		return []byte{codeInt}, be.AppendUint32(nil, uint32(int8(rest[0]))), nil
	case codeSmallLong:
		return []byte{codeLong}, be.AppendUint64(nil, uint64(int8(rest[0]))), nil
	case codeList0:
		return []byte{codeList32}, []byte{0, 0, 0, 4, 0, 0, 0, 0}, nil
	case codeList8, codeMap8:
		wideBody := be.AppendUint32(nil, uint32(len(rest)-2+4))
		wideBody = be.AppendUint32(wideBody, uint32(rest[1]))
		return []byte{code + wide}, append(wideBody, rest[2:]...), nil
	case codeArray8:
		wideBody := be.AppendUint32(nil, uint32(len(rest)-2+4))
		wideBody = be.AppendUint32(wideBody, uint32(rest[1]))
		return []byte{codeArray32}, append(wideBody, rest[2:]...), nil
	case codeBinary8, codeString8, codeSymbol8:
		return []byte{code + wide}, append(be.AppendUint32(nil, uint32(rest[0])), rest[1:]...), nil
	}
	return []byte{code}, rest, nil
}
