package filter

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSyntaxErrorsSayWhereAndWhatWasExpected(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "character 1: expected a property, a constant or (, found the end",
		"  ":                        "character 3: expected a property, a constant or (, found the end",
		"color":                     "character 1: expected a condition, found the value color",
		"1=1 AND color":             "character 9: expected a condition, found the value color",
		"color OR 1=1":              "character 1: expected a condition, found the value color",
		"NOT color":                 "character 5: expected a condition, found the value color",
		"TRUE":                      "character 1: expected a condition, found the value TRUE",
		"a = ":                      "character 5: expected a property, a constant or (, found the end",
		"a = b = c":                 `character 7: expected AND, OR or the end, found "="`,
		"a = 1 b = 2":               `character 7: expected AND, OR or the end, found "b"`,
		"a == 1":                    `character 4: expected a property, a constant or (, found "="`,
		"a = 1 & b = 2":             "character 7: unexpected '&'",
		"a = 1)":                    `character 6: expected AND, OR or the end, found ")"`,
		"(a = 1":                    "character 7: expected ), found the end",
		"(1 = 1) = 2":               `character 9: expected AND, OR or the end, found "="`,
		"2 = (1 = 1)":               "character 5: expected a value, found the condition 1 = 1",
		"1 + (1 = 1) = 2":           "character 5: expected a value, found the condition 1 = 1",
		"(1 = 1) + 1 = 2":           "character 1: expected a value, found the condition 1 = 1",
		"-(1 = 1) = 2":              "character 2: expected a value, found the condition 1 = 1",
		"p(1 = 1) = 2":              "character 3: expected a value, found the condition 1 = 1",
		"a = 'open":                 "character 5: expected a closing ' before the end",
		"[open = 1":                 "character 1: expected a closing ] before the end",
		`"open]] = 1`:               `character 1: expected a closing " before the end`,
		"[] = 1":                    "character 1: a property needs a name",
		"_a = 1":                    "character 1: unexpected '_': a name that does not start with a letter goes in brackets, [_name]",
		"foo.bar = 1":               `character 1: expected the scope sys or user, found "foo"`,
		"sys. = 1":                  `character 6: expected the name of a property behind the scope, found "="`,
		"sys.like = 1":              `character 5: expected the name of a property behind the scope, found "like"`,
		"and = 1":                   `character 1: expected a property, a constant or (, found "and"`,
		"f(1) = 1":                  `character 1: expected the function newid, property or p, found "f"`,
		"newid(1) = id":             `character 7: expected ), found "1"`,
		"p('a' = 1":                 "character 3: expected a value, found the condition 'a' = 1",
		"p(":                        "character 3: expected a property, a constant or (, found the end",
		"p('a' 1":                   `character 7: expected ), found "1"`,
		"a IS 1":                    `character 6: expected NULL, found "1"`,
		"1 IS NULL":                 "character 1: expected a property before IS, found 1",
		"a NOT 1":                   `character 7: expected LIKE or IN, found "1"`,
		"a LIKE":                    "character 7: expected a property, a constant or (, found the end",
		"a LIKE 'x' ESCAPE 'ab'":    "character 19: expected one character to escape with, found 'ab'",
		"a LIKE 'x' ESCAPE 1":       "character 19: expected one character to escape with, found 1",
		"a LIKE 'x' ESCAPE":         "character 18: expected a property, a constant or (, found the end",
		"a IN 1":                    `character 6: expected (, found "1"`,
		"a IN ()":                   `character 7: expected a property, a constant or (, found ")"`,
		"a IN (1 2)":                `character 9: expected , or ), found "2"`,
		"a IN ('it' [b])":           "character 12: expected , or ), found [b]",
		"a IN (1, 'x' 'y''z')":      "character 14: expected , or ), found text 'y''z'",
		"EXISTS a":                  `character 8: expected (, found "a"`,
		"EXISTS(1)":                 `character 8: expected a property, found "1"`,
		"EXISTS(newid())":           `character 8: expected a property, found "newid"`,
		"EXISTS(foo.bar)":           `character 8: expected the scope sys or user, found "foo"`,
		"EXISTS(a":                  "character 9: expected ), found the end",
		"a = @nope":                 "character 5: parameter @nope has no value",
		"a = @ 1":                   "character 5: expected the name of a parameter behind @",
		"a = 9223372036854775808":   "character 5: number 9223372036854775808 is out of range",
		"a = -9223372036854775809":  "character 6: number 9223372036854775809 is out of range",
		"a = 99999999999999999999":  "character 5: number 99999999999999999999 is out of range",
		"a = 1e999":                 "character 5: number 1e999 is out of range",
		"a = 1.5.5":                 `character 8: expected AND, OR or the end, found "."`,
		"a = .5":                    `character 5: expected a property, a constant or (, found "."`,
		"a = 1e":                    `character 6: expected AND, OR or the end, found "e"`,
		"a = \xff":                  "character 1: the text is not UTF-8",
		"é = ü ! 1":                 "character 7: unexpected '!'",
		strings.Repeat("(", 1024):   "character 65: nested more than 64 levels deep",
		strings.Repeat("NOT ", 200): "character 257: nested more than 64 levels deep",
		strings.Repeat("-", 1024):   "character 65: nested more than 64 levels deep",
		strings.Repeat(" ", 1025):   "character 1025: the text has 1025 characters, the limit is 1024",
	} {
		_, err := ParseSQL(text, parameters)
		if at := new(SyntaxError); !errors.As(err, &at) || err.Error() != "sql filter: "+want {
			t.Errorf("%.40q: error\n%v, want\n%s", text, err, want)
		}
	}
}

func TestActionSyntaxErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                              "character 1: expected SET or REMOVE, found the end",
		";":                             `character 1: expected SET or REMOVE, found ";"`,
		"SET":                           "character 4: expected a property, found the end",
		"SET 1 = 1":                     `character 5: expected a property, found "1"`,
		"SET a 1":                       `character 7: expected =, found "1"`,
		"SET a = 1 = 1":                 `character 11: expected SET or REMOVE, found "="`,
		"SET a = (1 = 1)":               "character 9: expected a value, found the condition 1 = 1",
		"SET a = 1;; SET b = 1":         `character 11: expected SET or REMOVE, found ";"`,
		"REMOVE a, b":                   `character 9: expected SET or REMOVE, found ","`,
		"REMOVE newid()":                `character 8: expected a property, found "newid"`,
		"DROP a":                        `character 1: expected SET or REMOVE, found "DROP"`,
		"SET a = 'x":                    "character 9: expected a closing ' before the end",
		strings.Repeat("REMOVE a;", 33): "character 289: more than 32 statements",
	} {
		_, err := ParseAction(text, parameters)
		if at := new(SyntaxError); !errors.As(err, &at) || err.Error() != "sql action: "+want {
			t.Errorf("%.40q: error\n%v, want\n%s", text, err, want)
		}
	}
	if _, err := ParseAction(strings.Repeat("REMOVE a;", 32), nil); err != nil {
		t.Errorf("32 statements: %v", err)
	}
}

func TestParametersOfAnUnusableTypeAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := ParseSQL("a = @p", map[string]any{"p": []any{}}); err == nil || err.Error() != "sql filter: parameter p is a []interface {}, which filters cannot use" {
		t.Errorf("error is %v", err)
	}
}

func TestLongestAndDeepestTextsAreAccepted(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		strings.Repeat("(", 63) + "1=1" + strings.Repeat(")", 63),
		strings.Repeat("NOT ", 62) + "1=1",
		"a=1" + strings.Repeat("+1", 510) + "1",
		"世=1" + strings.Repeat(" ", 1021),
	} {
		if _, err := ParseSQL(text, nil); err != nil {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// reprint parses a condition and prints it twice, the second time from the first print.
func reprint(t interface{ Fatalf(string, ...any) }, text string) (once, twice string, first, second *SQL) {
	first, err := ParseSQL(text, parameters)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	once = first.condition.String()
	second, err = ParseSQL(once, parameters)
	if err != nil {
		t.Fatalf("%s printed as %s: %v", text, once, err)
	}
	return once, second.condition.String(), first, second
}

func TestPrintedConditionsMeanTheSame(t *testing.T) {
	t.Parallel()
	for want, texts := range conditions {
		for _, text := range texts {
			once, twice, _, again := reprint(t, text)
			got, err := again.condition.test(message())
			if once != twice || err != nil || got != want {
				t.Errorf("%s prints as %s, then %s, which is %v, %v", text, once, twice, got, err)
			}
		}
	}
}

func TestPrintingNeedsNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"((a_1) = (((1))))":                       "a_1 = 1",
		"[a_1]=2.0 and not([b c]>-3)":             "a_1 = 2.0 AND NOT [b c] > -3",
		"(a=1 or b=1) and (c=1 and d=1)":          "(a = 1 OR b = 1) AND (c = 1 AND d = 1)",
		"(a=1 and b=1) or c=1":                    "a = 1 AND b = 1 OR c = 1",
		"not (a=1 and b=1)":                       "NOT (a = 1 AND b = 1)",
		"(a+b)*c-(d-e)-f%g = (a*b)+c":             "(a + b) * c - (d - e) - f % g = a * b + c",
		"-(a+1) = +b":                             "-(a + 1) = +b",
		"a not like 'x''y' escape '!'":            "a NOT LIKE 'x''y' ESCAPE '!'",
		"a in(1,NULL,true)or a not in('')":        "a IN (1, NULL, TRUE) OR a NOT IN ('')",
		"user.a is null and SYS.[To] is not NULL": "a IS NULL AND sys.To IS NOT NULL",
		`exists("a""]") or p('x') = newid()`:      `EXISTS ([a"]]]) OR property('x') = newid()`,
		"[not] = @N and [1a] = 1e21":              "[not] = @N AND [1a] = 1e+21",
	} {
		once, _, _, _ := reprint(t, text)
		if once != want {
			t.Errorf("%s prints as\n%s, want\n%s", text, once, want)
		}
	}
}

