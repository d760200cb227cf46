package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Environment is a process environment as os.Environ returns it: "NAME=value", the last one of a name counts.
type Environment []string

// Lookup returns a variable that is set to something. Platforms set variables to nothing to mean "not set".
func (e Environment) Lookup(name string) (string, bool) {
	for _, entry := range slices.Backward(e) {
		if key, value, _ := strings.Cut(entry, "="); key == name {
			return value, value != ""
		}
	}
	return "", false
}

// shortest is the length from which a name can be misspelt recognizably. Shorter ones of ours, such as RATE, have foreign
// neighbours, such as DATE.
const shortest = 7

// typos reports variables that are almost a setting's name. Ours have no common prefix, so others cannot be refused, but
// a misspelt allow-list or condition must not be passed over in silence.
func (e Environment) typos(known []string) (problems []error) {
	set := map[string]bool{}
	for _, entry := range e {
		name, _, _ := strings.Cut(entry, "=")
		set[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if slices.Contains(known, name) {
			continue
		}
		for _, k := range known {
			if len(k) >= shortest && near(name, k) {
				problems = append(problems, fmt.Errorf("%s: unknown environment variable; did you mean %s?", name, k))
				break
			}
		}
	}
	return problems
}

// near tells whether b is a with one character more, less or different, two neighbours swapped, or other cases.
func near(a, b string) bool {
	a, b = strings.ToUpper(a), strings.ToUpper(b)
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	a, b = a[i:], b[i:]
	switch len(b) - len(a) {
	case 0:
		if len(a) < 2 || a[1:] == b[1:] {
			return true
		}
		return a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]
	case 1:
		return a == b[1:]
	}
	return false
}
