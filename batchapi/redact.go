package batchapi

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const redacted = "REDACTED"

var secrets = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	// AuthenticationErrorDetail repeats the string the service signed, to the
	// end of the text and over many lines.
	{regexp.MustCompile(`(?is)(string[- ]to[- ]?sign).*`), "${1} " + redacted},
	{regexp.MustCompile(`(?i)\b(bearer|sharedkey(?:lite)?)\s+[^\s'",;]+`), "${1} " + redacted},
	// A JSON Web Token without its scheme.
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`), redacted},
	// A base64 HMAC-SHA256, the form of account keys' signatures.
	{regexp.MustCompile(`[A-Za-z0-9+/]{43}=`), redacted},
	{regexp.MustCompile(`(?i)\b(client_secret|client_assertion|access_token|refresh_token)(["']?\s*[=:]\s*["']?)[^\s&"']+`), "${1}${2}" + redacted},
}

// redact takes out what would let a reader of logs or of the dead-letter queue
// act as this worker.
func redact(s string) string {
	for _, secret := range secrets {
		s = secret.pattern.ReplaceAllString(s, secret.replacement)
	}
	return s
}

// oneLine escapes what could break a log line, a header or a terminal: control
// and format characters, line separators, and bytes that are no UTF-8.
func oneLine(s string) string {
	clean := true
	for _, r := range s {
		clean = clean && r != utf8.RuneError && unicode.IsPrint(r)
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i, width := 0, 0; i < len(s); i += width {
		var r rune
		r, width = utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && width == 1 {
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i])|0x100, 16)[1:])
			continue
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