// randomCondition draws the text of a condition, sparing with parentheses so that binding matters.
func randomCondition(depth int) *rapid.Generator[string] {
	leaf := rapid.SampledFrom([]string{
		"1=1", "1=0", "missing=1", "color='red'", "nothing IS NULL", "EXISTS(color)", "color NOT LIKE 'r%'",
		"quantity IN (1, 10)", "quantity - 1 - 2 * -3 > 4", "color IN ('blue', missing)", "color > 5", "1 / 0 = 1",
	})
	if depth == 0 {
		return leaf
	}
	inner := rapid.Deferred(func() *rapid.Generator[string] { return randomCondition(depth - 1) })
	return rapid.OneOf(leaf, rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			return "(" + inner.Draw(t, "inner") + ")"
		case 1:
			return "NOT " + inner.Draw(t, "inner")
		case 2:
			return inner.Draw(t, "left") + " AND " + inner.Draw(t, "right")
		}
		return inner.Draw(t, "left") + " OR " + inner.Draw(t, "right")
	}))
}

// outcome is the truth value, or that there was an error.
func outcome(t *rapid.T, text string) (truth, bool) {
	f, err := ParseSQL(text, parameters)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	got, err := f.condition.test(message())
	return got, err != nil
}

func TestLawsOfThreeValuedLogic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := "(" + randomCondition(2).Draw(t, "a") + ")"
		b := "(" + randomCondition(2).Draw(t, "b") + ")"
		for left, right := range map[string]string{
			"NOT NOT " + a:                      a,
			"NOT (" + a + " AND " + b + ")":     "NOT " + a + " OR NOT " + b,
			"NOT (" + a + " OR " + b + ")":      "NOT " + a + " AND NOT " + b,
			a + " AND " + a:                     a,
			a + " OR " + a:                      a,
			a + " AND (" + a + " OR " + b + ")": a + " AND (" + a + " OR " + a + " AND " + b + ")",
		} {
			l, lFailed := outcome(t, left)
			r, rFailed := outcome(t, right)
			if lFailed != rFailed || !lFailed && l != r {
				t.Fatalf("%s is %v (failed %v), %s is %v (failed %v)", left, l, lFailed, right, r, rFailed)
			}
		}
		x, xFailed := outcome(t, a+" AND "+b)
		y, yFailed := outcome(t, b+" AND "+a)
		if !xFailed && !yFailed && x != y {
			t.Fatalf("%s AND %s depends on the order", a, b)
		}
	})
}

func TestPrintingIsStableAndKeepsTheMeaning(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := randomCondition(3).Draw(t, "text")
		once, twice, first, second := reprint(t, text)
		a, errA := first.condition.test(message())
		b, errB := second.condition.test(message())
		if once != twice || a != b || (errA == nil) != (errB == nil) {
			t.Fatalf("%s prints as %s, then %s: %v, %v and %v, %v", text, once, twice, a, errA, b, errB)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, texts := range conditions {
		for _, text := range texts {
			f.Add(text)
		}
	}
	for _, text := range []string{"SET a = 1; REMOVE [b]", "SET sys.Label = p('x') + @text SET b=-1e9", "a IN (", "'", "--1=1", "a < 1----0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := ParseAction(text, parameters); err == nil {
			_ = a.Apply(message()) // may fail, must not panic
		}
		parsed, err := ParseSQL(text, parameters)
		if err != nil {
			return
		}
		_, _ = parsed.Match(message()) // likewise
		printed := parsed.condition.String()
		if len(printed) > MaxText {
			return // printing adds spaces
		}
		again, err := ParseSQL(printed, parameters)
		if err != nil {
			t.Fatalf("%q prints as %q: %v", text, printed, err)
		}
		if twice := again.condition.String(); twice != printed {
			t.Fatalf("%q prints as %q, then as %q", text, printed, twice)
		}
	})
}
