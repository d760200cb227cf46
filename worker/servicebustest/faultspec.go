package servicebustest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
)

// faultSpec is a fault as the control endpoint takes and shows it.
type faultSpec struct {
	Op   string `json:"op"`
	Kind string `json:"kind"`

	Condition   string   `json:"condition,omitempty"`   // fail, detach-link, end-session, close-connection
	Description string   `json:"description,omitempty"` // likewise
	Delay       duration `json:"delay,omitempty"`       // before the fault; all there is of kind delay
	Duration    duration `json:"duration,omitempty"`    // expire-lock: what is left; slow-transfer, trickle: the pause
	Parts       int      `json:"parts,omitempty"`       // slow-transfer: frames; trickle: bytes at a time

	NoAnnotations bool           `json:"noAnnotations,omitempty"` // this and the rest: alter
	Annotations   map[string]any `json:"annotations,omitempty"`
	Properties    map[string]any `json:"properties,omitempty"`
	Body          any            `json:"body,omitempty"` // as an AMQP value

	Times   int    `json:"times,omitempty"` // default 1
	Keep    bool   `json:"keep,omitempty"`
	Entity  string `json:"entity,omitempty"`
	Message string `json:"message,omitempty"`
}

// duration is a time.Duration that JSON spells as Go does, "1m30s".
type duration time.Duration

// longest bounds what a control request may have the server wait for.
const longest = 24 * time.Hour

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration like 1m30s", text)
	}
	if parsed < -longest || parsed > longest {
		return fmt.Errorf("%v is longer than %v", parsed, longest)
	}
	*d = duration(parsed)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// spell is how JSON writes a name of this package.
func spell(name string) string { return strings.ReplaceAll(name, " ", "-") }

// op finds the operation.
func (s *faultSpec) op() (Op, error) {
	var known []string
	for op := Connect; int(op) < len(opNames); op++ {
		if spell(op.String()) == s.Op {
			return op, nil
		}
		known = append(known, spell(op.String()))
	}
	return 0, fmt.Errorf("op is %q, not one of %s", s.Op, strings.Join(known, ", "))
}

// faultKinds makes a fault from its description. What needs a condition has it by then.
var faultKinds = map[string]func(s *faultSpec) (Fault, error){
	"delay":       func(s *faultSpec) (Fault, error) { return Fault{}, s.needs(s.Delay > 0, "delay") },
	"fail":        func(s *faultSpec) (Fault, error) { return Fail(s.Condition, s.Description), s.needsCondition() },
	"server-busy": func(*faultSpec) (Fault, error) { return ServerBusy(), nil },
	"detach-link": func(s *faultSpec) (Fault, error) { return DetachLink(s.Condition, s.Description), s.needsCondition() },
	"end-session": func(s *faultSpec) (Fault, error) { return EndSession(s.Condition, s.Description), s.needsCondition() },
	"close-connection": func(s *faultSpec) (Fault, error) {
		return CloseConnection(s.Condition, s.Description), s.needsCondition()
	},
	"drop-connection":  func(*faultSpec) (Fault, error) { return DropConnection(), nil },
	"reset-connection": func(*faultSpec) (Fault, error) { return ResetConnection(), nil },
	"mute-connection":  func(*faultSpec) (Fault, error) { return MuteConnection(), nil },
	"mute-link":        func(*faultSpec) (Fault, error) { return MuteLink(), nil },
	"swallow":          func(*faultSpec) (Fault, error) { return Swallow(), nil },
	"duplicate":        func(*faultSpec) (Fault, error) { return Duplicate(), nil },
	"expire-lock":      func(s *faultSpec) (Fault, error) { return ExpireLock(time.Duration(s.Duration)), nil },
	"slow-transfer": func(s *faultSpec) (Fault, error) {
		return SlowTransfer(s.Parts, time.Duration(s.Duration)), s.needs(s.Parts > 0 && s.Duration > 0, "parts and duration")
	},
	"trickle": func(s *faultSpec) (Fault, error) {
		return Trickle(s.Parts, time.Duration(s.Duration)), s.needs(s.Parts > 0 && s.Duration > 0, "parts and duration")
	},
	"alter": (*faultSpec).alteration,
}

func (s *faultSpec) needsCondition() error { return s.needs(s.Condition != "", "condition") }

func (s *faultSpec) needs(has bool, what string) error {
	if !has {
		return fmt.Errorf("kind %q needs %s", s.Kind, what)
	}
	return nil
}

// alteration is the fault of kind alter.
func (s *faultSpec) alteration() (Fault, error) {
	var edits []Edit
	if s.NoAnnotations {
		edits = append(edits, NoAnnotations())
	}
	for key, v := range s.Annotations {
		value, err := scalar(v)
		if err != nil {
			return Fault{}, fmt.Errorf("annotation %q: %w", key, err)
		}
		edits = append(edits, Annotation(key, value))
	}
	for key, v := range s.Properties {
		value, err := scalar(v)
		if err != nil {
			return Fault{}, fmt.Errorf("property %q: %w", key, err)
		}
		edits = append(edits, Property(key, value))
	}
	if s.Body != nil {
		value, err := scalar(s.Body)
		if err != nil {
			return Fault{}, fmt.Errorf("body: %w", err)
		}
		edits = append(edits, ValueBody(value))
	}
	return Alter(edits...), s.needs(len(edits) > 0, "noAnnotations, annotations, properties or body")
}

// scalar is a value of JSON as AMQP has it: a whole number is a long, another one a double.
func scalar(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string:
		return v, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		return v.Float64()
	}
	return nil, errors.New("objects and lists are not supported")
}

// hasEntity tells whether calls can name the entity, in any of the ways that they do.
func (s *Server) hasEntity(name string) bool {
	path := broker.EntityPath(name)
	if _, err := s.broker.Resolve(path); err == nil {
		return true
	}
	return slices.ContainsFunc(s.broker.Topics(), func(t broker.Description) bool { return strings.EqualFold(t.Path, path) })
}

// inject makes the fault wait on s.
func (s *faultSpec) inject(on *Server) (*Injection, error) {
	op, err := s.op()
	if err != nil {
		return nil, err
	}
	kind, known := faultKinds[s.Kind]
	if !known {
		return nil, fmt.Errorf("kind is %q, not one of %s", s.Kind, strings.Join(slices.Sorted(maps.Keys(faultKinds)), ", "))
	}
	fault, err := kind(s)
	if err != nil {
		return nil, err
	}
	if fault.wrap != nil && op != Connect {
		return nil, fmt.Errorf("kind %q is for op connect only", s.Kind)
	}
	if s.Times < 0 || s.Delay < 0 || s.Duration < 0 {
		return nil, errors.New("times, delay and duration are not negative")
	}
	opts := []FaultOption{Times(max(s.Times, 1))}
	if s.Keep {
		opts = append(opts, Keep())
	}
	if s.Entity != "" {
		if !on.hasEntity(s.Entity) {
			return nil, fmt.Errorf("there is no entity %q", s.Entity)
		}
		opts = append(opts, OnEntity(s.Entity))
	}
	if s.Message != "" {
		opts = append(opts, OnMessage(s.Message))
	}
	if s.Delay > 0 {
		fault = fault.After(time.Duration(s.Delay))
	}
	return on.OnNext(op, fault, opts...), nil
}
