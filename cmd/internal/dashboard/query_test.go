package dashboard

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql/parser"

	"batchterminator/cmd/internal/promqltest"
	"batchterminator/metrics"
)

// filled puts a value in place of each variable, as Grafana does.
var filled = strings.NewReplacer("$__rate_interval", "1m", "$environment", ".*", "$job", ".*", "$replica_label", "replica", "$replica", ".*", "$endpoint", ".*")

// exposed are the series of a worker.
func exposed(t *testing.T) *promqltest.Series {
	t.Helper()
	r := prometheus.NewRegistry()
	metrics.New(r, "v0", []string{"https://contoso.westeurope.batch.azure.com"})
	s, err := promqltest.Of(r, "environment", "job", "replica", "instance", "pod")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// expressions are all of them, by where they are.
func expressions() map[string][]string {
	all := map[string][]string{}
	for _, w := range flat(build().Panels) {
		for _, q := range w.Targets {
			if q.Expr != "" {
				all[w.Title] = append(all[w.Title], q.Expr)
			}
		}
	}
	for _, m := range markers() {
		all[m.Name] = append(all[m.Name], m.Expr)
	}
	return all
}

func TestQueriesNameWhatTheWorkerExposes(t *testing.T) {
	t.Parallel()
	s := exposed(t)
	n := 0
	for title, exprs := range expressions() {
		for _, expr := range exprs {
			n++
			if left := regexp.MustCompile(`\$\w+|@`).FindString(filled.Replace(expr)); left != "" {
				t.Errorf("%s: nothing fills in %s", title, left)
			}
			for _, problem := range s.Check(filled.Replace(expr)) {
				t.Errorf("%s: %s\n%s", title, problem, expr)
			}
		}
	}
	if n < 50 {
		t.Errorf("%d expressions", n)
	}
}

// A metric that no panel shows was not worth exposing, or has been forgotten.
func TestEveryMetricIsShown(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, exprs := range expressions() {
		all.WriteString(strings.Join(exprs, "\n"))
	}
	for _, m := range metrics.All() {
		if !regexp.MustCompile(m.Name + `(_bucket|_sum|_count)?\{`).MatchString(all.String()) {
			t.Errorf("%s is on no panel", m.Name)
		}
	}
}

func TestQueriesWorkWithSeveralReplicas(t *testing.T) {
	t.Parallel()
	for title, exprs := range expressions() {
		for _, expr := range exprs {
			for _, problem := range lone(t, filled.Replace(expr)) {
				t.Errorf("%s: %s\n%s", title, problem, expr)
			}
		}
	}
	for _, expr := range []string{`in_flight{job=~".*",replica=~".*"}`, `sum(in_flight{job=~".*"})`, `sum(in_flight)`} {
		if lone(t, expr) == nil {
			t.Errorf("%s passes", expr)
		}
	}
}

// lone returns what keeps an expression from being about all replicas in view: a selector that no aggregation is above, or
// that leaves out the choice of deployments and replicas.
func lone(t *testing.T, expression string) (problems []string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		t.Fatal(err)
	}
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		v, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		if !slices.ContainsFunc(path, func(n parser.Node) bool { _, ok := n.(*parser.AggregateExpr); return ok }) {
			problems = append(problems, v.Name+" is not aggregated: one line for each replica, and a new one after each restart")
		}
		for _, name := range []string{"environment", "job", "replica"} {
			if !strings.Contains(v.String(), name+`=~".*"`) {
				problems = append(problems, v.Name+" is not narrowed to the chosen "+name)
			}
		}
		return nil
	})
	return problems
}

func TestRatesUseGrafanasInterval(t *testing.T) {
	t.Parallel()
	long := regexp.MustCompile(`\[(1h|30d)\]`) // what a number is about, not how it is smoothed
	for title, exprs := range expressions() {
		for _, expr := range exprs {
			for _, window := range regexp.MustCompile(`\[[^\]]*\]`).FindAllString(expr, -1) {
				if window != "[$__rate_interval]" && !long.MatchString(window) {
					t.Errorf("%s: the window %s does not follow the zoom\n%s", title, window, expr)
				}
			}
		}
	}
}
