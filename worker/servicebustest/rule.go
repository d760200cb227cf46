package servicebustest

import (
	"fmt"
	"maps"
	"slices"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/filter"
)

// RuleConfig is a rule of a subscription: a filter, either an SQL condition or a correlation filter, and what it changes
// on the messages that it lets in.
type RuleConfig struct {
	Name        string
	SQL         string
	Correlation *CorrelationFilter
	Action      string         // SQL; "" changes nothing
	Parameters  map[string]any // what the @names in SQL and Action stand for
}

// CorrelationFilter lets messages in that have all these values; what is empty may be anything.
type CorrelationFilter struct {
	MessageID, CorrelationID, To, ReplyTo, Subject, SessionID, ReplyToSessionID, ContentType string
	Properties                                                                               map[string]any
}

func (c RuleConfig) broker() (broker.Rule, error) {
	rule := broker.Rule{Name: c.Name}
	var err error
	switch {
	case (c.SQL == "") == (c.Correlation == nil):
		return rule, fmt.Errorf("rule %s: either SQL or Correlation has to be set", c.Name)
	case c.Correlation != nil:
		rule.Filter = dialect.Filter{Of: c.Correlation.filter()}
	default:
		rule.Filter, err = dialect.SQLFilter(c.SQL, c.Parameters)
	}
	if c.Action != "" && err == nil {
		rule.Action, err = dialect.SQLAction(c.Action, c.Parameters)
	}
	if err != nil {
		return rule, fmt.Errorf("rule %s: %w", c.Name, err)
	}
	return rule, nil
}

func (c *CorrelationFilter) filter() *filter.Correlation {
	asked := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	f := &filter.Correlation{
		MessageID: asked(c.MessageID), CorrelationID: asked(c.CorrelationID), To: asked(c.To), ReplyTo: asked(c.ReplyTo),
		Label: asked(c.Subject), SessionID: asked(c.SessionID), ReplyToSessionID: asked(c.ReplyToSessionID),
		ContentType: asked(c.ContentType),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Properties)) {
		value := c.Properties[name]
		if n, ok := value.(int); ok {
			value = int64(n) // as in Message
		}
		f.Properties = append(f.Properties, filter.Property{Name: name, Value: value})
	}
	return f
}

func brokerRules(configs []RuleConfig) ([]broker.Rule, error) {
	var rules []broker.Rule
	for _, c := range configs {
		rule, err := c.broker()
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}
