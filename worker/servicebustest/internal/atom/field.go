package atom

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// field is one element of a description, in both directions.
type field struct {
	name  string
	read  func(*node) error // nil: a client has no say in it
	write func(*writer)     // nil: not returned
}

// readFields reads the elements of n that are among fields. Others are skipped: clients know of more, and send back
// what the service told them.
func readFields(n *node, fields []field) error {
	byName := make(map[string]field, len(fields))
	for _, f := range fields {
		byName[f.name] = f
	}
	for _, c := range n.children {
		f := byName[c.name.Local]
		if f.read == nil || c.name.Space != connectNamespace {
			continue
		}
		if err := f.read(c); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

func writeFields(w *writer, fields []field) {
	for _, f := range fields {
		if f.write != nil {
			f.write(w)
		}
	}
}

// scalar is a field whose text is a value.
func scalar[T any](name string, v *T, parse func(string) (T, error), format func(T) string) field {
	return field{
		name: name,
		read: func(n *node) (err error) {
			*v, err = parse(strings.TrimSpace(string(n.text)))
			return err
		},
		write: func(w *writer) { w.element(name, format(*v)) },
	}
}

func duration(name string, v *time.Duration) field {
	return scalar(name, v, parseDuration, formatDuration)
}

func boolean(name string, v *bool) field { return scalar(name, v, parseBool, strconv.FormatBool) }

func integer(name string, v *int) field { return scalar(name, v, parseInt, strconv.Itoa) }

func status(name string, v *Status) field {
	return scalar(name, v, parseStatus, func(s Status) string { return string(s) })
}

// optional is a text that is only there when it is not empty.
func optional(name string, v *string) field {
	return field{
		name: name,
		read: func(n *node) error {
			*v = string(n.text)
			return nil
		},
		write: func(w *writer) {
			if *v != "" {
				w.element(name, *v)
			}
		},
	}
}

// told is a field that only the service fills.
func told(name, value string) field {
	return field{name: name, write: func(w *writer) { w.element(name, value) }}
}

func toldTime(name string, at time.Time) field { return told(name, formatTime(at)) }

// never is how the service writes the time of what did not happen yet. Clients know it by its missing zone.
const never = "0001-01-01T00:00:00"

// formatTime writes the ticks of .NET and no trailing zeros.
func formatTime(at time.Time) string {
	if at.IsZero() {
		return never
	}
	return at.UTC().Format("2006-01-02T15:04:05.9999999Z")
}

// parseTime takes a time without a zone for UTC.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if at, err := time.Parse(layout, s); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, errors.New("not a time like 2006-01-02T15:04:05Z")
}

func parseBool(s string) (bool, error) {
	switch s {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, errors.New("neither true nor false")
}

// parseInt reads an xs:int, the widest that a description has.
func parseInt(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, errors.New("not a number from 0 to 2147483647")
	}
	return int(n), nil
}

func parseStatus(s string) (Status, error) {
	switch status := Status(s); status {
	case Active, Disabled, SendDisabled, ReceiveDisabled:
		return status, nil
	}
	return "", errors.New("not one of Active, Disabled, SendDisabled, ReceiveDisabled")
}

// countDetails holds its children in a namespace of their own. JavaScript wants exactly one declaration on it.
func countDetails(r *Runtime) field {
	const name = "CountDetails"
	return field{name: name, write: func(w *writer) {
		w.open(name, "xmlns:d2p1", countNamespace)
		w.element("d2p1:ActiveMessageCount", strconv.Itoa(r.Active))
		w.element("d2p1:DeadLetterMessageCount", strconv.Itoa(r.DeadLettered))
		w.element("d2p1:ScheduledMessageCount", strconv.Itoa(r.Scheduled))
		w.element("d2p1:TransferMessageCount", strconv.Itoa(r.Transfer))
		w.element("d2p1:TransferDeadLetterMessageCount", strconv.Itoa(r.TransferDeadLetters))
		w.close(name)
	}}
}

// authorizationRules round-trips what the client sent and adds no times, so that a client may compare.
func authorizationRules(rules *[]AuthorizationRule) field {
	const name, item = "AuthorizationRules", "AuthorizationRule"
	return field{
		name: name,
		read: func(n *node) error {
			*rules = nil
			for _, c := range n.children {
				var rule AuthorizationRule
				if err := readFields(c, rule.fields()); err != nil {
					return err
				}
				*rules = append(*rules, rule)
			}
			return nil
		},
		write: func(w *writer) {
			w.open(name)
			for _, rule := range *rules {
				w.open(item, "i:type", "SharedAccessAuthorizationRule")
				writeFields(w, rule.fields())
				w.close(item)
			}
			w.close(name)
		},
	}
}

func (a *AuthorizationRule) fields() []field {
	return []field{
		told("ClaimType", "SharedAccessKey"),
		told("ClaimValue", "None"),
		a.rights(),
		optionalTime("CreatedTime", &a.CreatedTime),
		optionalTime("ModifiedTime", &a.ModifiedTime),
		optional("KeyName", &a.KeyName),
		optional("PrimaryKey", &a.PrimaryKey),
		optional("SecondaryKey", &a.SecondaryKey),
	}
}

func (a *AuthorizationRule) rights() field {
	const name, item = "Rights", "AccessRights"
	return field{
		name: name,
		read: func(n *node) error {
			for _, c := range n.children {
				switch right := strings.TrimSpace(string(c.text)); right {
				case "Manage", "Send", "Listen":
					a.Rights = append(a.Rights, right)
				default:
					return errors.New("not one of Manage, Send, Listen")
				}
			}
			return nil
		},
		write: func(w *writer) {
			w.open(name)
			for _, right := range a.Rights {
				w.element(item, right)
			}
			w.close(name)
		},
	}
}

func optionalTime(name string, v *time.Time) field {
	f := scalar(name, v, parseTime, formatTime)
	if v.IsZero() {
		f.write = nil
	}
	return f
}
