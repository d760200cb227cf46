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
	case "dateTime":
		return parseTime(text)
	case "duration":
		return parseDuration(text)
	}
	number, known := numbers[kind]
	if !known {
		return nil, fmt.Errorf("type %q is not supported", kind)
	}
	v, err := number(text)
	if err != nil {
		return nil, fmt.Errorf("not a value of type %s", kind)
	}
	return v, nil
}

// numbers reads the types of XML Schema that have a counterpart in AMQP, and so in Go.
var numbers = map[string]func(string) (any, error){
	"byte": signed[int8](8), "short": signed[int16](16), "int": signed[int32](32), "long": signed[int64](64),
	"unsignedByte": unsigned[uint8](8), "unsignedShort": unsigned[uint16](16), "unsignedInt": unsigned[uint32](32),
	"unsignedLong": unsigned[uint64](64), "float": float[float32](32), "double": float[float64](64),
}

func signed[T int8 | int16 | int32 | int64](bits int) func(string) (any, error) {
	return func(text string) (any, error) {
		n, err := strconv.ParseInt(text, 10, bits)
		return T(n), err
	}
}

func unsigned[T uint8 | uint16 | uint32 | uint64](bits int) func(string) (any, error) {
	return func(text string) (any, error) {
		n, err := strconv.ParseUint(text, 10, bits)
		return T(n), err
	}
}

func float[T float32 | float64](bits int) func(string) (any, error) {
	return func(text string) (any, error) {
		n, err := strconv.ParseFloat(text, bits)
		return T(n), err
	}
}

// formatValue is the inverse. Types that only AMQP has become the text of their value.
func formatValue(v any) (kind, text string) {
	switch v := v.(type) {
	case bool:
		return "boolean", strconv.FormatBool(v)
	case time.Time:
		return "dateTime", formatTime(v)
	case time.Duration:
		return "duration", formatDuration(v)
	case float32:
		return "float", formatFloat(float64(v), 32)
	case float64:
		return "double", formatFloat(v, 64)
	case int8:
		kind = "byte"
	case int16:
		kind = "short"
	case int32:
		kind = "int"
	case int64:
		kind = "long"
	case uint8:
		kind = "unsignedByte"
	case uint16:
		kind = "unsignedShort"
	case uint32:
		kind = "unsignedInt"
	case uint64:
		kind = "unsignedLong"
	default:
		kind = "string"
	}
	return kind, fmt.Sprint(v)
}

// formatFloat spells infinity as XML Schema does.
func formatFloat(f float64, bits int) string {
	if math.IsInf(f, 0) {
		return strings.TrimPrefix(strings.ToUpper(strconv.FormatFloat(f, 'g', -1, bits)), "+")
	}
	return strconv.FormatFloat(f, 'g', -1, bits)
}
