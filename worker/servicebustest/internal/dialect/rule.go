package dialect

import (
	"fmt"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/filter"
	"batchterminator/worker/servicebustest/internal/transport"
)

// Filter lets a filter decide about the broker's messages. The constants are the broker's own.
type Filter struct{ Of filter.Filter }

// Match implements broker.Filter.
func (f Filter) Match(m *broker.Message) (bool, error) { return f.Of.Match(newSubject(*m)) }

// Action lets an action change the broker's messages.
type Action struct{ Of *filter.Action }

// Apply implements broker.Action.
func (a Action) Apply(m broker.Message) (broker.Message, error) {
	editor := newEditor(m)
	if err := a.Of.Apply(editor); err != nil {
		return broker.Message{}, err
	}
	return editor.message(), nil
}

// SQLFilter reads a condition. What is wrong with its text is an ArgumentError.
func SQLFilter(text string, parameters map[string]any) (broker.Filter, error) {
	f, err := filter.ParseSQL(text, parameters)
	if err != nil {
		return nil, badRule("%v", err)
	}
	return Filter{f}, nil
}

// SQLAction reads an action. What is wrong with its text is an ArgumentError.
func SQLAction(text string, parameters map[string]any) (broker.Action, error) {
	a, err := filter.ParseAction(text, parameters)
	if err != nil {
		return nil, badRule("%v", err)
	}
	return Action{a}, nil
}

func badRule(format string, args ...any) error {
	return &transport.Error{Condition: ArgumentError, Description: fmt.Sprintf(format, args...)}
}

// Descriptors of rules in replies (Service Bus). Those of filters have a digit less than the others.
const (
	ruleDescription   uint64 = 0x13700000004
	emptyAction       uint64 = 0x13700000005
	sqlAction         uint64 = 0x13700000006
	sqlFilter         uint64 = 0x1370000006
	trueFilter        uint64 = 0x1370000007
	falseFilter       uint64 = 0x1370000008
	correlationFilter uint64 = 0x1370000009
)

// compatibilityLevel of SQL texts: the only one there is.
const compatibilityLevel int32 = 20

// EncodeRule describes a rule to a client. The JavaScript SDK insists on a described action, whatever it is.
func EncodeRule(r broker.Rule) (codec.Described, error) {
	described, err := encodeFilter(r.Filter)
	if err != nil {
		return codec.Described{}, fmt.Errorf("encode rule %s: %w", r.Name, err)
	}
	action := codec.Described{Descriptor: emptyAction, Value: []any{}}
	if r.Action != nil {
		a, ok := r.Action.(Action)
		if !ok {
			return codec.Described{}, fmt.Errorf("encode rule %s: action of type %T: %w", r.Name, r.Action, broker.ErrNotImplemented)
		}
		action = codec.Described{Descriptor: sqlAction, Value: []any{a.Of.Expression(), compatibilityLevel}}
	}
	return codec.Described{Descriptor: ruleDescription, Value: []any{described, action, r.Name, r.CreatedAt}}, nil
}

func encodeFilter(f broker.Filter) (codec.Described, error) {
	switch f := f.(type) {
	case broker.TrueFilter:
		return codec.Described{Descriptor: trueFilter, Value: []any{}}, nil
	case broker.FalseFilter:
		return codec.Described{Descriptor: falseFilter, Value: []any{}}, nil
	case Filter:
		switch of := f.Of.(type) {
		case *filter.SQL:
			return codec.Described{Descriptor: sqlFilter, Value: []any{of.Expression(), compatibilityLevel}}, nil
		case *filter.Correlation:
			return codec.Described{Descriptor: correlationFilter, Value: encodeCorrelation(of)}, nil
		}
	}
	return codec.Described{}, fmt.Errorf("filter of type %T: %w", f, broker.ErrNotImplemented)
}

func encodeCorrelation(f *filter.Correlation) []any {
	texts := []*string{
		f.CorrelationID, f.MessageID, f.To, f.ReplyTo, f.Label, f.SessionID, f.ReplyToSessionID, f.ContentType,
	}
	list := make([]any, 0, len(texts)+1)
	for _, text := range texts {
		if text == nil {
			list = append(list, nil)
			continue
		}
		list = append(list, *text)
	}
	properties := make(codec.Map, len(f.Properties))
	for i, p := range f.Properties {
		properties[i] = codec.Pair{Key: p.Name, Value: wireValue(p.Value)}
	}
	return append(list, properties)
}

// DecodeRule reads the description of a rule that a client wants added. Service Bus: without a filter it is true.
func DecodeRule(name string, m codec.Map) (broker.Rule, error) {
	r := broker.Rule{Name: name}
	var err error
	if r.Filter, err = decodeFilter(m); err != nil {
		return r, err
	}
	v, _ := m.Get("sql-rule-action")
	if v == nil {
		return r, nil
	}
	text, err := expression("sql-rule-action", v)
	if err != nil || text == "" {
		return r, err
	}
	r.Action, err = SQLAction(text, nil)
	return r, err
}

func decodeFilter(m codec.Map) (broker.Filter, error) {
	condition, _ := m.Get("sql-filter")
	correlation, _ := m.Get("correlation-filter")
	switch {
	case condition != nil && correlation != nil:
		return nil, badRule("a rule has one filter, not sql-filter and correlation-filter")
	case correlation != nil:
		return decodeCorrelation(correlation)
	case condition == nil:
		return broker.TrueFilter{}, nil
	}
	text, err := expression("sql-filter", condition)
	if err != nil {
		return nil, err
	}
	return SQLFilter(text, nil)
}

// expression is the text inside {"expression": text}.
func expression(what string, v any) (string, error) {
	m, ok := v.(codec.Map)
	if !ok {
		return "", badRule("%s is %T, not a map", what, v)
	}
	text, _ := m.Get("expression")
	s, ok := text.(string)
	if !ok {
		return "", badRule("expression of %s is %T, not a string", what, text)
	}
	return s, nil
}

func decodeCorrelation(v any) (broker.Filter, error) {
	m, ok := v.(codec.Map)
	if !ok {
		return nil, badRule("correlation-filter is %T, not a map", v)
	}
	f := &filter.Correlation{}
	for _, field := range []struct {
		key string
		to  **string
	}{
		{"correlation-id", &f.CorrelationID}, {"message-id", &f.MessageID}, {"to", &f.To}, {"reply-to", &f.ReplyTo},
		{"label", &f.Label}, {"session-id", &f.SessionID}, {"reply-to-session-id", &f.ReplyToSessionID},
		{"content-type", &f.ContentType},
	} {
		v, _ := m.Get(field.key)
		if v == nil {
			continue
		}
		text, ok := codec.Text(v)
		if !ok {
			return nil, badRule("%s of correlation-filter is %T, not a string", field.key, v)
		}
		*field.to = &text
	}
	if v, _ := m.Get("properties"); v != nil {
		properties, ok := v.(codec.Map)
		if !ok {
			return nil, badRule("properties of correlation-filter is %T, not a map", v)
		}
		for _, p := range properties {
			if name, ok := codec.Text(p.Key); ok {
				f.Properties = append(f.Properties, filter.Property{Name: name, Value: filterValue(p.Value)})
			}
		}
	}
	return Filter{f}, nil
}
