package filter

import (
	"errors"
	"unicode/utf8"
)

var (
	errEscape        = errors.New("ESCAPE is not one character")
	errEscapeNothing = errors.New("the pattern ends in its escape character")
)

// wildcard is one element of a pattern: a literal character, exactly one of any, or any number of any.
type wildcard struct {
	kind byte // 0, '_' or '%'
	char rune
}

// compilePattern reads a LIKE pattern; escape is "" for none.
func compilePattern(pattern, escape string) ([]wildcard, error) {
	escapeChar := rune(-1)
	if escape != "" {
		var size int
		if escapeChar, size = utf8.DecodeRuneInString(escape); size != len(escape) {
			return nil, errEscape
		}
	}
	compiled := make([]wildcard, 0, len(pattern))
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			compiled, escaped = append(compiled, wildcard{char: r}), false
		case r == escapeChar:
			escaped = true
		case r == '_', r == '%':
			compiled = append(compiled, wildcard{kind: byte(r)})
		default:
			compiled = append(compiled, wildcard{char: r})
		}
	}
	if escaped {
		return nil, errEscapeNothing
	}
	return compiled, nil
}

// like matches all of s. On a mismatch only the last % takes one character more: an earlier one could not help, so
// the work is at most the product of both lengths.
func like(s string, pattern []wildcard) bool {
	at, lastAny, retry := 0, -1, 0
	chars := []rune(s)
	for i := 0; i < len(chars); {
		switch {
		case at < len(pattern) && pattern[at].kind == '%':
			lastAny, retry = at, i
			at++
		case at < len(pattern) && (pattern[at].kind == '_' || pattern[at].kind == 0 && pattern[at].char == chars[i]):
			at++
			i++
		case lastAny >= 0:
			retry++
			at, i = lastAny+1, retry
		default:
			return false
		}
	}
	for at < len(pattern) && pattern[at].kind == '%' {
		at++
	}
	return at == len(pattern)
}
