package atom

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestValuesKeepTheirType(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		"byte -128": int8(math.MinInt8), "short 32767": int16(math.MaxInt16), "int -1": int32(-1),
		"long 9223372036854775807": int64(math.MaxInt64), "unsignedByte 255": uint8(255),
		"unsignedShort 65535": uint16(math.MaxUint16), "unsignedInt 4294967295": uint32(math.MaxUint32),
		"unsignedLong 18446744073709551615": uint64(math.MaxUint64), "float 0.1": float32(0.1), "double 1e+300": 1e300,
		"double INF": math.Inf(1), "double -INF": math.Inf(-1), "float INF": float32(math.Inf(1)), "boolean true": true,
		"string  a ": " a ", "duration PT1M": time.Minute,
		"dateTime 2025-03-04T05:06:07.5Z": time.Date(2025, 3, 4, 5, 6, 7, 500_000_000, time.UTC),
	} {
		kind, text := formatValue(v)
		if got := kind + " " + text; got != want {
			t.Errorf("%T %v is %q, want %q", v, v, got, want)
		}
		if got, err := parseValue(kind, text); err != nil || got != v {
			t.Errorf("%s: %T %v, %v; want %T %v", want, got, got, err, v, v)
		}
	}
	if kind, text := formatValue(fmt.Errorf("anything")); kind != "string" || text != "anything" {
		t.Errorf("another type is %s %s, want its text", kind, text)
	}
}

func TestNumbersOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	for kind, text := range map[string]string{
		"byte": "128", "short": "-32769", "int": "2147483648", "long": "9223372036854775808", "unsignedByte": "-1",
		"unsignedInt": "4294967296", "float": "1e39", "double": "1e309", "boolean": "TRUE", "dateTime": "today",
		"duration": "1m",
	} {
		if v, err := parseValue(kind, text); err == nil {
			t.Errorf("%s %s is read as %v", kind, text, v)
		}
	}
}
