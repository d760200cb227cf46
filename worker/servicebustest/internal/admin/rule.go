package admin

import (
	"fmt"
	"maps"
	"slices"

	"batchterminator/worker/servicebustest/internal/atom"
	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/filter"
)

// Rules implements atom.Namespace.
func (n *Namespace) Rules(topic, subscription string) (atom.Store[atom.Rule], error) {
	path := broker.SubscriptionPath(topic, subscription)
	if _, err := n.broker.Describe(broker.KindSubscription, path); err != nil {
		return nil, refusal(err)
	}
	q, err := n.broker.Resolve(path)
	if err != nil {
		return nil, refusal(err) // deleted meanwhile
	}
	return rules{q}, nil
}

// rules is the rules of a subscription. It implements [atom.Store].
type rules struct{ subscription *broker.Queue }

func (r rules) Get(name string) (atom.Entity[atom.Rule], error) {
	return ruleEntity(r.subscription.Rule(name))
}

func (r rules) List() ([]atom.Entity[atom.Rule], error) {
	var entities []atom.Entity[atom.Rule]
	for _, rule := range r.subscription.Rules() {
		e, _ := ruleEntity(rule, nil)
		entities = append(entities, e)
	}
	return entities, nil
}

func (r rules) Create(name string, d atom.Rule) (atom.Entity[atom.Rule], error) {
	return r.set(name, d, r.subscription.AddRule)
}

func (r rules) Update(name string, d atom.Rule) (atom.Entity[atom.Rule], error) {
	return r.set(name, d, r.subscription.UpdateRule)
}

func (r rules) set(name string, d atom.Rule, apply func(broker.Rule) (broker.Rule, error)) (atom.Entity[atom.Rule], error) {
	rule, err := brokerRule(name, d)
	if err != nil {
		return atom.Entity[atom.Rule]{}, err
	}
	return ruleEntity(apply(rule))
}

func (r rules) Delete(name string) error { return refusal(r.subscription.RemoveRule(name)) }

func ruleEntity(r broker.Rule, err error) (atom.Entity[atom.Rule], error) {
	if err != nil {
		return atom.Entity[atom.Rule]{}, refusal(err)
	}
	return atom.Entity[atom.Rule]{
		Name: r.Name, Description: atom.Rule{Filter: describeFilter(r.Filter), Action: describeAction(r.Action)},
		Runtime: atom.Runtime{CreatedAt: r.CreatedAt, UpdatedAt: r.CreatedAt},
	}, nil
}

func brokerRule(name string, d atom.Rule) (rule broker.Rule, err error) {
	rule.Name = name
	if rule.Filter, err = brokerFilter(d.Filter); err == nil {
		rule.Action, err = brokerAction(d.Action)
	}
	return rule, err
}

func brokerFilter(f atom.Filter) (broker.Filter, error) {
	switch f := f.(type) {
	case atom.FalseFilter:
		return broker.FalseFilter{}, nil
	case atom.SQLFilter:
		condition, err := filter.ParseSQL(f.Expression, values(f.Parameters))
		return dialect.Filter{Of: condition}, err
	case atom.CorrelationFilter:
		return dialect.Filter{Of: correlation(f)}, nil
	case atom.Opaque:
		return unknown{f}, nil
	}
	return broker.TrueFilter{}, nil
}

func brokerAction(a atom.Action) (broker.Action, error) {
	switch a := a.(type) {
	case atom.SQLAction:
		statements, err := filter.ParseAction(a.Expression, values(a.Parameters))
		return dialect.Action{Of: statements}, err
	case atom.Opaque:
		return unknown{a}, nil
	}
	return nil, nil
}

func correlation(f atom.CorrelationFilter) *filter.Correlation {
	c := &filter.Correlation{
		MessageID: f.MessageID, CorrelationID: f.CorrelationID, To: f.To, ReplyTo: f.ReplyTo, Label: f.Label,
		SessionID: f.SessionID, ReplyToSessionID: f.ReplyToSessionID, ContentType: f.ContentType,
	}
	for _, p := range f.Properties {
		c.Properties = append(c.Properties, filter.Property{Name: p.Name, Value: p.Value})
	}
	return c
}

func describeFilter(f broker.Filter) atom.Filter {
	switch f := f.(type) {
	case broker.FalseFilter:
		return atom.FalseFilter{}
	case unknown:
		return f.Opaque
	case dialect.Filter:
		switch of := f.Of.(type) {
		case *filter.SQL:
			return atom.SQLFilter{SQL: atom.SQL{Expression: of.Expression(), Parameters: parameters(of.Parameters())}}
		case *filter.Correlation:
			return describeCorrelation(of)
		}
	}
	return atom.TrueFilter{}
}

func describeCorrelation(c *filter.Correlation) atom.CorrelationFilter {
	f := atom.CorrelationFilter{
		MessageID: c.MessageID, CorrelationID: c.CorrelationID, To: c.To, ReplyTo: c.ReplyTo, Label: c.Label,
		SessionID: c.SessionID, ReplyToSessionID: c.ReplyToSessionID, ContentType: c.ContentType,
	}
	for _, p := range c.Properties {
		f.Properties = append(f.Properties, atom.Parameter{Name: p.Name, Value: p.Value})
	}
	return f
}

func describeAction(a broker.Action) atom.Action {
	switch a := a.(type) {
	case dialect.Action:
		return atom.SQLAction{SQL: atom.SQL{Expression: a.Of.Expression(), Parameters: parameters(a.Of.Parameters())}}
	case unknown:
		return a.Opaque
	}
	return atom.EmptyAction{}
}

func values(parameters []atom.Parameter) map[string]any {
	m := make(map[string]any, len(parameters))
	for _, p := range parameters {
		m[p.Name] = p.Value
	}
	return m
}

// parameters lists them by name, so that a description does not change from one request to the next.
func parameters(m map[string]any) []atom.Parameter {
	var list []atom.Parameter
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, atom.Parameter{Name: name, Value: m[name]})
	}
	return list
}

// unknown is a filter or an action that is kept for its administrator. Nobody can tell what it would do to a message,
// so it fails on every one of them, as a filter does that has no answer.
type unknown struct{ atom.Opaque }

// Match implements broker.Filter.
func (u unknown) Match(*broker.Message) (bool, error) {
	return false, fmt.Errorf("filter of type %s is not emulated", u.Type)
}

// Apply implements broker.Action.
func (u unknown) Apply(broker.Message) (broker.Message, error) {
	return broker.Message{}, fmt.Errorf("action of type %s is not emulated", u.Type)
}

// countFilters adds up the filters of a topic's subscriptions. The constants are SQL filters (1=1 and 1=0).
func (n *Namespace) countFilters(topic string, r *atom.Runtime) {
	subscriptions, err := n.broker.Subscriptions(topic)
	if err != nil {
		return // deleted meanwhile
	}
	for _, s := range subscriptions {
		q, err := n.broker.Resolve(s.Path)
		if err != nil {
			continue
		}
		for _, rule := range q.Rules() {
			if _, isCorrelation := describeFilter(rule.Filter).(atom.CorrelationFilter); isCorrelation {
				r.CorrelationFilters++
			} else {
				r.SQLFilters++
			}
		}
	}
}
