package mgmt

import (
	"fmt"
	"math"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
)

// onSubscription refuses what only a subscription has rules for.
func onSubscription(on target) error {
	if on.Kind() != broker.KindSubscription || on.DeadLetter() == nil {
		return fmt.Errorf("rules of %s, which is no subscription: %w", on.Path(), broker.ErrNotAllowed)
	}
	return nil
}

func enumerateRules(on target, req codec.Map) (codec.Map, error) {
	if err := onSubscription(on); err != nil {
		return nil, err
	}
	skip, err := numberOr(req, "skip", 0)
	if err != nil {
		return nil, err
	}
	top, err := numberOr(req, "top", math.MaxInt32)
	if err != nil {
		return nil, err
	}
	if skip < 0 || top < 0 {
		return nil, badArgument("skip is %d and top is %d, one of them negative", skip, top)
	}
	rules := on.Rules()
	rules = rules[min(skip, int64(len(rules))):]
	rules = rules[:min(top, int64(len(rules)))]
	if len(rules) == 0 {
		return nil, nil
	}
	described := make([]any, len(rules))
	for i, r := range rules {
		description, err := dialect.EncodeRule(r)
		if err != nil {
			return nil, err
		}
		described[i] = codec.Map{{Key: "rule-description", Value: description}}
	}
	return codec.Map{{Key: "rules", Value: described}}, nil
}

func addRule(on target, req codec.Map) (codec.Map, error) {
	if err := onSubscription(on); err != nil {
		return nil, err
	}
	name, err := ruleName(req)
	if err != nil {
		return nil, err
	}
	v, _ := req.Get("rule-description")
	description, ok := v.(codec.Map)
	if !ok {
		return nil, badArgument("rule-description is %T, not a map", v)
	}
	rule, err := dialect.DecodeRule(name, description)
	if err != nil {
		return nil, err
	}
	_, err = on.AddRule(rule)
	return done, err
}

func removeRule(on target, req codec.Map) (codec.Map, error) {
	if err := onSubscription(on); err != nil {
		return nil, err
	}
	name, err := ruleName(req)
	if err != nil {
		return nil, err
	}
	return done, on.RemoveRule(name)
}

func ruleName(req codec.Map) (string, error) {
	name, err := text(req, "rule-name")
	if err == nil && name == "" {
		err = badArgument("rule-name is missing")
	}
	return name, err
}
