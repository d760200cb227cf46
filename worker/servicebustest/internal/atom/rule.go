package atom

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
)

// DefaultRuleName is the rule that a subscription is born with.
const DefaultRuleName = "$Default"

var ruleKind = kind[Rule]{
	name: "Rule", element: "RuleDescription", fields: ruleFields, denied: operation("Rule"),
	defaults: func() Rule { return Rule{Filter: TrueFilter{}, Action: EmptyAction{}} },
}

func ruleFields(e *Entity[Rule]) []field {
	rule := &e.Description
	return []field{
		{
			name:  "Filter",
			read:  func(n *node) (err error) { rule.Filter, err = readFilter(n); return err },
			write: func(w *writer) { writeFilter(w, rule.Filter) },
		},
		{
			name:  "Action",
			read:  func(n *node) (err error) { rule.Action, err = readAction(n); return err },
			write: func(w *writer) { writeAction(w, rule.Action) },
		},
		toldTime("CreatedAt", e.Runtime.CreatedAt),
		told("Name", e.Name),
	}
}

// ruleName is the name inside a description, which counts where the URL has none.
func ruleName(n *node) string {
	if name := n.child(connectNamespace, "Name"); name != nil {
		return strings.TrimSpace(string(name.text))
	}
	return ""
}

func readFilter(n *node) (Filter, error) {
	kind, known, err := n.knownType()
	if err != nil || !known {
		return opaque(n, err)
	}
	switch kind {
	case "TrueFilter":
		return TrueFilter{}, nil
	case "FalseFilter":
		return FalseFilter{}, nil
	case "SqlFilter":
		var f SQLFilter
		err := readFields(n, f.fields())
		return f, err
	case "CorrelationFilter":
		var f CorrelationFilter
		err := readFields(n, f.fields())
		return f, err
	}
	return opaque(n, nil)
}

func readAction(n *node) (Action, error) {
	kind, known, err := n.knownType()
	if err != nil || !known {
		return opaque(n, err)
	}
	switch kind {
	case "EmptyRuleAction":
		return EmptyAction{}, nil
	case "SqlRuleAction":
		var a SQLAction
		err := readFields(n, a.fields())
		return a, err
	}
	return opaque(n, nil)
}

// knownType is the i:type of a filter or action, and whether it is a type of the service's own namespace.
func (n *node) knownType() (local string, known bool, err error) {
	value := n.instanceType()
	if value == "" {
		return "", false, errors.New("i:type is missing")
	}
	name, err := n.qualified(value)
	if err != nil {
		return "", false, err
	}
	// The Go client writes the type without a prefix, whatever the default namespace is.
	return name.Local, name.Space == connectNamespace || name.Space == "", nil
}

func writeFilter(w *writer, f Filter) {
	const name = "Filter"
	switch f := f.(type) {
	case TrueFilter:
		writeTyped(w, name, "TrueFilter", (&SQL{Expression: "1=1"}).fields())
	case FalseFilter:
		writeTyped(w, name, "FalseFilter", (&SQL{Expression: "1=0"}).fields())
	case SQLFilter:
		writeTyped(w, name, "SqlFilter", f.fields())
	case CorrelationFilter:
		writeTyped(w, name, "CorrelationFilter", f.fields())
	case Opaque:
		f.write(w, name)
	}
}

// writeAction always writes one: clients look inside without looking whether it is there.
func writeAction(w *writer, a Action) {
	const name = "Action"
	switch a := a.(type) {
	case SQLAction:
		writeTyped(w, name, "SqlRuleAction", a.fields())
	case Opaque:
		a.write(w, name)
	default:
		writeTyped(w, name, "EmptyRuleAction", nil)
	}
}

func writeTyped(w *writer, name, kind string, fields []field) {
	w.open(name, "i:type", kind)
	writeFields(w, fields)
	w.close(name)
}

func (s *SQL) fields() []field {
	return []field{
		{
			name:  "SqlExpression",
			read:  func(n *node) error { s.Expression = string(n.text); return nil },
			write: func(w *writer) { w.element("SqlExpression", s.Expression) },
		},
		told("CompatibilityLevel", "20"), // the only one there ever was
		parameters("Parameters", &s.Parameters),
	}
}

func (c *CorrelationFilter) fields() []field {
	return []field{
		property("CorrelationId", &c.CorrelationID),
		property("MessageId", &c.MessageID),
		property("To", &c.To),
		property("ReplyTo", &c.ReplyTo),
		property("Label", &c.Label),
		property("SessionId", &c.SessionID),
		property("ReplyToSessionId", &c.ReplyToSessionID),
		property("ContentType", &c.ContentType),
		parameters("Properties", &c.Properties),
	}
}

// property is a condition: there with an empty text it asks for an empty property, so absence has to stay absence.
func property(name string, v **string) field {
	return field{
		name: name,
		read: func(n *node) error {
			text := string(n.text)
			*v = &text
			return nil
		},
		write: func(w *writer) {
			if *v != nil {
				w.element(name, **v)
			}
		},
	}
}

// opaque keeps what is not understood. The content may use any prefix that is declared around it, so the declarations
// that it seems to need come along, and no others: the Go client mangles those that it finds on the element.
func opaque(n *node, err error) (Opaque, error) {
	if err != nil {
		return Opaque{}, err
	}
	o := Opaque{Type: n.instanceType(), content: string(bytes.TrimSpace(n.inner))}
	var tag strings.Builder
	for _, d := range n.scope() {
		switch {
		case d.Name.Local == "" && d.Value == connectNamespace, d.Name.Local == "i" && d.Value == instanceNamespace:
			// in force in the response as well
		case d.Name.Local == "" || d.Name.Local == "i":
			return Opaque{}, fmt.Errorf("namespace %s where this one has another meaning in every response", d.Value)
		case strings.Contains(o.Type+o.content, d.Name.Local+":"):
			tag.WriteString(" " + attribute("xmlns:"+d.Name.Local, d.Value))
		}
	}
	for _, a := range n.attrs {
		if a.Name == (xml.Name{Space: instanceNamespace, Local: "type"}) {
			continue
		}
		if a.Name.Space != "" {
			return Opaque{}, fmt.Errorf("attribute %s of %s", a.Name.Local, a.Name.Space)
		}
		tag.WriteString(" " + attribute(a.Name.Local, a.Value))
	}
	o.attributes = tag.String()
	return o, nil
}

func (o Opaque) write(w *writer, name string) {
	w.buf.WriteString("<" + name + " " + attribute("i:type", o.Type) + o.attributes + ">" + o.content + "</" + name + ">")
}
