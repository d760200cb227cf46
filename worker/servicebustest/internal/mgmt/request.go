package mgmt

import (
	"fmt"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/transport"
)

func badArgument(format string, args ...any) error {
	return &transport.Error{Condition: dialect.ArgumentError, Description: fmt.Sprintf(format, args...)}
}

// text reads an optional string; absent and null read as empty.
func text(m codec.Map, key string) (string, error) {
	s, _, err := optionalText(m, key)
	return s, err
}

// optionalText reads a string that may be empty without being absent; given is false for absent and null.
func optionalText(m codec.Map, key string) (s string, given bool, err error) {
	v, _ := m.Get(key)
	if v == nil {
		return "", false, nil
	}
	s, ok := codec.Text(v)
	if !ok {
		return "", false, badArgument("%s is %T, not a string", key, v)
	}
	return s, true, nil
}

// number reads an integer of any width: clients disagree about it.
func number(m codec.Map, key string) (int64, error) {
	v, _ := m.Get(key)
	n, ok := codec.Int64(v)
	if !ok {
		return 0, badArgument("%s is %T, not an integer", key, v)
	}
	return n, nil
}

// numberOr reads an optional integer.
func numberOr(m codec.Map, key string, absent int64) (int64, error) {
	if v, _ := m.Get(key); v == nil {
		return absent, nil
	}
	return number(m, key)
}

// lockTokens reads an array, or a list, of uuid.
func lockTokens(m codec.Map) ([]broker.Token, error) {
	v, _ := m.Get("lock-tokens")
	var tokens []broker.Token
	switch v := v.(type) {
	case []codec.UUID:
		for _, u := range v {
			tokens = append(tokens, broker.Token(u))
		}
	case []any:
		for _, e := range v {
			u, ok := e.(codec.UUID)
			if !ok {
				return nil, badArgument("lock-tokens holds %T, not a uuid", e)
			}
			tokens = append(tokens, broker.Token(u))
		}
	}
	if len(tokens) == 0 {
		return nil, badArgument("lock-tokens is %T, not an array of uuid", v)
	}
	return tokens, nil
}

// sequenceNumbers reads an array, or a list, of integers.
func sequenceNumbers(m codec.Map) ([]int64, error) {
	v, _ := m.Get("sequence-numbers")
	var numbers []int64
	switch v := v.(type) {
	case []int64:
		numbers = v
	case []any:
		for _, e := range v {
			n, ok := codec.Int64(e)
			if !ok {
				return nil, badArgument("sequence-numbers holds %T, not a long", e)
			}
			numbers = append(numbers, n)
		}
	}
	if len(numbers) == 0 {
		return nil, badArgument("sequence-numbers is %T, not an array of long", v)
	}
	return numbers, nil
}
