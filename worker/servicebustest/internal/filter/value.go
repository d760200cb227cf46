package filter

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// UUID is in RFC 4122 order.
type UUID [16]byte

func (u UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// unknown is the value of a missing property and of everything computed from it.
type unknown struct{}

// absent says whether v makes an operator's result unknown.
func absent(v any) bool { return v == nil || v == unknown{} }

// widen brings every number to the two types that are computed with. An unsigned number beyond int64 becomes a float.
func widen(v any) any {
	switch n := v.(type) {
	case int8:
		return int64(n)
	case int16:
		return int64(n)
	case int32:
		return int64(n)
	case int:
		return int64(n)
	case uint8:
		return int64(n)
	case uint16:
		return int64(n)
	case uint32:
		return int64(n)
	case uint64:
		if n > math.MaxInt64 {
			return float64(n)
		}
		return int64(n)
	case float32:
		return float64(n)
	}
	return v
}

// kind names a value's type in errors.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case unknown:
		return "an unknown value"
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a double"
	case bool:
		return "a boolean"
	case time.Time:
		return "a time"
	case time.Duration:
		return "a duration"
	case UUID:
		return "a uuid"
	case []byte:
		return "binary"
	}
	return fmt.Sprintf("a %T", v)
}

var (
	errNoOperator   = errors.New("no such operator")
	errDivideByZero = errors.New("division by zero")
	errOverflow     = errors.New("overflow")
)

// equal compares for = and <>; ok is false where C# has no such operator.
func equal(a, b any) (eq, ok bool) {
	switch a := a.(type) {
	case bool:
		b, ok := b.(bool)
		return a == b, ok
	case UUID:
		b, ok := b.(UUID)
		return a == b, ok
	case []byte:
		b, ok := b.([]byte)
		return bytes.Equal(a, b), ok
	}
	// An ordering is not enough for a NaN, which differs even from itself.
	if x, y, ok := floats(a, b); ok {
		return x == y, true
	}
	order, ok := order(a, b)
	return order == 0, ok
}

// order compares for < and its kin; ok is false where C# has no such operator.
func order(a, b any) (result int, ok bool) {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return cmp.Compare(a, b), ok
	case int64:
		b, ok := b.(int64)
		return cmp.Compare(a, b), ok
	case time.Time:
		b, ok := b.(time.Time)
		return a.Compare(b), ok
	case time.Duration:
		b, ok := b.(time.Duration)
		return cmp.Compare(a, b), ok
	}
	return 0, false
}

// floats promotes two numbers of which at least one is a float (C#: binary numeric promotion).
func floats(a, b any) (x, y float64, ok bool) {
	x, xFloat, ok := float(a)
	if !ok {
		return 0, 0, false
	}
	y, yFloat, ok := float(b)
	return x, y, ok && (xFloat || yFloat)
}

func float(v any) (f float64, isFloat, isNumber bool) {
	switch v := v.(type) {
	case float64:
		return v, true, true
	case int64:
		return float64(v), false, true
	}
	return 0, false, false
}

// text spells a value the way + and SET turn it into a string.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case bool:
		if v {
			return "True", true // .NET: Boolean.TrueString
		}
		return "False", true
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), true
	case time.Duration:
		return v.String(), true
	case UUID:
		return v.String(), true
	case []byte:
		return hex.EncodeToString(v), true
	}
	return "", false
}
