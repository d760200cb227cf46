package filter

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText is the longest text of a filter or an action, in characters (Service Bus: quota).
const MaxText = 1024

// SyntaxError is what is wrong with a text, said to whoever wrote it.
type SyntaxError struct {
	At  int // character, counted from 1
	Msg string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("character %d: %s", e.At, e.Msg) }

type tokenKind uint8

const (
	endToken     tokenKind = iota
	nameToken              // regular identifier or keyword
	quotedToken            // [name] or "name"
	textToken              // 'text'
	integerToken           // digits
	decimalToken           // digits with a point or an exponent
	paramToken             // @name
	symbolToken            // operator or punctuation
)

type token struct {
	kind  tokenKind
	text  string // the name, the text without quotes, or what was written
	at    int    // SyntaxError.At
	value any    // of a number
}

// is says whether the token is a keyword or symbol. Keywords compare without case.
func (t token) is(word string) bool {
	return t.kind == symbolToken && t.text == word || t.kind == nameToken && strings.EqualFold(t.text, word)
}

// keywords cannot be regular identifiers.
var keywords = []string{"AND", "OR", "NOT", "LIKE", "ESCAPE", "IN", "IS", "NULL", "EXISTS", "TRUE", "FALSE"}

func (t token) keyword() bool {
	for _, k := range keywords {
		if t.is(k) {
			return true
		}
	}
	return false
}

// String says what was found, in an error.
func (t token) String() string {
	switch t.kind {
	case endToken:
		return "the end"
	case textToken:
		return "text " + quote(t.text, '\'')
	case quotedToken:
		return "[" + t.text + "]"
	}
	return strconv.Quote(t.text)
}

// quote doubles the quotes inside a text.
func quote(s string, with byte) string {
	q := string(with)
	return q + strings.ReplaceAll(s, q, q+q) + q
}

// tokenize cuts a text into tokens, the last of which is the end.
func tokenize(s string) ([]token, error) {
	if !utf8.ValidString(s) {
		return nil, &SyntaxError{1, "the text is not UTF-8"}
	}
	l := lexer{chars: []rune(s)}
	if len(l.chars) > MaxText {
		return nil, &SyntaxError{MaxText + 1, fmt.Sprintf("the text has %d characters, the limit is %d", len(l.chars), MaxText)}
	}
	var tokens []token
	for {
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		if t.kind == endToken {
			return tokens, nil
		}
	}
}

type lexer struct {
	chars []rune
	i     int
}

// peek returns the character n places ahead, 0 behind the end.
func (l *lexer) peek(n int) rune {
	if l.i+n < len(l.chars) {
		return l.chars[l.i+n]
	}
	return 0
}

func (l *lexer) next() (token, error) {
	for unicode.IsSpace(l.peek(0)) {
		l.i++
	}
	start, r := l.i, l.peek(0)
	t := token{at: start + 1}
	var err error
	switch {
	case start == len(l.chars):
		return t, nil
	case unicode.IsLetter(r):
		t.kind, t.text = nameToken, l.identifier()
	case r == '@':
		l.i++
		if t.kind, t.text = paramToken, "@"+l.identifier(); t.text == "@" {
			err = &SyntaxError{t.at, "expected the name of a parameter behind @"}
		}
	case isDigit(r):
		err = l.number(&t)
	case r == '\'':
		t.kind = textToken
		t.text, err = l.quoted('\'')
	case r == '[':
		t.kind = quotedToken
		t.text, err = l.quoted(']')
	case r == '"':
		t.kind = quotedToken
		t.text, err = l.quoted('"')
	default:
		t.kind = symbolToken
		t.text, err = l.symbol()
	}
	if err == nil && t.kind == quotedToken && t.text == "" {
		err = &SyntaxError{t.at, "a property needs a name"}
	}
	return t, err
}

// identifier reads letters, digits and underscores; the caller has looked at the first one.
func (l *lexer) identifier() string {
	start := l.i
	for r := l.peek(0); r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r); r = l.peek(0) {
		l.i++
	}
	return string(l.chars[start:l.i])
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func (l *lexer) digits() {
	for isDigit(l.peek(0)) {
		l.i++
	}
}

// number reads an integer or a decimal. An exponent counts only with its digits: 1e is a 1 before a name.
func (l *lexer) number(t *token) error {
	start := l.i
	t.kind = integerToken
	l.digits()
	if l.peek(0) == '.' && isDigit(l.peek(1)) {
		t.kind = decimalToken
		l.i++
		l.digits()
	}
	signed := 0
	if l.peek(1) == '+' || l.peek(1) == '-' {
		signed = 1
	}
	if (l.peek(0) == 'e' || l.peek(0) == 'E') && isDigit(l.peek(1+signed)) {
		t.kind = decimalToken
		l.i += 1 + signed
		l.digits()
	}
	t.text = string(l.chars[start:l.i])
	var err error
	if t.kind == decimalToken {
		t.value, err = strconv.ParseFloat(t.text, 64)
	} else {
		// Unsigned, because the smallest integer has its sign in front.
		t.value, err = strconv.ParseUint(t.text, 10, 64)
	}
	if err != nil {
		return &SyntaxError{t.at, "number " + t.text + " is out of range"}
	}
	return nil
}

// quoted reads up to the closing character, which stands for itself when doubled.
func (l *lexer) quoted(closing rune) (string, error) {
	start := l.i
	l.i++
	var b strings.Builder
	for l.i < len(l.chars) {
		r := l.chars[l.i]
		l.i++
		if r != closing {
			b.WriteRune(r)
			continue
		}
		if l.peek(0) != closing {
			return b.String(), nil
		}
		b.WriteRune(r)
		l.i++
	}
	return "", &SyntaxError{start + 1, fmt.Sprintf("expected a closing %c before the end", closing)}
}

func (l *lexer) symbol() (string, error) {
	two := string([]rune{l.peek(0), l.peek(1)})
	switch two {
	case "<>", "!=", ">=", "<=":
		l.i += 2
		return two, nil
	}
	r := l.peek(0)
	if !strings.ContainsRune("=<>+-*/%(),.;", r) {
		msg := fmt.Sprintf("unexpected %q", r)
		if r == '_' {
			msg += ": a name that does not start with a letter goes in brackets, [_name]"
		}
		return "", &SyntaxError{l.i + 1, msg}
	}
	l.i++
	return string(r), nil
}
