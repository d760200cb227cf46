// Package dashboard writes deploy/grafana/batch-terminator.json, the Grafana dashboard. A panel takes a dozen lines here and a
// hundred there, and every rule that all of them keep (layout, units, how a query sees several replicas) stands in one place.
//
// A panel answers a question that an on-call engineer has, and its description says what to do when the answer is bad. Every
// query aggregates over the replicas, and works without the recording rules.
//
//	dashboard.go   the rows, the variables, and how they become a page
//	panel.go       how a panel is described; draw.go how that becomes Grafana's
//	model.go       the part of Grafana's format that is used
//	overview.go    "is it fine?", and what is wrong since when; the other rows follow in files of their own
//
// To change a panel, edit its row and run UPDATE_DASHBOARD=1 go test ./cmd/internal/dashboard.
// deploy/grafana/preview/render.sh draws what it looks like then.
package dashboard

import (
	"encoding/json"
	"strings"
)

// row is a heading and the panels below it.
type row struct {
	title     string
	collapsed bool
	panels    []panel
}

func rows() []row {
	return []row{overview(), throughput(), latency(), retries(), saturation(), locks(), batch(), platform(), process()}
}

// JSON returns the dashboard as Grafana imports it.
func JSON() ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(build()); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}

var (
	prometheusSource = source{"prometheus", "${datasource}"}
	azureSource      = source{"grafana-azure-monitor-datasource", "${azure}"}
)

func build() page {
	p := page{
		UID: "batch-terminator", Title: "Batch Terminator", Tags: []string{"batch-terminator", "azure-batch", "service-bus"},
		Description:  "Is it fine, and if not, what is wrong since when? Each panel's description says what to do; deploy/RUNBOOK.md has the rest.",
		GraphTooltip: 1, SchemaVersion: 41, Timezone: "browser", Refresh: "30s", Time: timeRange{"now-6h", "now"},
		Templating: listOf[choice]{variables()}, Annotations: listOf[marker]{markers()}, Links: []struct{}{},
	}
	p.Panels = layout(rows())
	return p
}

// layout places the panels from left to right and from top to bottom, on Grafana's 24 columns.
func layout(rows []row) (placed []widget) {
	id, y := 0, 0
	next := func() int { id++; return id }
	for _, r := range rows {
		heading := widget{ID: next(), Type: "row", Title: r.title, GridPos: grid{H: 1, W: 24, Y: y}, Collapsed: &r.collapsed, Panels: &[]widget{}}
		y++
		var below []widget
		x, tallest := 0, 0
		for _, p := range r.panels {
			if x+p.w > 24 {
				x, y, tallest = 0, y+tallest, 0
			}
			w := p.draw()
			w.ID, w.GridPos = next(), grid{H: p.h, W: p.w, X: x, Y: y}
			below = append(below, w)
			x, tallest = x+p.w, max(tallest, p.h)
		}
		y += tallest
		if r.collapsed {
			heading.Panels = &below
			placed = append(placed, heading)
			continue
		}
		placed = append(append(placed, heading), below...)
	}
	return placed
}

// anyValue is "All": it matches series without the label too, so that a scrape that sets none works as well.
const anyValue = ".*"

func variables() []choice {
	query := func(name, label, description, q string) choice {
		return choice{Name: name, Type: "query", Label: label, Description: description, Datasource: &prometheusSource, Definition: q,
			Query: map[string]any{"query": q, "refId": name}, Refresh: 2, Sort: 1, Multi: true, IncludeAll: true, AllValue: anyValue,
			Current: &option{true, []string{"All"}, []string{"$__all"}}}
	}
	text := func(name, label, description, value string) choice {
		return choice{Name: name, Type: "textbox", Label: label, Description: description, Query: value,
			Current: &option{true, value, value}, Options: []option{{true, value, value}}}
	}
	return []choice{
		{Name: "datasource", Type: "datasource", Label: "Data source", Description: "The Prometheus or Azure Monitor workspace that the replicas write to.", Query: "prometheus", Refresh: 1},
		query("environment", "Environment", "Where a deployment runs, if its metrics say so.", "label_values(batch_terminator_build_info, environment)"),
		query("job", "Job", "Deployments, by the name of their scrape job.", `label_values(batch_terminator_build_info{environment=~"$environment"}, job)`),
		{Name: "replica_label", Type: "custom", Label: "Replica label", Description: "The label that tells replicas apart: replica on Container Apps, pod or instance elsewhere.",
			Query: "replica,instance,pod", Current: &option{true, "replica", "replica"},
			Options: []option{{true, "replica", "replica"}, {false, "instance", "instance"}, {false, "pod", "pod"}}},
		query("replica", "Replica", "Replicas, to look at some alone.", `label_values(batch_terminator_build_info{environment=~"$environment",job=~"$job"}, $replica_label)`),
		query("endpoint", "Batch account", "Batch endpoints of the allow-list.", `label_values(batch_terminator_concurrency_limit{environment=~"$environment",job=~"$job"}, endpoint)`),
		{Name: "azure", Type: "datasource", Label: "Azure Monitor", Description: "For the counts of the queue and the row Platform.", Query: azureSource.Type, Refresh: 1},
		text("subscription", "Subscription", "Id of the Azure subscription that holds the resources below.", ""),
		text("resource_group", "Resource group", "That of the Service Bus namespace and the Container App.", ""),
		text("servicebus", "Service Bus namespace", "Its short name, without .servicebus.windows.net.", ""),
		text("queue", "Queue", "The queue that the worker receives from.", "terminate-requests"),
		text("app", "Container App", "The name of the app.", "batch-terminator"),
	}
}

func markers() []marker {
	return []marker{
		{Name: "Deployments", Datasource: prometheusSource, Enable: true, IconColor: "blue", Step: "60s",
			Expr:        expand(`count by (version) (build_info{@}) unless count by (version) (build_info{@} offset 5m)`),
			TitleFormat: "Version {{version}}", TextFormat: "First seen in the five minutes before."},
		{Name: "Replicas started", Datasource: prometheusSource, Enable: true, IconColor: "purple", Step: "30s",
			Expr:        expand(`count by ($replica_label) (time() - process_start_time_seconds{@} < 60)`),
			TitleFormat: "Replica started", TextFormat: "{{$replica_label}}"},
	}
}
