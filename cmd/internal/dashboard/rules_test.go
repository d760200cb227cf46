package dashboard

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	file        = "../../../deploy/grafana/batch-terminator.json"
	runbookFile = "../../../deploy/RUNBOOK.md"
)

// UPDATE_DASHBOARD=1 go test rewrites it.
func TestFileIsWhatTheCodeSays(t *testing.T) {
	t.Parallel()
	want, err := JSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err == nil && bytes.Equal(got, want) {
		return
	}
	if os.Getenv("UPDATE_DASHBOARD") == "" {
		t.Fatalf("%s is not what the code says; UPDATE_DASHBOARD=1 writes it: %v\n%s", file, err, cmp.Diff(string(want), string(got)))
	}
	if err := os.WriteFile(file, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// flat are all panels, those inside of collapsed rows too.
func flat(all []widget) (panels []widget) {
	for _, w := range all {
		if w.Type == "row" {
			panels = append(panels, flat(*w.Panels)...)
			continue
		}
		panels = append(panels, w)
	}
	return panels
}

// units are Grafana's ids of those in use; it takes what it does not know for a suffix.
var units = []string{"none", "short", "s", "bytes", "percent", "percentunit", "mps", "ops", "reqps", "cps"}

// The rules of Grafana's dashboard linter that concern panels. Not kept, with the reason:
//   - template-instance-rule, target-instance-rule: instance is 127.0.0.1 in every replica of a Container App; $replica_label
//     and $replica stand for it.
//   - template-datasource-rule: there are two data sources, and the Prometheus one has the name that the rule asks for.
//
// Those on PromQL are in query_test.go.
func TestPanelsKeepTheLintersRules(t *testing.T) {
	t.Parallel()
	ids := map[int]bool{}
	panels := flat(build().Panels)
	if len(panels) < 50 {
		t.Errorf("%d panels", len(panels))
	}
	for _, w := range panels {
		if ids[w.ID] {
			t.Errorf("%s: its id is taken", w.Title)
		}
		ids[w.ID] = true
		if w.Title == "" || w.Datasource == nil || len(w.Targets) == 0 {
			t.Errorf("%q: no title, data source or query", w.Title)
		}
		if !slices.Contains(units, w.FieldConfig.Defaults.Unit) {
			t.Errorf("%s: unit %q is none that is known here", w.Title, w.FieldConfig.Defaults.Unit)
		}
		if w.FieldConfig.Defaults.Thresholds.Steps[0].Value != nil {
			t.Errorf("%s: the first threshold has a value", w.Title)
		}
		for _, q := range w.Targets {
			if q.Datasource != *w.Datasource {
				t.Errorf("%s: %s is of another data source than its panel", w.Title, q.RefID)
			}
			if w.Type != "heatmap" && q.AzureMonitor == nil && q.LegendFormat == "" {
				t.Errorf("%s: %s has no name in the legend", w.Title, q.RefID)
			}
		}
		if g := w.GridPos; g.X < 0 || g.X+g.W > 24 || g.W <= 0 || g.H <= 0 {
			t.Errorf("%s: %+v is outside of the page", w.Title, g)
		}
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	t.Parallel()
	taken := map[[2]int]string{}
	for _, w := range flat(build().Panels) {
		for x := w.GridPos.X; x < w.GridPos.X+w.GridPos.W; x++ {
			for y := w.GridPos.Y; y < w.GridPos.Y+w.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies over %s", w.Title, other)
				}
				taken[[2]int{x, y}] = w.Title
			}
		}
	}
}

// A panel that does not say what to do only worries its reader.
func TestDescriptionsSayWhatToDo(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(runbookFile)
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		sections = append(sections, m[1])
	}
	for _, r := range rows() {
		for _, p := range r.panels {
			if len(p.shows) < 30 || !strings.HasSuffix(p.shows, ".") || len(p.do) < 20 || !strings.HasSuffix(p.do, ".") {
				t.Errorf("%s: it shows %q, and to do is %q; want a sentence each", p.title, p.shows, p.do)
			}
			for name := range strings.SplitSeq(p.runbook, ", ") {
				if !slices.Contains(sections, name) {
					t.Errorf("%s: deploy/RUNBOOK.md has no section %q", p.title, name)
				}
			}
		}
	}
}

