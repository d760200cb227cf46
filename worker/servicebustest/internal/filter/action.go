package filter

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// maxStatements is Service Bus's quota of expressions in an action.
const maxStatements = 32

// Action is a list of statements that change a message.
type Action struct {
	text       string
	parameters map[string]any
	statements []statement
}

// statement sets a property, or removes it where value is nil.
type statement struct {
	target reference
	value  expression
}

// ParseAction reads the statements of an action. Parameters are named with or without their @.
func ParseAction(text string, parameters map[string]any) (*Action, error) {
	p, err := newParser(text, parameters)
	if err != nil {
		return nil, fmt.Errorf("sql action: %w", err)
	}
	a := &Action{text: text, parameters: maps.Clone(parameters)}
	for len(a.statements) == 0 || p.peek().kind != endToken {
		if len(a.statements) == maxStatements {
			return nil, fmt.Errorf("sql action: %w", &SyntaxError{p.peek().at, fmt.Sprintf("more than %d statements", maxStatements)})
		}
		s, err := p.statement()
		if err != nil {
			return nil, fmt.Errorf("sql action: %w", err)
		}
		a.statements = append(a.statements, s)
		p.accept(";")
	}
	return a, nil
}

func (p *parser) statement() (statement, error) {
	switch {
	case p.accept("SET"):
		target, err := p.reference()
		if err == nil {
			err = p.expect("=")
		}
		if err != nil {
			return statement{}, err
		}
		value, err := p.side()
		return statement{target, value}, err
	case p.accept("REMOVE"):
		target, err := p.reference()
		return statement{target: target}, err
	}
	return statement{}, p.unexpected("SET or REMOVE")
}

// Expression is the text as it was written.
func (a *Action) Expression() string { return a.text }

// Parameters are the parameters as they were given.
func (a *Action) Parameters() map[string]any { return maps.Clone(a.parameters) }

// Apply performs the statements in order; each sees what those before it did. On an error the message is half changed:
// apply to a copy.
func (a *Action) Apply(e Editor) error {
	for _, s := range a.statements {
		if err := s.apply(e); err != nil {
			return fmt.Errorf("sql action: %s: %w", s, err)
		}
	}
	return nil
}

func (s statement) String() string {
	if s.value == nil {
		return "REMOVE " + s.target.String()
	}
	return "SET " + s.target.String() + " = " + s.value.String()
}

func (s statement) apply(e Editor) error {
	var value any
	if s.value != nil {
		v, err := s.value.eval(e)
		if err != nil {
			return err
		}
		if !absent(v) { // what is unknown can only be stored as null
			value = v
		}
	}
	target := s.target
	if c, ok := target.(computedProperty); ok {
		resolved, err := c.resolve(e)
		if err != nil {
			return err
		}
		target = resolved
	}
	if p, ok := target.(systemProperty); ok {
		return p.set(e, value)
	}
	name := target.(userProperty).name
	if s.value == nil {
		e.RemoveUser(name)
		return nil
	}
	if old, ok := e.User(name); ok {
		value = convert(value, widen(old))
	}
	return e.SetUser(name, value)
}

// set changes a system property; removing it is setting it to null.
func (p systemProperty) set(e Editor, value any) error {
	switch {
	case p.system == 0:
		return fmt.Errorf("there is no system property %s", p.name)
	case !p.system.writable():
		return fmt.Errorf("%s cannot be changed", p)
	case value == nil:
		return e.SetSystem(p.system, nil)
	}
	var like any = ""
	switch p.system {
	case TimeToLive:
		like = time.Duration(0)
	case ScheduledEnqueueTime:
		like = time.Time{}
	}
	converted := convert(value, like)
	if kind(converted) != kind(like) {
		return fmt.Errorf("%s is %s, not %s", p, kind(like), kind(value))
	}
	return e.SetSystem(p.system, converted)
}

// convert brings v to the type of old where that loses nothing (Service Bus: SET converts implicitly if possible), and
// leaves it alone where it would.
func convert(v, old any) any {
	if v == nil || old == nil || kind(v) == kind(old) {
		return v
	}
	s, isText := v.(string)
	switch old.(type) {
	case string:
		if s, ok := text(v); ok {
			return s
		}
	case int64:
		if f, ok := v.(float64); ok && f == float64(int64(f)) && f < 1<<63 && f >= -1<<63 {
			return int64(f)
		}
		if n, err := strconv.ParseInt(s, 10, 64); isText && err == nil {
			return n
		}
	case float64:
		if n, ok := v.(int64); ok && int64(float64(n)) == n && n != 1<<63-1 {
			return float64(n)
		}
		if f, err := strconv.ParseFloat(s, 64); isText && err == nil {
			return f
		}
	case bool:
		switch {
		case strings.EqualFold(s, "true"):
			return true
		case strings.EqualFold(s, "false"):
			return false
		}
	case time.Time:
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
			return t
		}
	}
	return v
}
