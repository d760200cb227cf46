package filter

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// record is a message made of two maps.
type record struct {
	user   map[string]any
	system map[System]any
}

func (r record) key(name string) (string, bool) {
	for key := range r.user {
		if strings.EqualFold(key, name) {
			return key, true
		}
	}
	return name, false
}

func (r record) User(name string) (any, bool) {
	key, ok := r.key(name)
	return r.user[key], ok
}

func (r record) System(s System) any { return r.system[s] }

func (r record) SetUser(name string, value any) error {
	if name == "refused" {
		return errRefused
	}
	key, _ := r.key(name)
	r.user[key] = value
	return nil
}

func (r record) RemoveUser(name string) {
	key, _ := r.key(name)
	delete(r.user, key)
}

func (r record) SetSystem(s System, value any) error {
	r.system[s] = value
	return nil
}

var errRefused = errors.New("refused")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var parameters = map[string]any{
	"@noon": noon, "hour": time.Hour, "@text": "red", "n": int32(5), "@null": nil, "id": UUID{1}, "bytes": []byte{1, 2},
}

func message() record {
	return record{
		user: map[string]any{
			"color": "red", "quantity": int32(10), "big": uint64(math.MaxUint64), "ratio": float32(0.5), "yes": true,
			"no": false, "nothing": nil, "when": noon, "id": UUID{1}, "bytes": []byte{1, 2}, "HR-Id": "x",
			"odd]name": int64(1), `say "hi"`: int64(2), "opaque": []any{1}, "nan": math.NaN(), "like": "kept",
			"pattern": "50%", "span": 90 * time.Minute, "where": "color",
		},
		system: map[System]any{
			MessageID: "m1", Label: "error", SequenceNumber: int64(7), EnqueuedTime: noon, TimeToLive: time.Hour,
			DeliveryCount: uint32(2),
		},
	}
}

func test(t *testing.T, text string, s Subject) (truth, error) {
	t.Helper()
	f, err := ParseSQL(text, parameters)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	got, err := f.condition.test(s)
	matched, matchErr := f.Match(s)
	if matched != (err == nil && got == isTrue) || (err == nil) != (matchErr == nil) {
		t.Errorf("%s: match says %v, %v where the condition says %v, %v", text, matched, matchErr, got, err)
	}
	return got, err
}

