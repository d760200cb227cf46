package codec

import (
	"errors"
	"fmt"
	"math"
)

// maxDepth bounds nesting: a peer must not choose the depth of our stack.
const maxDepth = 32

var (
	errShort   = errors.New("value runs past its end")
	errDepth   = errors.New("nested too deeply")
	errCount   = errors.New("count does not fit the bytes")
	errPadding = errors.New("bytes left over inside a compound value")
)

// take cuts the bytes of one value with the given format code from b. For
// variable and compound types the length is checked and removed.
func take(code byte, b []byte) (body, rest []byte, err error) {
	n := fixedWidth(code)
	if n < 0 {
		switch code >> 4 {
		case 0xa, 0xc, 0xe:
			if len(b) < 1 {
				return nil, nil, errShort
			}
			n, b = int(b[0]), b[1:]
		case 0xb, 0xd, 0xf:
			if len(b) < 4 {
				return nil, nil, errShort
			}
			size := be.Uint32(b)
			if uint64(size) > uint64(len(b)-4) {
				return nil, nil, errShort
			}
			n, b = int(size), b[4:]
		default:
			return nil, nil, fmt.Errorf("unknown format code %#02x", code)
		}
	}
	if n > len(b) {
		return nil, nil, errShort
	}
	return b[:n:n], b[n:], nil
}

// Skip returns what follows the first value of b, without decoding it.
func Skip(b []byte) (rest []byte, err error) { return skip(b, 0) }

func skip(b []byte, depth int) ([]byte, error) {
	if len(b) == 0 {
		return nil, errShort
	}
	if b[0] != codeDescribed {
		_, rest, err := take(b[0], b[1:])
		return rest, err
	}
	if depth == maxDepth {
		return nil, errDepth
	}
	rest, err := skip(b[1:], depth+1)
	if err != nil {
		return nil, err
	}
	return skip(rest, depth+1)
}

// Descriptor reads the numeric descriptor that opens b and returns the value
// behind it. ok is false when b holds no described value or a symbolic one.
func Descriptor(b []byte) (code uint64, value []byte, ok bool) {
	if len(b) < 2 || b[0] != codeDescribed {
		return 0, nil, false
	}
	body, rest, err := take(b[1], b[2:])
	if err != nil {
		return 0, nil, false
	}
	code, ok = unsigned(b[1], body)
	return code, rest, ok
}

// Decode reads the first value of b and returns what follows it.
func Decode(b []byte) (v any, rest []byte, err error) { return decode(b, 0) }

func decode(b []byte, depth int) (v any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errShort
	}
	if depth > maxDepth {
		return nil, nil, errDepth
	}
	if b[0] == codeDescribed {
		var d Described
		if d.Descriptor, rest, err = decode(b[1:], depth+1); err != nil {
			return nil, nil, err
		}
		d.Value, rest, err = decode(rest, depth+1)
		return d, rest, err
	}
	body, rest, err := take(b[0], b[1:])
	if err != nil {
		return nil, nil, err
	}
	v, err = value(b[0], body, depth)
	return v, rest, err
}

// value decodes the bytes take has cut.
func value(code byte, body []byte, depth int) (any, error) {
	switch code {
	case codeNull:
		return nil, nil
	case codeTrue, codeFalse:
		return code == codeTrue, nil
	case codeBool:
		return body[0] != 0, nil
	case codeBinary8, codeBinary32:
		return body, nil
	case codeString8, codeString32:
		return string(body), nil
	case codeSymbol8, codeSymbol32:
		return Symbol(body), nil
	case codeUUID:
		return UUID(body), nil
	case codeTimestamp:
		return timestamp(int64(be.Uint64(body))), nil
	case codeList0:
		return []any{}, nil
	case codeList8, codeList32:
		return list(code, body, depth)
	case codeMap8, codeMap32:
		return pairs(code, body, depth)
	case codeArray8, codeArray32:
		return array(code, body, depth)
	}
	return number(code, body)
}

func number(code byte, body []byte) (any, error) {
	switch code {
	case codeUbyte:
		return body[0], nil
	case codeByte:
		return int8(body[0]), nil
	case codeUshort:
		return be.Uint16(body), nil
	case codeShort:
		return int16(be.Uint16(body)), nil
	case codeUint0:
		return uint32(0), nil
	case codeSmallUint:
		return uint32(body[0]), nil
	case codeUint:
		return be.Uint32(body), nil
	case codeUlong0:
		return uint64(0), nil
	case codeSmallUlong:
		return uint64(body[0]), nil
	case codeUlong:
		return be.Uint64(body), nil
	case codeSmallInt:
		return int32(int8(body[0])), nil
	case codeInt:
		return int32(be.Uint32(body)), nil
	case codeSmallLong:
		return int64(int8(body[0])), nil
	case codeLong:
		return int64(be.Uint64(body)), nil
	}
	return fraction(code, body)
}

func fraction(code byte, body []byte) (any, error) {
	switch code {
	case codeFloat:
		return math.Float32frombits(be.Uint32(body)), nil
	case codeDouble:
		return math.Float64frombits(be.Uint64(body)), nil
	case codeChar:
		return Char(be.Uint32(body)), nil
	case codeDecimal32:
		return Decimal32(body), nil
	case codeDecimal64:
		return Decimal64(body), nil
	case codeDecimal128:
		return Decimal128(body), nil
	}
	return nil, fmt.Errorf("unknown format code %#02x", code)
}

// items splits the body of a list or map. Each element takes a byte at least,
// which bounds what a count may make us allocate.
func items(code byte, body []byte) (count int, elems []byte, err error) {
	count, elems, err = counted(code, body)
	if err == nil && count > len(elems) {
		err = errCount
	}
	return count, elems, err
}

// counted reads the count of a compound value or array.
func counted(code byte, body []byte) (count int, rest []byte, err error) {
	if code&wide == 0 { // 0xc0, 0xc1, 0xe0: one byte
		if len(body) < 1 {
			return 0, nil, errShort
		}
		return int(body[0]), body[1:], nil
	}
	if len(body) < 4 {
		return 0, nil, errShort
	}
	n := be.Uint32(body)
	if n > math.MaxInt32 {
		return 0, nil, errCount
	}
	return int(n), body[4:], nil
}

func list(code byte, body []byte, depth int) (any, error) {
	count, elems, err := items(code, body)
	if err != nil {
		return nil, err
	}
	out := make([]any, count)
	for i := range out {
		if out[i], elems, err = decode(elems, depth+1); err != nil {
			return nil, err
		}
	}
	if len(elems) > 0 {
		return nil, errPadding
	}
	return out, nil
}

func pairs(code byte, body []byte, depth int) (any, error) {
	count, elems, err := items(code, body)
	if err != nil {
		return nil, err
	}
	if count%2 != 0 {
		return nil, errCount
	}
	out := make(Map, count/2)
	for i := range out {
		if out[i].Key, elems, err = decode(elems, depth+1); err != nil {
			return nil, err
		}
		if out[i].Value, elems, err = decode(elems, depth+1); err != nil {
			return nil, err
		}
	}
	if len(elems) > 0 {
		return nil, errPadding
	}
	return out, nil
}
