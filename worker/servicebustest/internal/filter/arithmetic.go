package filter

import (
	"math"
	"time"
)

// arithmetic applies one of + - * / % to two values that are there.
func arithmetic(op string, a, b any) (any, error) {
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return integerArithmetic(op, x, y)
		}
	}
	if x, y, ok := floats(a, b); ok {
		return floatArithmetic(op, x, y), nil
	}
	_, aText := a.(string)
	_, bText := b.(string)
	if op == "+" && (aText || bText) {
		return join(a, b)
	}
	return timeArithmetic(op, a, b)
}

// integerArithmetic wraps around like C# outside a checked context; only a division can fail.
func integerArithmetic(op string, x, y int64) (any, error) {
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	}
	switch {
	case y == 0:
		return nil, errDivideByZero
	case x == math.MinInt64 && y == -1:
		return nil, errOverflow
	case op == "/":
		return x / y, nil
	}
	return x % y, nil
}

func floatArithmetic(op string, x, y float64) float64 {
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "/":
		return x / y
	}
	return math.Mod(x, y)
}

func join(a, b any) (any, error) {
	x, aOK := text(a)
	y, bOK := text(b)
	if !aOK || !bOK {
		return nil, errNoOperator
	}
	return x + y, nil
}

func timeArithmetic(op string, a, b any) (any, error) {
	at, aTime := a.(time.Time)
	bt, bTime := b.(time.Time)
	ad, aDuration := a.(time.Duration)
	bd, bDuration := b.(time.Duration)
	switch {
	case op == "-" && aTime && bTime:
		return at.Sub(bt), nil
	case op == "+" && aTime && bDuration:
		return at.Add(bd), nil
	case op == "+" && aDuration && bTime:
		return bt.Add(ad), nil
	case op == "-" && aTime && bDuration:
		return at.Add(-bd), nil
	case op == "+" && aDuration && bDuration:
		return ad + bd, nil
	case op == "-" && aDuration && bDuration:
		return ad - bd, nil
	}
	return nil, errNoOperator
}

// sign applies a unary + or - to a value that is there.
func sign(op string, v any) (any, error) {
	factor := int64(1)
	if op == "-" {
		factor = -1
	}
	switch v := v.(type) {
	case int64:
		return factor * v, nil
	case float64:
		return float64(factor) * v, nil
	case time.Duration:
		return time.Duration(factor) * v, nil
	}
	return nil, errNoOperator
}