// conditions holds one line of expressions for each truth value, over message().
var conditions = map[truth][]string{
	isTrue: {
		"1=1", "color = 'red'", "COLOR='red'", "user.Color='red'", "USER.color = 'red'", "[color] = 'red'", `"color" = 'red'`,
		"quantity = 10", "quantity = 10.0", "quantity <> 9", "quantity != 9", "quantity >= 10", "quantity <= 10", "quantity > 9", "quantity < 11",
		"ratio = 0.5", "ratio >= 0.5", "ratio <= 0.5", "ratio < 1", "1 > ratio", "big > 9223372036854775807", "quantity < 1e3", "5E-1 = ratio",
		"color < 'ree'", "color > 'Red'", "color <> 'Red'", "'It''s' = 'It''s'", "yes = TRUE", "no = false", "yes <> no",
		"when = @noon", "when + @hour > @noon", "when - @hour < @NOON", "@hour + when > when", "when - @noon < @hour", "@hour + @hour > span", "span - @hour < @hour", "-span < span",
		"id = @id", "id <> newid()", "newid() <> newid()", "bytes = @bytes", "color = @text", "quantity = @n * 2",
		"[HR-Id] = 'x'", "[odd]]name] = 1", `"say ""hi""" = 2`, "[like] = 'kept'",
		"sys.MessageId = 'm1'", "sys.label = 'error'", "SYS.Subject = 'error'", "sys.SequenceNumber = 7", "sys.EnqueuedTimeUtc = when", "sys.TimeToLive = @hour", "sys.[DeliveryCount] = 2",
		"quantity + 1 * 2 = 12", "(quantity + 1) * 2 = 22", "quantity - 1 - 1 = 8", "quantity - (1 - 1) = 10", "quantity / (4 / 2) = 5", "2 * (quantity - 1) = 18", "-(quantity - 1) = -9", "quantity / 3 = 3", "quantity % 3 = 1", "-quantity = -10", "+quantity = 10", "- -quantity = 10", "quantity / 4.0 = 2.5", "5.5 % 2 = 1.5", "ratio - 0.25 = 0.25", "ratio * 2 = 1", "ratio + ratio = 1.0", "-ratio = -0.5",
		"9223372036854775807 + 1 = -9223372036854775808", "1.0 / 0 > 1e308",
		"color + 'dish' = 'reddish'", "color + 1 = 'red1'", "1.5 + color = '1.5red'", "'' + yes + no = 'TrueFalse'", "'' + @id = '01000000-0000-0000-0000-000000000000'", "'' + @bytes = '0102'", "'' + when = '2026-03-01T12:00:00Z'", "'' + @hour = '1h0m0s'",
		"color LIKE 'r%'", "color like '_e_'", "color NOT LIKE 'b%'", "'50%' LIKE '50!%' ESCAPE '!'", "NOT '500' LIKE '50!%' ESCAPE '!'", "'50%' LIKE pattern", "'500' LIKE pattern", "'a_c' LIKE 'aéc' + '' OR 'aéc' LIKE 'a_c'", "'' LIKE '%'", "'ESCAPE' LIKE 'ESC%'",
		"color IN ('blue', 'red')", "quantity IN (1, 10.0)", "color NOT IN ('blue')", "color IN ('red', missing)", "color IN (color)",
		"missing IS NULL", "nothing IS NULL", "color IS NOT NULL", "sys.To IS NULL", "sys.Label IS NOT NULL", "property('color') IS NOT NULL", "opaque IS NOT NULL",
		"EXISTS(color)", "EXISTS ( user.color )", "EXISTS(nothing)", "EXISTS(sys.Label)", "NOT EXISTS(sys.To)", "NOT EXISTS(missing)", "EXISTS(opaque)", "exists(p('color'))",
		"property('color') = 'red'", "p('COL' + 'or') = 'red'", "P(where) = 'red'", "property([where]) = 'red'",
		"nan <> nan", "NOT nan = nan", "NOT nan < 1", "NOT nan >= nan", "NOT 1 > nan",
		"NOT color = 'blue' AND 1 = 1", "1=0 AND 1=0 OR 1=1", "1=1 OR 1=0 AND 1=0", "not not 1=1", "((((1=1))))", "(color) = ('red')",
		"1=1 OR missing = 1", "missing = 1 OR 1=1", "1=1 OR color > 5", "NOT (missing = 1 AND 1=0)",
	},
	isFalse: {
		"1=0", "ratio > 0.5", "ratio < 0.5", "quantity > 10.0", "quantity < 10.0", "quantity > 10", "color = 'Red'", "color = 'blue'", "quantity > 10", "quantity < 10", "quantity <> 10.0", "yes = no", "color NOT LIKE 'r%'", "color LIKE 'r'", "color LIKE ''", "'' LIKE '_'",
		"color NOT IN ('red', missing)", "color IN ('blue')", "color IS NULL", "nothing IS NOT NULL", "EXISTS(missing)", "NOT EXISTS(nothing)", "EXISTS(sys.To)", "nan = nan", "nan < 1", "nan > 1", "nan <= nan",
		"1=0 AND missing = 1", "missing = 1 AND 1=0", "1=0 AND color > 5", "NOT 1=1", "id = newid()", "bytes <> @bytes",
		"NOT 1=0 AND 1=0", "NOT (1=0 OR 1=1)",
	},
	isUnknown: {
		"missing = 1", "missing <> 1", "missing = missing", "NOT missing = 1", "missing + 1 = 2", "1 - missing = 2", "-missing = 1", "missing < 'a'",
		"NULL = NULL", "nothing = NULL", "nothing <> 1", "@null = 1", "sys.To = 'x'", "NOT sys.To = 'x'", "sys.To LIKE 'x'",
		"missing LIKE 'a'", "color LIKE missing", "color LIKE 'r%' ESCAPE missing", "missing NOT LIKE 'a'", "missing IN (1)", "missing NOT IN (1)", "color IN ('blue', missing)", "color NOT IN ('blue', NULL)",
		"1=1 AND missing = 1", "missing = 1 AND 1=1", "1=0 OR missing = 1", "missing = 1 OR 1=0", "missing = 1 OR nothing = 1", "property('missing') = 1",
	},
}

func TestConditionsHaveTheirTruthValue(t *testing.T) {
	t.Parallel()
	for want, texts := range conditions {
		for _, text := range texts {
			if got, err := test(t, text, message()); err != nil || got != want {
				t.Errorf("%s is %v, %v, want %v", text, got, err, want)
			}
		}
	}
}

