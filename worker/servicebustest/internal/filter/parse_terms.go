package filter

import (
	"fmt"
	"strings"
)

// comparison reads what makes a predicate out of expressions.
func (p *parser) comparison() (operand, error) {
	o, err := p.sum()
	if err != nil || o.pred != nil {
		return o, err
	}
	switch {
	case p.accept("IS"):
		o.pred, err = p.isNull(o)
	case p.accept("NOT"):
		switch {
		case p.accept("LIKE"):
			o.pred, err = p.like(o.expr, true)
		case p.accept("IN"):
			o.pred, err = p.in(o.expr, true)
		default:
			return o, p.unexpected("LIKE or IN")
		}
	case p.accept("LIKE"):
		o.pred, err = p.like(o.expr, false)
	case p.accept("IN"):
		o.pred, err = p.in(o.expr, false)
	default:
		op := p.acceptAny([]string{"=", "<>", "!=", ">=", "<=", ">", "<"})
		if op == "" {
			return o, nil
		}
		right, err := p.side()
		return operand{pred: comparison{op, o.expr, right}, at: o.at}, err
	}
	o.expr = nil
	return o, err
}

// side reads an operand that must be an expression.
func (p *parser) side() (expression, error) {
	o, err := p.sum()
	if err != nil {
		return nil, err
	}
	return o.expression()
}

func (p *parser) isNull(o operand) (predicate, error) {
	property, ok := o.expr.(reference)
	if !ok {
		return nil, &SyntaxError{o.at, fmt.Sprintf("expected a property before IS, found %s", o.expr)}
	}
	not := p.accept("NOT")
	return isNull{negated(not), property}, p.expect("NULL")
}

func (p *parser) like(left expression, not bool) (predicate, error) {
	pattern, err := p.side()
	if err != nil {
		return nil, err
	}
	l := likePredicate{negated: negated(not), left: left, pattern: pattern}
	if p.accept("ESCAPE") {
		at := p.peek().at
		if l.escape, err = p.side(); err != nil {
			return nil, err
		}
		if c, ok := l.escape.(constant); ok {
			if s, ok := c.value.(string); !ok || len([]rune(s)) != 1 {
				return nil, &SyntaxError{at, fmt.Sprintf("expected one character to escape with, found %s", c)}
			}
		}
	}
	return l, nil
}

func (p *parser) in(left expression, not bool) (predicate, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	n := inPredicate{negated: negated(not), left: left}
	for {
		e, err := p.side()
		if err != nil {
			return nil, err
		}
		n.list = append(n.list, e)
		if p.accept(",") {
			continue
		}
		if !p.accept(")") {
			return nil, p.unexpected(", or )")
		}
		return n, nil
	}
}

// primary reads what binds tightest.
func (p *parser) primary() (operand, error) {
	t := p.peek()
	o := operand{at: t.at}
	var err error
	switch {
	case t.kind == textToken:
		p.next()
		o.expr = constant{t.text}
	case t.kind == integerToken, t.kind == decimalToken:
		p.next()
		o.expr, err = number(t, false)
	case t.kind == paramToken:
		p.next()
		value, ok := p.parameters[strings.ToLower(t.text)]
		if !ok {
			return o, &SyntaxError{t.at, "parameter " + t.text + " has no value"}
		}
		o.expr = parameter{t.text, value}
	case p.accept("("):
		if o, err = p.or(); err == nil {
			err = p.expect(")")
		}
		o.at = t.at
	case p.accept("EXISTS"):
		o.pred, err = p.exists()
	case p.accept("TRUE"):
		o.expr = constant{true}
	case p.accept("FALSE"):
		o.expr = constant{false}
	case p.accept("NULL"):
		o.expr = constant{nil}
	case t.kind == quotedToken, t.kind == nameToken && !t.keyword():
		o.expr, err = p.nameOrCall()
	default:
		err = p.unexpected("a property, a constant or (")
	}
	return o, err
}

func (p *parser) exists() (predicate, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	property, err := p.reference()
	if err != nil {
		return nil, err
	}
	return exists{property}, p.expect(")")
}

// reference reads a property.
func (p *parser) reference() (reference, error) {
	t := p.peek()
	if t.kind == quotedToken || t.kind == nameToken && !t.keyword() {
		e, err := p.nameOrCall()
		if err != nil {
			return nil, err
		}
		if property, ok := e.(reference); ok {
			return property, nil
		}
	}
	return nil, &SyntaxError{t.at, fmt.Sprintf("expected a property, found %s", t)}
}

// nameOrCall reads a property or a function; the next token is a name.
func (p *parser) nameOrCall() (expression, error) {
	t := p.next()
	if t.kind == nameToken && p.peek().is("(") {
		return p.call(t)
	}
	if !p.accept(".") {
		return userProperty{t.text}, nil
	}
	name := p.peek()
	if name.kind != quotedToken && (name.kind != nameToken || name.keyword()) {
		return nil, p.unexpected("the name of a property behind the scope")
	}
	p.next()
	switch strings.ToLower(t.text) {
	case "sys":
		return systemProperty{name.text, systemNamed(name.text)}, nil
	case "user":
		return userProperty{name.text}, nil
	}
	return nil, &SyntaxError{t.at, fmt.Sprintf("expected the scope sys or user, found %s", t)}
}

func (p *parser) call(function token) (expression, error) {
	p.next() // the parenthesis
	switch strings.ToLower(function.text) {
	case "newid":
		return newID{}, p.expect(")")
	case "property", "p":
		name, err := p.expression()
		if err != nil {
			return nil, err
		}
		return computedProperty{name}, p.expect(")")
	}
	return nil, &SyntaxError{function.at, fmt.Sprintf("expected the function newid, property or p, found %s", function)}
}
