package atom

import (
	"bytes"
	"slices"
	"strings"
)

// writer builds a response. Its elements are never read back here, so it does no more than clients need.
type writer struct{ buf bytes.Buffer }

// Only these are escaped: clients match texts with quotes in the raw response.
var (
	escapeText      = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")
	escapeAttribute = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;", "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")
)

// open writes a start tag; attributes come as name, value, name, value.
func (w *writer) open(name string, attributes ...string) {
	w.buf.WriteString("<" + name)
	for pair := range slices.Chunk(attributes, 2) {
		w.buf.WriteString(" " + attribute(pair[0], pair[1]))
	}
	w.buf.WriteString(">")
}

func attribute(name, value string) string {
	return name + `="` + escapeAttribute.Replace(legal(value)) + `"`
}

// legal replaces what XML cannot hold at all. Clients of other protocols may have put it into a rule.
func legal(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r', r >= ' ' && r < 0xFFFE, r > 0xFFFF:
			return r
		}
		return '\uFFFD'
	}, s)
}

func (w *writer) close(name string) { w.buf.WriteString("</" + name + ">") }

// element writes a whole element with text.
func (w *writer) element(name, text string, attributes ...string) {
	w.open(name, attributes...)
	w.buf.WriteString(escapeText.Replace(legal(text)))
	w.close(name)
}
