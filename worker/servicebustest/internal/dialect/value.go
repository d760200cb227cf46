package dialect

import (
	"math"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/filter"
)

// Service Bus: .NET types that AMQP lacks travel as described values.
const (
	timeSpan       codec.Symbol = "com.microsoft:timespan"        // a long of ticks
	dateTimeOffset codec.Symbol = "com.microsoft:datetime-offset" // a long of ticks since the year 1
	uri            codec.Symbol = "com.microsoft:uri"             // a string
)

// tick is the unit of .NET's times.
const tick = 100 * time.Nanosecond

// filterValue makes an AMQP value one that a filter can compute with, as far as there is one. Numbers keep their width.
func filterValue(v any) any {
	switch v := v.(type) {
	case codec.Symbol:
		return string(v)
	case codec.Char:
		return string(rune(v))
	case codec.UUID:
		return filter.UUID(v)
	case codec.Described:
		return describedValue(v)
	}
	return v
}

func describedValue(v codec.Described) any {
	switch ticks, _ := v.Value.(int64); v.Descriptor {
	case timeSpan:
		// Go's durations end after 292 years, which nobody counts in.
		return time.Duration(min(max(ticks, math.MinInt64/int64(tick)), math.MaxInt64/int64(tick))) * tick
	case dateTimeOffset:
		const perSecond, unixEpoch = int64(time.Second / tick), 621_355_968_000_000_000
		return time.Unix((ticks-unixEpoch)/perSecond, (ticks-unixEpoch)%perSecond*int64(tick)).UTC()
	case uri:
		return v.Value
	}
	return v
}

// wireValue is the inverse of filterValue for what an action computes.
func wireValue(v any) any {
	switch v := v.(type) {
	case filter.UUID:
		return codec.UUID(v)
	case time.Duration:
		return codec.Described{Descriptor: timeSpan, Value: int64(v / tick)}
	}
	return v
}

// narrow gives a number the width that the property had before, if it fits: an action computes with the widest types,
// and the receiver should not notice.
func narrow(v, old any) any {
	switch n := v.(type) {
	case int64:
		return narrowInteger(n, old)
	case float64:
		if _, ok := old.(float32); ok {
			return float32(n)
		}
	}
	return v
}

func narrowInteger(n int64, old any) any {
	switch old.(type) {
	case int8:
		if n == int64(int8(n)) {
			return int8(n)
		}
	case int16:
		if n == int64(int16(n)) {
			return int16(n)
		}
	case int32:
		if n == int64(int32(n)) {
			return int32(n)
		}
	case uint8:
		if n == int64(uint8(n)) {
			return uint8(n)
		}
	case uint16:
		if n == int64(uint16(n)) {
			return uint16(n)
		}
	case uint32:
		if n == int64(uint32(n)) {
			return uint32(n)
		}
	case uint64:
		if n >= 0 {
			return uint64(n)
		}
	}
	return n
}
