package filter

import (
	"fmt"
	"strings"
)

// predicate is true, false or unknown.
type predicate interface {
	node
	test(Subject) (truth, error)
}

type and struct{ left, right predicate }

func (a and) test(s Subject) (truth, error) {
	left, err := a.left.test(s)
	if err != nil || left == isFalse {
		return left, err
	}
	right, err := a.right.test(s)
	return left.and(right), err
}

func (a and) rank() int { return rankAnd }

func (a and) String() string {
	return within(a.left, rankAnd) + " AND " + within(a.right, rankNot)
}

type or struct{ left, right predicate }

func (o or) test(s Subject) (truth, error) {
	left, err := o.left.test(s)
	if err != nil || left == isTrue {
		return left, err
	}
	right, err := o.right.test(s)
	return left.or(right), err
}

func (o or) rank() int { return rankOr }

func (o or) String() string {
	return within(o.left, rankOr) + " OR " + within(o.right, rankAnd)
}

type not struct{ operand predicate }

func (n not) test(s Subject) (truth, error) {
	t, err := n.operand.test(s)
	return t.not(), err
}

func (n not) rank() int      { return rankNot }
func (n not) String() string { return "NOT " + within(n.operand, rankNot) }

// negated is what LIKE, IN and IS NULL share: each has a NOT of its own.
type negated bool

func (n negated) apply(t truth) truth {
	if n {
		return t.not()
	}
	return t
}

func (n negated) String() string {
	if n {
		return "NOT "
	}
	return ""
}

type comparison struct {
	op          string
	left, right expression
}

func (c comparison) test(s Subject) (truth, error) {
	x, y, err := evalBoth(c.left, c.right, s)
	if err != nil || absent(x) || absent(y) {
		return isUnknown, err
	}
	t, ok := compare(c.op, x, y)
	if !ok {
		return isUnknown, operatorError(c, c.op, x, y, errNoOperator)
	}
	return truthOf(t), nil
}

// compare applies a comparison operator; ok is false where C# has none for the two types.
func compare(op string, x, y any) (result, ok bool) {
	switch op {
	case "=":
		return equal(x, y)
	case "<>", "!=":
		eq, ok := equal(x, y)
		return !eq, ok
	}
	// Floats by themselves, because every ordering of a NaN is false.
	if a, b, ok := floats(x, y); ok {
		return op[0] == '<' && a < b || op[0] == '>' && a > b || len(op) == 2 && a == b, true
	}
	sign, ok := order(x, y)
	return op[0] == '<' && sign < 0 || op[0] == '>' && sign > 0 || len(op) == 2 && sign == 0, ok
}

func (c comparison) rank() int { return rankComparison }

func (c comparison) String() string {
	return c.left.String() + " " + c.op + " " + c.right.String()
}

type likePredicate struct {
	negated
	left, pattern, escape expression // escape is nil for none
}

func (l likePredicate) test(s Subject) (truth, error) {
	operands := [...]expression{l.left, l.pattern, l.escape}
	var texts [len(operands)]string
	unknown := false
	for i, e := range operands {
		if e == nil {
			break
		}
		v, err := e.eval(s)
		if err != nil {
			return isUnknown, err
		}
		var ok bool
		if texts[i], ok = v.(string); !ok && !absent(v) {
			return isUnknown, fmt.Errorf("%s: %s is %s, not a string", l, e, kind(v))
		}
		unknown = unknown || !ok
	}
	if unknown {
		return isUnknown, nil
	}
	if l.escape != nil && texts[2] == "" {
		return isUnknown, fmt.Errorf("%s: %w", l, errEscape)
	}
	pattern, err := compilePattern(texts[1], texts[2])
	if err != nil {
		return isUnknown, fmt.Errorf("%s: %w", l, err)
	}
	return l.apply(truthOf(like(texts[0], pattern))), nil
}

func (l likePredicate) rank() int { return rankComparison }

func (l likePredicate) String() string {
	s := l.left.String() + " " + l.negated.String() + "LIKE " + l.pattern.String()
	if l.escape != nil {
		s += " ESCAPE " + l.escape.String()
	}
	return s
}

type inPredicate struct {
	negated
	left expression
	list []expression
}

// test is the OR of the equalities (SQL-92): an unknown element keeps the answer from being false, not from being true.
func (n inPredicate) test(s Subject) (truth, error) {
	result := isFalse
	for _, e := range n.list {
		t, err := comparison{"=", n.left, e}.test(s)
		if err != nil {
			return isUnknown, err
		}
		if result = result.or(t); result == isTrue {
			break
		}
	}
	return n.apply(result), nil
}

func (n inPredicate) rank() int { return rankComparison }

func (n inPredicate) String() string {
	items := make([]string, len(n.list))
	for i, e := range n.list {
		items[i] = e.String()
	}
	return n.left.String() + " " + n.negated.String() + "IN (" + strings.Join(items, ", ") + ")"
}

type isNull struct {
	negated
	property reference
}

func (n isNull) test(s Subject) (truth, error) {
	v, err := n.property.eval(s)
	return n.apply(truthOf(absent(v))), err
}

func (n isNull) rank() int      { return rankComparison }
func (n isNull) String() string { return n.property.String() + " IS " + n.negated.String() + "NULL" }

type exists struct{ property reference }

func (e exists) test(s Subject) (truth, error) {
	ok, err := e.property.exists(s)
	return truthOf(ok), err
}

func (e exists) rank() int      { return rankPrimary }
func (e exists) String() string { return "EXISTS (" + e.property.String() + ")" }
