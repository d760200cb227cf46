package filter

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestActionsChangeTheMessage(t *testing.T) {
	t.Parallel()
	for text, change := range map[string]func(record){
		"SET color = 'blue'":                        func(r record) { r.user["color"] = "blue" },
		"set COLOR='blue';":                         func(r record) { r.user["color"] = "blue" },
		"SET fresh = 1 SET [fresh] = fresh + 1":     func(r record) { r.user["fresh"] = int64(2) },
		"SET fresh = missing":                       func(r record) { r.user["fresh"] = nil },
		"SET fresh = NULL; REMOVE color":            func(r record) { r.user["fresh"] = nil; delete(r.user, "color") },
		"REMOVE missing":                            func(record) {},
		"REMOVE user.Color REMOVE p('yes')":         func(r record) { delete(r.user, "color"); delete(r.user, "yes") },
		"SET p('colo' + 'r') = color + 'dish'":      func(r record) { r.user["color"] = "reddish" },
		"SET color = 5":                             func(r record) { r.user["color"] = "5" },
		"SET color = NULL":                          func(r record) { r.user["color"] = nil },
		"SET quantity = quantity / 3":               func(r record) { r.user["quantity"] = int64(3) },
		"SET quantity = 4.0":                        func(r record) { r.user["quantity"] = int64(4) },
		"SET quantity = 4.5":                        func(r record) { r.user["quantity"] = 4.5 },
		"SET quantity = 1e300":                      func(r record) { r.user["quantity"] = 1e300 },
		"SET quantity = '12'":                       func(r record) { r.user["quantity"] = int64(12) },
		"SET quantity = 'many'":                     func(r record) { r.user["quantity"] = "many" },
		"SET ratio = 2":                             func(r record) { r.user["ratio"] = 2.0 },
		"SET ratio = 9223372036854775807":           func(r record) { r.user["ratio"] = int64(math.MaxInt64) },
		"SET ratio = '0.25'":                        func(r record) { r.user["ratio"] = 0.25 },
		"SET ratio = 'x'":                           func(r record) { r.user["ratio"] = "x" },
		"SET yes = 'FALSE'":                         func(r record) { r.user["yes"] = false },
		"SET no = 'true'":                           func(r record) { r.user["no"] = true },
		"SET yes = 1":                               func(r record) { r.user["yes"] = int64(1) },
		"SET when = '2026-03-01T13:00:00Z'":         func(r record) { r.user["when"] = noon.Add(time.Hour) },
		"SET when = 'later'":                        func(r record) { r.user["when"] = "later" },
		"SET id = 1":                                func(r record) { r.user["id"] = int64(1) },
		"SET nothing = 1":                           func(r record) { r.user["nothing"] = int64(1) },
		"SET sys.Label = color":                     func(r record) { r.system[Label] = "red" },
		"SET sys.To = 5; SET sys.CorrelationId=yes": func(r record) { r.system[To] = "5"; r.system[CorrelationID] = "True" },
		"SET sys.TimeToLive = @hour + @hour":        func(r record) { r.system[TimeToLive] = 2 * time.Hour },
		"SET sys.ScheduledEnqueueTimeUtc = @noon":   func(r record) { r.system[ScheduledEnqueueTime] = noon },
		"REMOVE sys.Label":                          func(r record) { r.system[Label] = nil },
		"SET sys.Label = missing":                   func(r record) { r.system[Label] = nil },
		"SET [set] = 1 REMOVE [REMOVE]":             func(r record) { r.user["set"] = int64(1) },
	} {
		a, err := ParseAction(text, parameters)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, want := message(), message()
		delete(got.user, "nan") // equal to nothing
		delete(want.user, "nan")
		change(want)
		if err := a.Apply(got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want.user, got.user); diff != "" {
			t.Errorf("%s: user properties differ (-want +got):\n%s", text, diff)
		}
		if diff := cmp.Diff(want.system, got.system); diff != "" {
			t.Errorf("%s: system properties differ (-want +got):\n%s", text, diff)
		}
	}
}

func TestActionsThatCannotBeDoneSayWhy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"SET a = color - 1":             "sql action: SET a = color - 1: color - 1: a string - an integer: no such operator",
		"SET sys.Nope = 1":              "sql action: SET sys.Nope = 1: there is no system property Nope",
		"REMOVE sys.Nope":               "sql action: REMOVE sys.Nope: there is no system property Nope",
		"SET a = sys.Nope":              "sql action: SET a = sys.Nope: sys.Nope: there is no such system property",
		"SET sys.SequenceNumber = 1":    "sql action: SET sys.SequenceNumber = 1: sys.SequenceNumber cannot be changed",
		"REMOVE sys.EnqueuedTimeUtc":    "sql action: REMOVE sys.EnqueuedTimeUtc: sys.EnqueuedTimeUtc cannot be changed",
		"SET sys.TimeToLive = 'long'":   "sql action: SET sys.TimeToLive = 'long': sys.TimeToLive is a duration, not a string",
		"SET p(quantity) = 1":           "sql action: SET property(quantity) = 1: property(quantity): the name is an integer, not a string",
		"SET sys.To = opaque":           "sql action: SET sys.To = opaque: sys.To is a string, not a []interface {}",
		"SET refused = 1; REMOVE color": "sql action: SET refused = 1: refused",
	} {
		a, err := ParseAction(text, parameters)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		m := message()
		if err := a.Apply(m); err == nil || err.Error() != want {
			t.Errorf("%s: error\n%v, want\n%s", text, err, want)
		}
		if m.user["color"] != "red" {
			t.Errorf("%s: went on after its error", text)
		}
	}
}
