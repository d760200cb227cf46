package dialect

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/transport"
)

func TestRulesAreDescribedWithTheDescriptorsOfServiceBus(t *testing.T) {
	t.Parallel()
	none := codec.Described{Descriptor: uint64(0x13700000005), Value: []any{}}
	for name, test := range map[string]struct {
		request        codec.Map
		filter, action codec.Described
	}{
		"nothing": {nil, codec.Described{Descriptor: uint64(0x1370000007), Value: []any{}}, none},
		"sql": {
			codec.Map{{Key: "sql-filter", Value: codec.Map{{Key: "expression", Value: "a = 1"}}}, {Key: "sql-rule-action", Value: nil}},
			codec.Described{Descriptor: uint64(0x1370000006), Value: []any{"a = 1", int32(20)}}, none,
		},
		"sql with action": {
			codec.Map{
				{Key: "sql-filter", Value: codec.Map{{Key: "expression", Value: "1=1"}}},
				{Key: "sql-rule-action", Value: codec.Map{{Key: "expression", Value: "SET a = 1"}}},
			},
			codec.Described{Descriptor: uint64(0x1370000006), Value: []any{"1=1", int32(20)}},
			codec.Described{Descriptor: uint64(0x13700000006), Value: []any{"SET a = 1", int32(20)}},
		},
		"correlation": {
			codec.Map{{Key: "correlation-filter", Value: codec.Map{
				{Key: "correlation-id", Value: "c"}, {Key: "label", Value: ""}, {Key: "content-type", Value: "t"},
				{Key: "properties", Value: codec.Map{{Key: "n", Value: int32(1)}, {Key: "u", Value: codec.UUID{1}}}},
			}}, {Key: "sql-rule-action", Value: codec.Map{{Key: "expression", Value: ""}}}},
			codec.Described{Descriptor: uint64(0x1370000009), Value: []any{
				"c", nil, nil, nil, "", nil, nil, "t", codec.Map{{Key: "n", Value: int32(1)}, {Key: "u", Value: codec.UUID{1}}},
			}}, none,
		},
	} {
		r, err := DecodeRule("name", test.request)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r.CreatedAt = start
		got, err := EncodeRule(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := codec.Described{Descriptor: uint64(0x13700000004), Value: []any{test.filter, test.action, "name", start}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: description differs (-want +got):\n%s", name, diff)
		}
	}
	falsity, err := EncodeRule(broker.Rule{Filter: broker.FalseFilter{}})
	if err != nil || falsity.Value.([]any)[0].(codec.Described).Descriptor != uint64(0x1370000008) {
		t.Errorf("false is described as %v, %v", falsity, err)
	}
}

// strange is a rule that only another way of administration could have made.
type strange struct{}

func (strange) Match(*broker.Message) (bool, error)            { return false, nil }
func (strange) Apply(m broker.Message) (broker.Message, error) { return m, nil }

func TestRulesOfAnotherMakeAreNotDescribed(t *testing.T) {
	t.Parallel()
	for _, r := range []broker.Rule{{Filter: strange{}}, {Filter: broker.TrueFilter{}, Action: strange{}}, {Filter: Filter{}}} {
		if _, err := EncodeRule(r); !errors.Is(err, broker.ErrNotImplemented) {
			t.Errorf("%T, %T: %v", r.Filter, r.Action, err)
		}
	}
}

func TestDescriptionsThatMakeNoRule(t *testing.T) {
	t.Parallel()
	with := func(key string, value any) codec.Map { return codec.Map{{Key: key, Value: value}} }
	for want, m := range map[string]codec.Map{
		"a rule has one filter, not sql-filter and correlation-filter": append(with("sql-filter", codec.Map{}), codec.Pair{Key: "correlation-filter", Value: codec.Map{}}),
		"sql-filter is string, not a map":                              with("sql-filter", "1=1"),
		"expression of sql-filter is <nil>, not a string":              with("sql-filter", codec.Map{}),
		"sql filter: character 2: unexpected '!'":                      with("sql-filter", with("expression", "a!")),
		"sql-rule-action is string, not a map":                         with("sql-rule-action", "x"),
		"expression of sql-rule-action is int64, not a string":         with("sql-rule-action", with("expression", int64(1))),
		"sql action: character 1: expected SET or REMOVE, found \"x\"": with("sql-rule-action", with("expression", "x")),
		"correlation-filter is string, not a map":                      with("correlation-filter", "x"),
		"to of correlation-filter is int64, not a string":              with("correlation-filter", with("to", int64(1))),
		"properties of correlation-filter is string, not a map":        with("correlation-filter", with("properties", "x")),
	} {
		var spoken *transport.Error
		if _, err := DecodeRule("r", m); !errors.As(err, &spoken) || spoken.Condition != ArgumentError || spoken.Description != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}
