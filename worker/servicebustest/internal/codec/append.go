package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// be is the only byte order of the standard.
var be = binary.BigEndian

// AppendNull encodes null.
func AppendNull(b []byte) []byte { return append(b, codeNull) }

// AppendBool encodes a boolean.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, codeTrue)
	}
	return append(b, codeFalse)
}

// AppendUint8 encodes a ubyte.
func AppendUint8(b []byte, v uint8) []byte { return append(b, codeUbyte, v) }

// AppendUint16 encodes a ushort.
func AppendUint16(b []byte, v uint16) []byte { return be.AppendUint16(append(b, codeUshort), v) }

// AppendUint32 encodes a uint.
func AppendUint32(b []byte, v uint32) []byte {
	switch {
	case v == 0:
		return append(b, codeUint0)
	case v <= math.MaxUint8:
		return append(b, codeSmallUint, byte(v))
	}
	return be.AppendUint32(append(b, codeUint), v)
}

// AppendUint64 encodes a ulong.
func AppendUint64(b []byte, v uint64) []byte {
	switch {
	case v == 0:
		return append(b, codeUlong0)
	case v <= math.MaxUint8:
		return append(b, codeSmallUlong, byte(v))
	}
	return be.AppendUint64(append(b, codeUlong), v)
}

// AppendInt32 encodes an int.
func AppendInt32(b []byte, v int32) []byte {
	if v == int32(int8(v)) {
		return append(b, codeSmallInt, byte(v))
	}
	return be.AppendUint32(append(b, codeInt), uint32(v))
}

// AppendInt64 encodes a long.
func AppendInt64(b []byte, v int64) []byte {
	if v == int64(int8(v)) {
		return append(b, codeSmallLong, byte(v))
	}
	return be.AppendUint64(append(b, codeLong), uint64(v))
}

// AppendTimestamp encodes a timestamp; what is below a millisecond is lost.
func AppendTimestamp(b []byte, t time.Time) []byte {
	return be.AppendUint64(append(b, codeTimestamp), uint64(t.UnixMilli()))
}

// AppendUUID encodes a uuid.
func AppendUUID(b []byte, u UUID) []byte { return append(append(b, codeUUID), u[:]...) }

// AppendBinary encodes a binary.
func AppendBinary(b, v []byte) []byte { return append(appendLen(b, codeBinary8, len(v)), v...) }

// AppendString encodes a string.
func AppendString(b []byte, v string) []byte { return append(appendLen(b, codeString8, len(v)), v...) }

// AppendSymbol encodes a symbol.
func AppendSymbol(b []byte, v Symbol) []byte { return append(appendLen(b, codeSymbol8, len(v)), v...) }

// AppendDescriptor encodes the three-byte form 00 53 code. go-amqp reads no
// other form in front of a performative.
func AppendDescriptor(b []byte, code byte) []byte {
	return append(b, codeDescribed, codeSmallUlong, code)
}

// appendLen writes the constructor and length of a variable-width value. The
// 32-bit code of each such type is its 8-bit code plus 0x10 (part 1 §1.2).
func appendLen(b []byte, code8 byte, n int) []byte {
	if n <= math.MaxUint8 {
		return append(b, code8, byte(n))
	}
	return be.AppendUint32(append(b, code8+wide), uint32(n))
}

// Append encodes v by its Go type. The error names a type the package cannot
// encode; b is then returned as it was.
func Append(b []byte, v any) ([]byte, error) {
	start := len(b)
	out, err := appendValue(b, v)
	if err != nil {
		return b[:start], err
	}
	return out, nil
}

func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return AppendNull(b), nil
	case bool:
		return AppendBool(b, v), nil
	case string:
		return AppendString(b, v), nil
	case Symbol:
		return AppendSymbol(b, v), nil
	case []byte:
		return AppendBinary(b, v), nil
	case UUID:
		return AppendUUID(b, v), nil
	case time.Time:
		return AppendTimestamp(b, v), nil
	case Described:
		return appendDescribed(b, v)
	case []any:
		return appendList(b, v)
	case Map:
		return appendMap(b, v)
	}
	if out, ok := appendNumber(b, v); ok {
		return out, nil
	}
	return appendArray(b, v)
}

func appendNumber(b []byte, v any) ([]byte, bool) {
	switch v := v.(type) {
	case uint8:
		return AppendUint8(b, v), true
	case uint16:
		return AppendUint16(b, v), true
	case uint32:
		return AppendUint32(b, v), true
	case uint64:
		return AppendUint64(b, v), true
	case int8:
		return append(b, codeByte, byte(v)), true
	case int16:
		return be.AppendUint16(append(b, codeShort), uint16(v)), true
	case int32:
		return AppendInt32(b, v), true
	case int64:
		return AppendInt64(b, v), true
	case float32:
		return be.AppendUint32(append(b, codeFloat), math.Float32bits(v)), true
	case float64:
		return be.AppendUint64(append(b, codeDouble), math.Float64bits(v)), true
	case Char:
		return be.AppendUint32(append(b, codeChar), uint32(v)), true
	case Decimal32:
		return append(append(b, codeDecimal32), v[:]...), true
	case Decimal64:
		return append(append(b, codeDecimal64), v[:]...), true
	case Decimal128:
		return append(append(b, codeDecimal128), v[:]...), true
	}
	return b, false
}

func appendDescribed(b []byte, v Described) ([]byte, error) {
	b, err := appendValue(append(b, codeDescribed), v.Descriptor)
	if err != nil {
		return nil, fmt.Errorf("descriptor: %w", err)
	}
	return appendValue(b, v.Value)
}
