package atom

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// parameters is a list of typed values. A type comes as a name with a prefix of the client's choice; it leaves with a
// prefix of four letters, because JavaScript cuts off the first five characters.
func parameters(name string, list *[]Parameter) field {
	const item = "KeyValueOfstringanyType"
	return field{
		name: name,
		read: func(n *node) error {
			*list = nil
			for _, c := range n.children {
				p, err := readParameter(c)
				if err != nil {
					return err
				}
				*list = append(*list, p)
			}
			return nil
		},
		write: func(w *writer) {
			w.open(name)
			for _, p := range *list {
				w.open(item)
				w.element("Key", p.Name)
				kind, text := formatValue(p.Value)
				w.element("Value", text, "i:type", "d6p1:"+kind, "xmlns:d6p1", schemaNamespace)
				w.close(item)
			}
			w.close(name)
		},
	}
}

func readParameter(n *node) (Parameter, error) {
	key, value := n.child(connectNamespace, "Key"), n.child(connectNamespace, "Value")
	if key == nil || value == nil {
		return Parameter{}, errors.New("a parameter has a Key and a Value")
	}
	p := Parameter{Name: string(key.text)}
	kind, err := value.qualified(value.instanceType())
	if err == nil && kind.Space != schemaNamespace {
		err = fmt.Errorf("type %q is not one of XML Schema", value.instanceType())
	}
	if err == nil {
		p.Value, err = parseValue(kind.Local, string(value.text))
	}
	if err != nil {
		return Parameter{}, fmt.Errorf("%q: %w", p.Name, err)
	}
	return p, nil
}

// parseValue reads a value of an XML Schema type.
func parseValue(kind, text string) (any, error) {
	if kind == "string" {
		return text, nil
	}
	text = strings.TrimSpace(text)
	switch kind {
	case "boolean":
		return parseBool(text)
	case "int":
		n, err := strconv.ParseInt(text, 10, 32)
		return int32(n), numeric(err, kind)
	case "long":
		n, err := strconv.ParseInt(text, 10, 64)
		return n, numeric(err, kind)
	case "double":
		f, err := strconv.ParseFloat(text, 64)
		return f, numeric(err, kind)
	case "dateTime":
		return parseTime(text)
	case "duration":
		return parseDuration(text)
	}
	return nil, fmt.Errorf("type %q is not supported", kind)
}

func numeric(err error, kind string) error {
	if err != nil {
		return fmt.Errorf("not a value of type %s", kind)
	}
	return nil
}

// formatValue is the inverse. Types that only AMQP has become the text of their value.
func formatValue(v any) (kind, text string) {
	switch v := v.(type) {
	case bool:
		return "boolean", strconv.FormatBool(v)
	case int32:
		return "int", strconv.FormatInt(int64(v), 10)
	case int64:
		return "long", strconv.FormatInt(v, 10)
	case float64:
		return "double", formatDouble(v)
	case time.Time:
		return "dateTime", formatTime(v)
	case time.Duration:
		return "duration", formatDuration(v)
	}
	return "string", fmt.Sprint(v)
}

// formatDouble spells infinity as XML Schema does.
func formatDouble(f float64) string {
	if math.IsInf(f, 0) {
		return strings.Replace(strconv.FormatFloat(f, 'g', -1, 64), "Inf", "INF", 1)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
