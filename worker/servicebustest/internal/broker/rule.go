package broker

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultRule is the name of the rule that a subscription has unless it is created with others.
const DefaultRule = "$Default"

// Filter decides which messages of a topic a subscription gets. It must not keep or change the message, and is called
// by one goroutine at a time.
type Filter interface {
	// Match returns an error when the filter has no answer for the message.
	Match(*Message) (bool, error)
}

// Action changes the copy of a message that a rule puts into a subscription. Payloads are shared between copies, so
// Apply returns a message with a payload of its own where it changes any.
type Action interface {
	Apply(Message) (Message, error)
}

// Rule is a filter of a subscription with what to do to the messages it lets through.
type Rule struct {
	Name      string
	Filter    Filter
	Action    Action // nil: none
	CreatedAt time.Time
}

// TrueFilter matches everything.
type TrueFilter struct{}

// Match implements Filter.
func (TrueFilter) Match(*Message) (bool, error) { return true, nil }

// FalseFilter matches nothing.
type FalseFilter struct{}

// Match implements Filter.
func (FalseFilter) Match(*Message) (bool, error) { return false, nil }

// Rules returns the rules of a subscription by name; none for anything else.
func (q *Queue) Rules() []Rule {
	q.entity.mu.Lock()
	defer q.entity.mu.Unlock()
	return slices.Clone(q.entity.rules)
}

// Rule returns one rule.
func (q *Queue) Rule(name string) (Rule, error) {
	q.entity.mu.Lock()
	defer q.entity.mu.Unlock()
	i, found := q.entity.findRule(name)
	if !found {
		return Rule{}, fmt.Errorf("rule %s of %s: %w", name, q.path, ErrEntityNotFound)
	}
	return q.entity.rules[i], nil
}

// AddRule adds a rule, for messages from now on. It fails with ErrEntityExists when the name is taken.
func (q *Queue) AddRule(r Rule) (Rule, error) {
	return q.setRule("add", r, false)
}

// UpdateRule replaces the rule of the same name, for messages from now on.
func (q *Queue) UpdateRule(r Rule) (Rule, error) {
	return q.setRule("update", r, true)
}

func (q *Queue) setRule(op string, r Rule, exists bool) (Rule, error) {
	now := q.entity.enter()
	defer q.entity.leave()
	if q.entity.kind != KindSubscription || q != q.entity.main {
		return Rule{}, fmt.Errorf("%s rule of %s: %w", op, q.path, ErrNotAllowed)
	}
	if err := validateRule(r); err != nil {
		return Rule{}, fmt.Errorf("%s rule of %s: %w", op, q.path, err)
	}
	i, found := q.entity.findRule(r.Name)
	switch {
	case found && !exists:
		return Rule{}, fmt.Errorf("%s rule %s of %s: %w", op, r.Name, q.path, ErrEntityExists)
	case !found && exists:
		return Rule{}, fmt.Errorf("%s rule %s of %s: %w", op, r.Name, q.path, ErrEntityNotFound)
	case found:
		r.CreatedAt = q.entity.rules[i].CreatedAt
		q.entity.rules = slices.Clone(q.entity.rules) // a fan-out may be reading
		q.entity.rules[i] = r
		return r, nil
	}
	r.CreatedAt = now
	q.entity.rules = slices.Insert(slices.Clone(q.entity.rules), i, r)
	return r, nil
}

// RemoveRule removes a rule, for messages from now on. A subscription without rules gets none.
func (q *Queue) RemoveRule(name string) error {
	q.entity.enter()
	defer q.entity.leave()
	i, found := q.entity.findRule(name)
	if !found {
		return fmt.Errorf("remove rule %s of %s: %w", name, q.path, ErrEntityNotFound)
	}
	q.entity.rules = slices.Delete(slices.Clone(q.entity.rules), i, i+1)
	return nil
}

// findRule returns where a rule is, or belongs: rules are sorted by name without case, as names compare.
func (e *entity) findRule(name string) (int, bool) {
	return slices.BinarySearchFunc(e.rules, strings.ToLower(name), func(r Rule, name string) int {
		return strings.Compare(strings.ToLower(r.Name), name)
	})
}

func validateRule(r Rule) error {
	if r.Filter == nil {
		return invalid("rule %s has no filter", r.Name)
	}
	if strings.EqualFold(r.Name, DefaultRule) {
		return nil
	}
	return validateShortName(r.Name)
}
