// Package promqltest checks PromQL that is written in files against the series that the worker really exposes: alert rules
// and the panels of the dashboard. A renamed metric or a misspelt label value makes such an expression true of nothing, for
// ever, and nobody notices: an alert that cannot fire looks like a quiet night.
//
// Expressions are read by Prometheus's own parser. It is a package of tests; the production binary does not link it.
package promqltest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Series are the names that an expression may use. It is not safe for concurrent use while it is added to.
type Series struct {
	names map[string]*family
	// target are the labels that a scrape adds to every series; their values are not known here.
	target []string
}

type family struct {
	counter bool
	// values of each label that were seen; none are known of a label with a nil set.
	values map[string]map[string]bool
}

// Of returns the series that a gatherer exposes. Target are the labels that the scrape adds, such as job and instance.
func Of(g prometheus.Gatherer, target ...string) (*Series, error) {
	families, err := g.Gather()
	if err != nil {
		return nil, fmt.Errorf("promqltest: %w", err)
	}
	s := &Series{names: map[string]*family{}, target: target}
	for _, f := range families {
		s.expose(f)
	}
	return s, nil
}

// expose adds a family under every name that a scrape gives to its series.
func (s *Series) expose(f *dto.MetricFamily) {
	name := f.GetName()
	values := map[string]map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			see(values, l.GetName(), l.GetValue())
		}
	}
	s.names[name] = &family{counter: f.GetType() == dto.MetricType_COUNTER, values: values}
	if f.GetType() != dto.MetricType_HISTOGRAM {
		return
	}
	buckets := maps.Clone(values)
	see(buckets, "le", "+Inf")
	for _, m := range f.GetMetric() {
		for _, b := range m.GetHistogram().GetBucket() {
			for _, spelling := range spellings(b.GetUpperBound()) {
				see(buckets, "le", spelling)
			}
		}
	}
	s.names[name].counter = true // a native histogram is rated as it is
	for _, part := range []string{"_sum", "_count"} {
		s.names[name+part] = &family{counter: true, values: values}
	}
	s.names[name+"_bucket"] = &family{counter: true, values: buckets}
}

// spellings are the ways in which the two text formats, and with them two versions of Prometheus, write a bucket's bound.
func spellings(bound float64) []string {
	plain := strconv.FormatFloat(bound, 'g', -1, 64)
	if strings.ContainsAny(plain, ".eI") {
		return []string{plain}
	}
	return []string{plain, plain + ".0"}
}

func see(values map[string]map[string]bool, name, value string) {
	if values[name] == nil {
		values[name] = map[string]bool{}
	}
	values[name][value] = true
}

// Add makes a gauge known that the gatherer does not expose, such as up or what a rule records; the values of its labels
// are not checked.
func (s *Series) Add(name string, labelNames ...string) { s.add(name, false, labelNames) }

// AddCounter is Add for a counter.
func (s *Series) AddCounter(name string, labelNames ...string) { s.add(name, true, labelNames) }

func (s *Series) add(name string, counter bool, labelNames []string) {
	values := map[string]map[string]bool{}
	for _, l := range labelNames {
		values[l] = nil
	}
	s.names[name] = &family{counter: counter, values: values}
}

// Check parses an expression and returns what is wrong with it: a metric, a label or a value of a label that does not exist,
// a rate of what does not count, a counter without one.
func (s *Series) Check(expression string) (problems []string) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			problems = append(problems, s.selector(n, path)...)
		case *parser.AggregateExpr:
			problems = append(problems, s.grouping(n.Grouping, n.Expr)...)
		case *parser.BinaryExpr:
			if m := n.VectorMatching; m != nil {
				problems = append(problems, s.grouping(slices.Concat(m.MatchingLabels, m.Include), n)...)
			}
		}
		return nil
	})
	return problems
}

// selector checks one selector below the nodes of path.
func (s *Series) selector(v *parser.VectorSelector, path []parser.Node) (problems []string) {
	f := s.names[v.Name]
	if f == nil {
		return []string{fmt.Sprintf("no metric %s", v.Name)}
	}
	switch counts := counted(path); {
	case counts && !f.counter:
		problems = append(problems, fmt.Sprintf("%s is no counter, and has no rate", v.Name))
	case !counts && f.counter:
		problems = append(problems, fmt.Sprintf("%s is a counter: its value means nothing without a rate or an increase", v.Name))
	}
	for _, m := range v.LabelMatchers {
		if m.Name != model.MetricNameLabel {
			problems = append(problems, s.matcher(v.Name, f, m)...)
		}
	}
	return problems
}

// counted tells whether the selector is inside a function for counters.
func counted(path []parser.Node) bool {
	return slices.ContainsFunc(path, func(node parser.Node) bool {
		call, ok := node.(*parser.Call)
		return ok && slices.Contains([]string{"rate", "irate", "increase", "resets"}, call.Func.Name)
	})
}

func (s *Series) matcher(metric string, f *family, m *labels.Matcher) (problems []string) {
	values, known := f.values[m.Name]
	switch {
	case slices.Contains(s.target, m.Name):
		return nil
	case !known:
		return []string{fmt.Sprintf("%s has no label %s", metric, m.Name)}
	case values == nil:
		return nil
	}
	if _, err := strconv.Atoi(m.Value); err == nil && m.Name == "le" {
		return []string{fmt.Sprintf("%s is written with le=\"%s.0\" too: want le=~\"%s(.0)?\"", metric, m.Value, m.Value)}
	}
	wanted := m.SetMatches() // of a|b, each
	if m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual {
		wanted = []string{m.Value}
	}
	for _, value := range wanted {
		if !values[value] {
			problems = append(problems, fmt.Sprintf("%s never has %s=%q", metric, m.Name, value))
		}
	}
	if len(wanted) == 0 && !matchesAny(m, values) {
		problems = append(problems, fmt.Sprintf("%s never has %s", metric, m))
	}
	return problems
}

func matchesAny(m *labels.Matcher, values map[string]bool) bool {
	if m.Type == labels.MatchNotRegexp {
		inverse, err := m.Inverse()
		if err != nil {
			return false
		}
		m = inverse
	}
	for value := range values {
		if m.Matches(value) {
			return true
		}
	}
	return false
}

// grouping checks the labels that an aggregation or a match names: each must be one of some series below it.
func (s *Series) grouping(names []string, below parser.Expr) (problems []string) {
	known := slices.Clone(s.target)
	parser.Inspect(below, func(node parser.Node, _ []parser.Node) error {
		if v, ok := node.(*parser.VectorSelector); ok && s.names[v.Name] != nil {
			known = slices.AppendSeq(known, maps.Keys(s.names[v.Name].values))
		}
		return nil
	})
	for _, name := range names {
		if !slices.Contains(known, name) {
			problems = append(problems, fmt.Sprintf("no series of %s has the label %s", below, name))
		}
	}
	return problems
}
