package dashboard

import (
	"maps"
	"slices"
	"strings"
)

// draw turns the description into a panel of Grafana's; its place is still to come.
func (p panel) draw() widget {
	w := widget{Type: p.kind.plugin(), Title: p.title, Description: p.description(), Datasource: &prometheusSource, Options: p.options(), FieldConfig: p.fields()}
	if p.metrics != nil {
		w.Datasource = &azureSource
	}
	for i, q := range p.queries {
		t := target{RefID: refID(i), Datasource: prometheusSource, Expr: expand(q.expr), LegendFormat: q.legend, EditorMode: "code", Range: true}
		if p.kind == heatmap {
			t.Format = "heatmap"
		}
		t.Exemplar = p.kind == lines && strings.Contains(q.expr, "histogram_quantile")
		w.Targets = append(w.Targets, t)
	}
	for i, q := range p.metrics {
		w.Targets = append(w.Targets, q.target(refID(i)))
	}
	return w
}

func refID(i int) string { return string(rune('A' + i)) }

func (p panel) description() string {
	return p.shows + "\n\n**Do:** " + p.do + "\n\nRunbook: " + p.runbook
}

func (k kind) plugin() string {
	return [...]string{stat: "stat", lines: "timeseries", timeline: "state-timeline", heatmap: "heatmap"}[k]
}

func (q azureQuery) target(refID string) target {
	r := azureResource{"$subscription", "$resource_group", "microsoft.servicebus/namespaces", "$servicebus"}
	dimensions := []azureDimension{}
	switch q.resource {
	case queue:
		dimensions = append(dimensions, azureDimension{"EntityName", "eq", []string{"$queue"}})
	case app:
		r.MetricNamespace, r.ResourceName = "microsoft.app/containerapps", "$app"
	case namespace:
	}
	return target{RefID: refID, Datasource: azureSource, QueryType: "Azure Monitor", Subscription: "$subscription",
		AzureMonitor: &azureMonitor{Resources: []azureResource{r}, MetricNamespace: r.MetricNamespace, MetricName: q.metric,
			Aggregation: q.aggregation, TimeGrain: "auto", DimensionFilters: dimensions, Alias: q.legend}}
}

func (p panel) fields() *fieldConfig {
	f := field{Unit: p.unit, Decimals: p.decimals, Min: p.min, Max: p.max, NoValue: p.empty, Color: map[string]any{"mode": "palette-classic"},
		Thresholds: thresholds{"absolute", p.steps}, Custom: p.custom()}
	if p.kind != lines {
		f.Color["mode"] = "thresholds"
	}
	if f.Thresholds.Steps == nil {
		f.Thresholds.Steps = from("text")
	}
	if p.kind == lines && p.min == nil {
		f.Min = number(0.0)
	}
	if p.kind == lines && p.log {
		f.Min = nil
	}
	if len(p.states) > 0 {
		m := mapping{"value", map[string]mappingResult{}}
		for i, s := range p.states {
			m.Options[s.value] = mappingResult{s.text, s.color, i}
		}
		f.Mappings = []mapping{m}
	}
	overrides := []override{}
	for _, name := range slices.Sorted(maps.Keys(p.colors)) {
		color := map[string]any{"mode": "fixed", "fixedColor": p.colors[name]}
		if strings.Contains(name, "|") { // several series: shades of it
			color["mode"] = "shades"
		}
		overrides = append(overrides, override{matcher{"byRegexp", "/^(" + name + ")$/"}, []property{{"color", color}}})
	}
	return &fieldConfig{f, overrides}
}

func (p panel) custom() map[string]any {
	switch p.kind {
	case lines:
		custom := map[string]any{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "lineInterpolation": "linear", "showPoints": "never",
			"spanNulls": false, "axisSoftMax": 1, "stacking": map[string]any{"mode": "none", "group": "A"}, "thresholdsStyle": map[string]any{"mode": "off"}}
		if len(p.steps) > 0 {
			custom["thresholdsStyle"] = map[string]any{"mode": "dashed"}
		}
		if p.stacked {
			custom["stacking"], custom["fillOpacity"], custom["lineWidth"] = map[string]any{"mode": "normal", "group": "A"}, 70, 0
		}
		if p.unit == "percentunit" {
			custom["axisSoftMax"] = 0.05
		}
		if p.log {
			custom["scaleDistribution"] = map[string]any{"type": "log", "log": 10}
			custom["fillOpacity"] = 0
			delete(custom, "axisSoftMax")
		}
		return custom
	case timeline:
		return map[string]any{"fillOpacity": 85, "lineWidth": 0}
	case stat, heatmap:
	}
	return nil
}

func (p panel) options() any {
	legend := map[string]any{"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []string{}}
	tooltip := map[string]any{"mode": "multi", "sort": "desc"}
	switch p.kind {
	case stat:
		return map[string]any{"colorMode": "background_solid", "graphMode": "area", "justifyMode": "auto", "textMode": "auto", "orientation": "auto",
			"wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard", "reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}}
	case timeline:
		legend["showLegend"] = false
		return map[string]any{"showValue": "never", "mergeValues": true, "alignValue": "left", "rowHeight": 0.85, "legend": legend, "tooltip": tooltip}
	case heatmap:
		return map[string]any{"calculate": false, "cellGap": 1, "showValue": "never", "exemplars": map[string]any{"color": "rgba(255,0,255,0.7)"},
			"color":  map[string]any{"mode": "scheme", "scheme": "Turbo", "scale": "exponential", "exponent": 0.5, "fill": "dark-orange", "reverse": false, "steps": 64},
			"legend": map[string]any{"show": true}, "rowsFrame": map[string]any{"layout": "auto"}, "filterValues": map[string]any{"le": 1e-9},
			"tooltip": map[string]any{"mode": "single", "showColorScale": true, "yHistogram": true}, "yAxis": map[string]any{"unit": p.unit, "axisPlacement": "left", "reverse": false}}
	case lines:
	}
	if named := p.queries != nil && strings.Contains(p.queries[0].legend, "endpoint"); p.w >= 12 && !named { // those are long
		legend["displayMode"], legend["placement"], legend["calcs"] = "table", "right", []string{"mean", "max"}
	}
	return map[string]any{"legend": legend, "tooltip": tooltip}
}
