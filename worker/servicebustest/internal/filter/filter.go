package filter

import (
	"fmt"
	"maps"
)

// Filter says which messages pass. It is a *[SQL] or a *[Correlation].
type Filter interface {
	// Match says whether the message passes. With an error it does not.
	Match(Subject) (bool, error)
}

// SQL is a condition in the language of the package comment.
type SQL struct {
	text       string
	parameters map[string]any
	condition  predicate
}

// ParseSQL reads a condition. Parameters are named with or without their @. An error about the text is, or wraps, a
// [SyntaxError].
func ParseSQL(text string, parameters map[string]any) (*SQL, error) {
	p, err := newParser(text, parameters)
	if err != nil {
		return nil, fmt.Errorf("sql filter: %w", err)
	}
	condition, err := p.predicate()
	if err == nil && p.peek().kind != endToken {
		err = p.unexpected("AND, OR or the end")
	}
	if err != nil {
		return nil, fmt.Errorf("sql filter: %w", err)
	}
	return &SQL{text: text, parameters: maps.Clone(parameters), condition: condition}, nil
}

// Expression is the text as it was written.
func (f *SQL) Expression() string { return f.text }

// Parameters are the parameters as they were given.
func (f *SQL) Parameters() map[string]any { return maps.Clone(f.parameters) }

// Match implements Filter.
func (f *SQL) Match(s Subject) (bool, error) {
	t, err := f.condition.test(s)
	if err != nil {
		return false, fmt.Errorf("sql filter: %w", err)
	}
	return t == isTrue, nil
}
