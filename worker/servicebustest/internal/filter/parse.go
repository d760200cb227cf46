package filter

import (
	"fmt"
	"math"
	"strings"
)

// maxDepth bounds how deep parentheses, NOT and signs nest.
const maxDepth = 64

// parser is a recursive descent over tokens. Each method reads one level of binding.
type parser struct {
	tokens     []token
	i          int
	depth      int
	parameters map[string]any // by lower-case name with its @
}

// operand is either an expression or a predicate: parentheses do not say which until they are closed.
type operand struct {
	expr expression
	pred predicate
	at   int
}

func newParser(text string, parameters map[string]any) (*parser, error) {
	tokens, err := tokenize(text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, parameters: make(map[string]any, len(parameters))}
	for name, value := range parameters {
		value = widen(value)
		if !known(value) {
			return nil, fmt.Errorf("parameter %s is %s, which filters cannot use", name, kind(value))
		}
		p.parameters["@"+strings.ToLower(strings.TrimPrefix(name, "@"))] = value
	}
	return p, nil
}

func (p *parser) peek() token { return p.tokens[p.i] }

// next consumes a token; the end stays.
func (p *parser) next() token {
	t := p.tokens[p.i]
	if t.kind != endToken {
		p.i++
	}
	return t
}

// accept consumes the keyword or symbol, if it is next.
func (p *parser) accept(word string) bool {
	if !p.peek().is(word) {
		return false
	}
	p.i++
	return true
}

func (p *parser) expect(word string) error {
	if !p.accept(word) {
		return p.unexpected(word)
	}
	return nil
}

// unexpected complains about the next token.
func (p *parser) unexpected(want string) error {
	t := p.peek()
	return &SyntaxError{t.at, fmt.Sprintf("expected %s, found %s", want, t)}
}

func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return &SyntaxError{p.peek().at, fmt.Sprintf("nested more than %d levels deep", maxDepth)}
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// predicate reads a whole condition.
func (p *parser) predicate() (predicate, error) {
	o, err := p.or()
	if err != nil {
		return nil, err
	}
	return o.predicate()
}

func (o operand) predicate() (predicate, error) {
	if o.pred == nil {
		return nil, &SyntaxError{o.at, fmt.Sprintf("expected a condition, found the value %s", o.expr)}
	}
	return o.pred, nil
}

// expression reads a value, as if it stood in parentheses.
func (p *parser) expression() (expression, error) {
	o, err := p.or()
	if err != nil {
		return nil, err
	}
	return o.expression()
}

func (o operand) expression() (expression, error) {
	if o.expr == nil {
		return nil, &SyntaxError{o.at, fmt.Sprintf("expected a value, found the condition %s", o.pred)}
	}
	return o.expr, nil
}

func (p *parser) or() (operand, error) {
	if err := p.enter(); err != nil {
		return operand{}, err
	}
	defer p.leave()
	return p.logical("OR", p.and, func(left, right predicate) predicate { return or{left, right} })
}

func (p *parser) and() (operand, error) {
	return p.logical("AND", p.not, func(left, right predicate) predicate { return and{left, right} })
}

func (p *parser) logical(word string, side func() (operand, error), join func(left, right predicate) predicate) (operand, error) {
	o, err := side()
	if err != nil {
		return o, err
	}
	for p.accept(word) {
		left, err := o.predicate()
		if err != nil {
			return o, err
		}
		next, err := side()
		if err != nil {
			return o, err
		}
		right, err := next.predicate()
		if err != nil {
			return o, err
		}
		o.pred = join(left, right)
	}
	return o, nil
}

func (p *parser) not() (operand, error) {
	at := p.peek().at
	if !p.accept("NOT") {
		return p.comparison()
	}
	if err := p.enter(); err != nil {
		return operand{}, err
	}
	defer p.leave()
	o, err := p.not()
	if err != nil {
		return o, err
	}
	inner, err := o.predicate()
	return operand{pred: not{inner}, at: at}, err
}

func (p *parser) sum() (operand, error)     { return p.arithmetic(p.product, "+", "-") }
func (p *parser) product() (operand, error) { return p.arithmetic(p.signed, "*", "/", "%") }

func (p *parser) arithmetic(side func() (operand, error), ops ...string) (operand, error) {
	o, err := side()
	if err != nil {
		return o, err
	}
	for {
		op := p.acceptAny(ops)
		if op == "" {
			return o, nil
		}
		left, err := o.expression()
		if err != nil {
			return o, err
		}
		next, err := side()
		if err != nil {
			return o, err
		}
		right, err := next.expression()
		if err != nil {
			return o, err
		}
		o.expr = binary{op, left, right}
	}
}

// acceptAny consumes one of the symbols, "" if none is next.
func (p *parser) acceptAny(ops []string) string {
	for _, op := range ops {
		if p.accept(op) {
			return op
		}
	}
	return ""
}

func (p *parser) signed() (operand, error) {
	at := p.peek().at
	op := p.acceptAny([]string{"+", "-"})
	if op == "" {
		return p.primary()
	}
	// A minus in front of digits belongs to the number, or the smallest integer could not be written. Not so in front of
	// the integer 0, which keeps no sign: what is printed would lose it.
	if n := p.peek(); op == "-" && (n.kind == integerToken && n.value != uint64(0) || n.kind == decimalToken) {
		p.next()
		c, err := number(n, true)
		return operand{expr: c, at: at}, err
	}
	if err := p.enter(); err != nil {
		return operand{}, err
	}
	defer p.leave()
	o, err := p.signed()
	if err != nil {
		return o, err
	}
	inner, err := o.expression()
	return operand{expr: signed{op, inner}, at: at}, err
}

func number(t token, negative bool) (constant, error) {
	switch v := t.value.(type) {
	case float64:
		if negative {
			v = -v
		}
		return constant{v}, nil
	case uint64:
		switch {
		case negative && v <= -math.MinInt64:
			return constant{int64(-v)}, nil
		case !negative && v <= math.MaxInt64:
			return constant{int64(v)}, nil
		}
	}
	return constant{}, &SyntaxError{t.at, "number " + t.text + " is out of range"}
}
