package filter

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// node is what a text is parsed into. It prints as a text that parses into the same tree.
type node interface {
	fmt.Stringer
	rank() int // how tightly it binds: the constants below
}

const (
	rankOr = iota
	rankAnd
	rankNot
	rankComparison
	rankSum
	rankProduct
	rankSign
	rankPrimary
)

// within prints n in parentheses where it binds less tightly than its surroundings.
func within(n node, rank int) string {
	if n.rank() < rank {
		return "(" + n.String() + ")"
	}
	return n.String()
}

// expression has a value; nil and unknown are two of them.
type expression interface {
	node
	eval(Subject) (any, error)
}

// reference is an expression that names a property.
type reference interface {
	expression
	exists(Subject) (bool, error)
}

type constant struct{ value any }

func (c constant) eval(Subject) (any, error) { return c.value, nil }

func (c constant) rank() int {
	if strings.HasPrefix(c.String(), "-") {
		return rankSign
	}
	return rankPrimary
}

// String spells nil, a string, an int64, a float64 or a bool: what a text can hold.
func (c constant) String() string {
	switch v := c.value.(type) {
	case nil:
		return "NULL"
	case string:
		return quote(v, '\'')
	case float64:
		s := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s
	}
	return strings.ToUpper(fmt.Sprint(c.value))
}

type parameter struct {
	name  string // with its @
	value any
}

func (p parameter) eval(Subject) (any, error) { return p.value, nil }
func (p parameter) rank() int                 { return rankPrimary }
func (p parameter) String() string            { return p.name }

type userProperty struct{ name string }

func (u userProperty) eval(s Subject) (any, error) {
	v, ok := s.User(u.name)
	if !ok {
		return unknown{}, nil
	}
	return widen(v), nil
}

func (u userProperty) exists(s Subject) (bool, error) {
	_, ok := s.User(u.name)
	return ok, nil
}

func (u userProperty) rank() int      { return rankPrimary }
func (u userProperty) String() string { return identifier(u.name) }

// identifier prints a name, in brackets unless it is a regular identifier.
func identifier(name string) string {
	regular := !token{kind: nameToken, text: name}.keyword()
	for i, r := range name {
		letter := unicode.IsLetter(r)
		regular = regular && (letter || i > 0 && (r == '_' || unicode.IsDigit(r)))
	}
	if regular {
		return name
	}
	return "[" + strings.ReplaceAll(name, "]", "]]") + "]"
}

type systemProperty struct {
	name   string
	system System // 0: there is no such property, which only evaluation complains about
}

func (p systemProperty) eval(s Subject) (any, error) {
	if p.system == 0 {
		return nil, fmt.Errorf("%s: there is no such system property", p)
	}
	return widen(s.System(p.system)), nil
}

func (p systemProperty) exists(s Subject) (bool, error) {
	v, err := p.eval(s)
	return v != nil, err
}

func (p systemProperty) rank() int      { return rankPrimary }
func (p systemProperty) String() string { return "sys." + identifier(p.name) }

// computedProperty is the user property whose name an expression gives.
type computedProperty struct{ name expression }

func (c computedProperty) resolve(s Subject) (userProperty, error) {
	v, err := c.name.eval(s)
	if err != nil {
		return userProperty{}, err
	}
	name, ok := v.(string)
	if !ok {
		return userProperty{}, fmt.Errorf("%s: the name is %s, not a string", c, kind(v))
	}
	return userProperty{name}, nil
}

func (c computedProperty) eval(s Subject) (any, error) {
	p, err := c.resolve(s)
	if err != nil {
		return nil, err
	}
	return p.eval(s)
}

func (c computedProperty) exists(s Subject) (bool, error) {
	p, err := c.resolve(s)
	if err != nil {
		return false, err
	}
	return p.exists(s)
}

func (c computedProperty) rank() int      { return rankPrimary }
func (c computedProperty) String() string { return "property(" + c.name.String() + ")" }

// newID is another version 4 UUID each time.
type newID struct{}

func (newID) eval(Subject) (any, error) {
	var u UUID
	rand.Read(u[:]) // never fails since Go 1.24
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u, nil
}

func (newID) rank() int      { return rankPrimary }
func (newID) String() string { return "newid()" }

type binary struct {
	op          string
	left, right expression
}

func (b binary) eval(s Subject) (any, error) {
	x, y, err := evalBoth(b.left, b.right, s)
	if err != nil {
		return nil, err
	}
	if absent(x) || absent(y) {
		return unknown{}, nil
	}
	v, err := arithmetic(b.op, x, y)
	if err != nil {
		return nil, operatorError(b, b.op, x, y, err)
	}
	return v, nil
}

func evalBoth(left, right expression, s Subject) (x, y any, err error) {
	if x, err = left.eval(s); err != nil {
		return nil, nil, err
	}
	y, err = right.eval(s)
	return x, y, err
}

func operatorError(n node, op string, x, y any, err error) error {
	return fmt.Errorf("%s: %s %s %s: %w", n, kind(x), op, kind(y), err)
}

func (b binary) rank() int {
	if b.op == "+" || b.op == "-" {
		return rankSum
	}
	return rankProduct
}

func (b binary) String() string {
	// The right side needs more: operators associate to the left.
	return within(b.left, b.rank()) + " " + b.op + " " + within(b.right, b.rank()+1)
}

type signed struct {
	op      string
	operand expression
}

func (n signed) eval(s Subject) (any, error) {
	v, err := n.operand.eval(s)
	if err != nil || absent(v) {
		return unknown{}, err
	}
	result, err := sign(n.op, v)
	if err != nil {
		return nil, fmt.Errorf("%s: %s%s: %w", n, n.op, kind(v), err)
	}
	return result, nil
}

func (n signed) rank() int      { return rankSign }
func (n signed) String() string { return n.op + within(n.operand, rankSign) }

// known says whether v is of a type this package computes with.
func known(v any) bool {
	switch v.(type) {
	case nil, string, int64, float64, bool, time.Time, time.Duration, UUID, []byte:
		return true
	}
	return false
}