func TestEvaluationErrorsNameThePartThatFailed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"color > 5":                   "color > 5: a string > an integer: no such operator",
		"1=0 OR color = 5":            "color = 5: a string = an integer: no such operator",
		"NOT quantity = '10'":         "quantity = '10': an integer = a string: no such operator",
		"yes < no":                    "yes < no: a boolean < a boolean: no such operator",
		"id < @id":                    "id < @id: a uuid < a uuid: no such operator",
		"bytes = 1":                   "bytes = 1: binary = an integer: no such operator",
		"when > @hour":                "when > @hour: a time > a duration: no such operator",
		"@hour = when":                "@hour = when: a duration = a time: no such operator",
		"opaque = opaque":             "opaque = opaque: a []interface {} = a []interface {}: no such operator",
		"opaque + 'a' = 'b'":          "opaque + 'a': a []interface {} + a string: no such operator",
		"1 = quantity / (10 - 10)":    "quantity / (10 - 10): an integer / an integer: division by zero",
		"quantity % 0 = 1":            "quantity % 0: an integer % an integer: division by zero",
		"-9223372036854775808/-1 = 1": "-9223372036854775808 / -1: an integer / an integer: overflow",
		"color - 'r' = 1":             "color - 'r': a string - a string: no such operator",
		"when + when = when":          "when + when: a time + a time: no such operator",
		"yes * 2 = 1":                 "yes * 2: a boolean * an integer: no such operator",
		"-color = 1":                  "-color: -a string: no such operator",
		"-(quantity % 0) = 1":         "quantity % 0: an integer % an integer: division by zero",
		"sys.Nope = 1":                "sys.Nope: there is no such system property",
		"sys.Nope IS NULL":            "sys.Nope: there is no such system property",
		"EXISTS(sys.[no pe])":         "sys.[no pe]: there is no such system property",
		"quantity LIKE '1%'":          "quantity LIKE '1%': quantity is an integer, not a string",
		"color LIKE 5":                "color LIKE 5: 5 is an integer, not a string",
		"color LIKE 'a' ESCAPE yes":   "color LIKE 'a' ESCAPE yes: yes is a boolean, not a string",
		"color LIKE 'a' ESCAPE color": "color LIKE 'a' ESCAPE color: ESCAPE is not one character",
		"color LIKE 'a' ESCAPE ''+''": "color LIKE 'a' ESCAPE '' + '': ESCAPE is not one character",
		"color LIKE 'a!' ESCAPE '!'":  "color LIKE 'a!' ESCAPE '!': the pattern ends in its escape character",
		"color LIKE -color":           "-color: -a string: no such operator",
		"color IN (1, 'red')":         "color = 1: a string = an integer: no such operator",
		"property(quantity) = 1":      "property(quantity): the name is an integer, not a string",
		"EXISTS(p(missing))":          "property(missing): the name is an unknown value, not a string",
		"EXISTS(p(-color))":           "-color: -a string: no such operator",
		"p(NULL) IS NULL":             "property(NULL): the name is null, not a string",
		"-color = -yes OR 1=1":        "-color: -a string: no such operator",
		"nan = color":                 "nan = color: a double = a string: no such operator",
	} {
		if _, err := test(t, text, message()); err == nil || err.Error() != want {
			t.Errorf("%s: error\n%v, want\n%s", text, err, want)
		}
	}
}

func TestThreeValuedTables(t *testing.T) {
	t.Parallel()
	// The tables of the documentation, row by row: false, unknown, true.
	wantAnd := [3][3]truth{{isFalse, isFalse, isFalse}, {isFalse, isUnknown, isUnknown}, {isFalse, isUnknown, isTrue}}
	wantOr := [3][3]truth{{isFalse, isUnknown, isTrue}, {isUnknown, isUnknown, isTrue}, {isTrue, isTrue, isTrue}}
	texts := [3]string{"1=0", "missing=1", "1=1"}
	for a := isFalse; a <= isTrue; a++ {
		for b := isFalse; b <= isTrue; b++ {
			if got, _ := test(t, texts[a]+" AND "+texts[b], message()); got != wantAnd[a][b] {
				t.Errorf("%v AND %v is %v", a, b, got)
			}
			if got, _ := test(t, texts[a]+" OR "+texts[b], message()); got != wantOr[a][b] {
				t.Errorf("%v OR %v is %v", a, b, got)
			}
		}
		if got, _ := test(t, "NOT "+texts[a], message()); got != isTrue-a {
			t.Errorf("NOT %v is %v", a, got)
		}
	}
}

func TestFilterRemembersWhatItWasMadeOf(t *testing.T) {
	t.Parallel()
	given := map[string]any{"@p": int32(1)}
	f, err := ParseSQL(" a  =@P", given)
	if err != nil {
		t.Fatal(err)
	}
	given["@p"] = "changed"
	if f.Expression() != " a  =@P" || !maps.Equal(f.Parameters(), map[string]any{"@p": int32(1)}) {
		t.Errorf("expression %q, parameters %v", f.Expression(), f.Parameters())
	}
	a, err := ParseAction("SET a=@p", given)
	if err != nil {
		t.Fatal(err)
	}
	if a.Expression() != "SET a=@p" || !maps.Equal(a.Parameters(), given) {
		t.Errorf("expression %q, parameters %v", a.Expression(), a.Parameters())
	}
}

func TestEverySystemNameIsReadable(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(systemNames)) {
		m := record{system: map[System]any{systemNames[name]: "x"}}
		if got, err := test(t, fmt.Sprintf("sys.%s = 'x'", strings.ToUpper(name)), m); err != nil || got != isTrue {
			t.Errorf("sys.%s: %v, %v", name, got, err)
		}
	}
}