func TestPageKeepsTheLintersRules(t *testing.T) {
	t.Parallel()
	p := build()
	if p.ID != nil || p.UID == "" || p.Editable || p.SchemaVersion != 41 || len(p.Tags) == 0 {
		t.Errorf("id %v, uid %q, editable %t, schema version %d, tags %q", p.ID, p.UID, p.Editable, p.SchemaVersion, p.Tags)
	}
	used, _ := JSON()
	for _, v := range p.Templating.List {
		if !regexp.MustCompile(`\$\{?` + v.Name + `\b`).Match(used) {
			t.Errorf("variable %s is not used", v.Name)
		}
		if v.Label == "" || v.Description == "" {
			t.Errorf("variable %s has no label or description", v.Name)
		}
		if v.Type == "query" && (*v.Datasource != prometheusSource || v.Refresh != 2 || !v.Multi || !v.IncludeAll || v.AllValue == "") {
			t.Errorf("variable %s: %+v; want one of Prometheus, many at once, all by default, read again when the time range changes", v.Name, v)
		}
	}
	if v := p.Templating.List[0]; v.Name != "datasource" || v.Label != "Data source" || v.Query != "prometheus" {
		t.Errorf("the data source is %+v", v)
	}
}

// The runbook sends its reader to panels by their titles or the first words of them, in italics.
func TestRunbookNamesPanelsThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(runbookFile)
	if err != nil {
		t.Fatal(err)
	}
	panels, found := flat(build().Panels), 0
	for _, m := range regexp.MustCompile(`[^*]\*([A-Z][^*]+)\*[^*]`).FindAllStringSubmatch(string(text), -1) {
		name := strings.Join(strings.Fields(m[1]), " ") // it may go over a line's end
		if strings.HasPrefix(name, "Azure ") || strings.HasPrefix(name, "Monitoring ") {
			continue // a role
		}
		if found++; !slices.ContainsFunc(panels, func(w widget) bool { return strings.HasPrefix(w.Title, name) }) {
			t.Errorf("deploy/RUNBOOK.md names a panel %q", name)
		}
	}
	if found < 10 {
		t.Errorf("%d panels found in deploy/RUNBOOK.md; the pattern no longer fits", found)
	}
}

// Azure Monitor's names, as documented for microsoft.servicebus/namespaces and microsoft.app/containerapps.
var platformMetrics = map[resource]map[string][]string{
	queue: {
		"Average": {"ActiveMessages", "DeadletteredMessages", "ScheduledMessages"}, "Maximum": {"ActiveMessages"},
		"Total": {"IncomingMessages", "CompleteMessage", "AbandonMessage", "ThrottledRequests", "ServerErrors", "UserErrors"},
	},
	namespace: {
		"Total": {"ActiveConnections"}, "Average": {"ConnectionsOpened", "ConnectionsClosed"}, "Maximum": {"NamespaceCpuUsage", "NamespaceMemoryUsage"},
	},
	app: {"Average": {"UsageNanoCores"}, "Maximum": {"Replicas", "RestartCount", "WorkingSetBytes"}},
}

func TestPlatformMetricsAreThoseOfAzureMonitor(t *testing.T) {
	t.Parallel()
	for _, r := range rows() {
		for _, p := range r.panels {
			for _, m := range p.metrics {
				if !slices.Contains(platformMetrics[m.resource][m.aggregation], m.metric) {
					t.Errorf("%s: no metric %s with %s", p.title, m.metric, m.aggregation)
				}
			}
		}
	}
}
