package handler

import (
	"strconv"
	"strings"
)

// printable replaces everything outside printable ASCII, so that nothing from a message or an answer can break a log
// line, a terminal or a property that only carries ASCII.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// clip shortens ASCII text to n bytes and shows that it did.
func clip(s string, n int) string {
	const mark = "..."
	switch {
	case len(s) <= n:
		return s
	case n <= len(mark):
		return s[:max(n, 0)]
	}
	return s[:n-len(mark)] + mark
}

// quoted shows a value from a message in an error: escaped, and short however long it was.
func quoted(s string) string { return strconv.QuoteToASCII(clip(s, 64)) }

// ids renders the correlation ids of the last answer as the tail of a description.
func (r Result) ids() string {
	var b strings.Builder
	b.WriteString("; attempts=")
	b.WriteString(strconv.Itoa(r.Attempts))
	if r.ClientRequestID != "" {
		b.WriteString(" client-request-id=" + r.ClientRequestID)
	}
	if r.RequestID != "" {
		b.WriteString(" request-id=" + clip(printable(r.RequestID), 128))
	}
	return b.String()
}
