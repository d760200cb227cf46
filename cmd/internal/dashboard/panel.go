package dashboard

import "regexp"

// panel describes one panel. What it does not say, its kind does.
type panel struct {
	kind  kind
	title string
	// shows says what is seen, do what to do when it looks bad, runbook which section of deploy/RUNBOOK.md goes on from there.
	shows, do, runbook string
	unit               string // Grafana's id
	w, h               int    // 24 columns make the width
	queries            []query
	metrics            []azureQuery // instead of queries

	steps    []step            // thresholds, by which a stat has its colour
	states   []state           // texts in place of numbers
	colors   map[string]string // of series, by regular expression on their names
	min, max *float64
	decimals *int
	stacked  bool
	log      bool // scale of the axis
	empty    string
}

type kind int

const (
	stat     kind = iota // one number, coloured
	lines                // over time
	timeline             // states over time
	heatmap              // of a histogram's buckets over time
)

// query is PromQL in the short form that expand reads.
type query struct {
	expr, legend string
}

// azureQuery is a platform metric of Azure Monitor.
type azureQuery struct {
	resource    resource
	metric      string
	aggregation string // Average, Maximum, Total
	legend      string
}

type resource int

const (
	queue     resource = iota // a Service Bus namespace, narrowed to the queue
	namespace                 // all of it
	app                       // a Container App
)

// state is a number that has a name.
type state struct {
	value, text, color string
}

var (
	series   = regexp.MustCompile(`\b([a-z_]+)(\{@)`)
	others   = regexp.MustCompile(`^(process|go)_`)
	selector = regexp.MustCompile(`\{@(e?)(,?)`)
)

// expand writes out the short form: {@} selects the deployments and replicas in view, {@e} the Batch accounts too, [@] is the
// window of a rate, and names lack their prefix.
func expand(expr string) string {
	expr = series.ReplaceAllStringFunc(expr, func(s string) string {
		if others.MatchString(s) {
			return s
		}
		return "batch_terminator_" + s
	})
	expr = selector.ReplaceAllStringFunc(expr, func(s string) string {
		parts := selector.FindStringSubmatch(s)
		out := `{environment=~"$environment",job=~"$job",$replica_label=~"$replica"`
		if parts[1] != "" {
			out += `,endpoint=~"$endpoint"`
		}
		return out + parts[2]
	})
	return window.ReplaceAllString(expr, "[$$__rate_interval]")
}

var window = regexp.MustCompile(`\[@\]`)

// from makes thresholds: the first colour, then a value and the colour from there on, and so forth.
func from(color string, then ...any) []step {
	steps := []step{{Color: color}}
	for i := 0; i+1 < len(then); i += 2 {
		value, _ := then[i].(float64)
		next, _ := then[i+1].(string)
		steps = append(steps, step{next, &value})
	}
	return steps
}

func number[T int | float64](n T) *T { return &n }

// quantiles are the usual three of a histogram, whose selector and further grouping are given.
func quantiles(buckets, by string) (queries []query) {
	prefix := ""
	if by != "" {
		prefix, by = "{{"+by+"}} ", ","+by
	}
	for _, q := range []struct{ at, name string }{{"0.5", "p50"}, {"0.95", "p95"}, {"0.99", "p99"}} {
		queries = append(queries, query{"histogram_quantile(" + q.at + ", sum by (le" + by + ") (rate(" + buckets + "[@])))", prefix + q.name})
	}
	return queries
}
