package filter

import "testing"

func TestCorrelationFilterWantsEveryValue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		filter Correlation
		want   bool
	}{
		"nothing":            {Correlation{}, true},
		"label":              {Correlation{Label: new("error")}, true},
		"label, other case":  {Correlation{Label: new("Error")}, false},
		"label and id":       {Correlation{Label: new("error"), MessageID: new("m1")}, true},
		"label and wrong id": {Correlation{Label: new("error"), MessageID: new("m2")}, false},
		"missing":            {Correlation{To: new("x")}, false},
		"missing as empty":   {Correlation{To: new("")}, false},
		"property":           {Correlation{Properties: []Property{{"COLOR", "red"}}}, true},
		"number, wider":      {Correlation{Properties: []Property{{"quantity", int64(10)}}}, true},
		"number, as float":   {Correlation{Properties: []Property{{"quantity", 10.0}}}, true},
		"number, as text":    {Correlation{Properties: []Property{{"quantity", "10"}}}, false},
		"missing property":   {Correlation{Properties: []Property{{"missing", nil}}}, false},
		"two properties":     {Correlation{Properties: []Property{{"color", "red"}, {"yes", true}}}, true},
		"one of two":         {Correlation{Properties: []Property{{"color", "red"}, {"yes", false}}}, false},
	} {
		got, err := test.filter.Match(message())
		if err != nil || got != test.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, s := range []System{MessageID, CorrelationID, To, ReplyTo, Label, SessionID, ReplyToSessionID, ContentType} {
		all := Correlation{
			MessageID: new("v"), CorrelationID: new("v"), To: new("v"), ReplyTo: new("v"), Label: new("v"),
			SessionID: new("v"), ReplyToSessionID: new("v"), ContentType: new("v"),
		}
		m := record{system: map[System]any{
			MessageID: "v", CorrelationID: "v", To: "v", ReplyTo: "v", Label: "v", SessionID: "v", ReplyToSessionID: "v", ContentType: "v",
		}}
		if ok, _ := all.Match(m); !ok {
			t.Fatal("a message with every value does not match")
		}
		m.system[s] = "w"
		if ok, _ := all.Match(m); ok {
			t.Errorf("a message matches whose system property %d differs", s)
		}
	}
}
