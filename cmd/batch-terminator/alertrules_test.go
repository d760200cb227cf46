package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"batchterminator/cmd/internal/promqltest"
	"batchterminator/handler"
	"batchterminator/metrics"
)

const (
	rulesFile     = "../../deploy/prometheus/rules.yml"
	ruleTestsFile = "../../deploy/prometheus/rules_test.yml"
	agentFile     = "../../deploy/prometheus/agent.yml"
	runbookFile   = "../../deploy/RUNBOOK.md"
)

// ruleGroup is a group of rules.yml, with all that one may say there.
type ruleGroup struct {
	Name     string
	Interval string
	Rules    []alertRule
}

// alertRule is a rule of either kind.
type alertRule struct {
	Record, Alert, Expr string
	For                 string
	Labels, Annotations map[string]string
}

// ruleGroups reads the rules; what they may not hold is an error.
func ruleGroups(t *testing.T) []ruleGroup {
	t.Helper()
	var file struct{ Groups []ruleGroup }
	readYAML(t, rulesFile, &file)
	if len(file.Groups) == 0 {
		t.Fatal("rules.yml holds no groups")
	}
	return file.Groups
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(readFile(t, name)))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// alertRules returns the alerts alone.
func alertRules(t *testing.T) (alerts []alertRule) {
	t.Helper()
	for _, g := range ruleGroups(t) {
		for _, r := range g.Rules {
			if r.Alert != "" {
				alerts = append(alerts, r)
			}
		}
	}
	return alerts
}

// An expression over a series that was renamed is true of nothing, and an alert that cannot fire looks like a quiet night.
func TestRulesUseSeriesThatExist(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics.New(registry, "1.2.3", []string{"https://contoso.westeurope.batch.azure.com"})
	series, err := promqltest.Of(registry, "job", "instance", "environment", "replica", "revision")
	if err != nil {
		t.Fatal(err)
	}
	series.Add("up")
	for _, result := range []string{"failed", "retried"} {
		series.AddCounter("prometheus_remote_storage_samples_"+result+"_total", "remote_name", "url")
	}
	for _, g := range ruleGroups(t) {
		for _, r := range g.Rules {
			for _, problem := range series.Check(r.Expr) {
				t.Errorf("%s%s: %s", r.Record, r.Alert, problem)
			}
			if r.Record != "" {
				series.Add(r.Record, "environment", "job")
			}
		}
	}
}

func TestDeadLetteringIsAboutEveryOutcomeThatDeadLetters(t *testing.T) {
	t.Parallel()
	var names []string
	for _, o := range handler.Outcomes() {
		if o.Decision() == handler.DeadLetter {
			names = append(names, o.String())
		}
	}
	want := `outcome=~"` + strings.Join(names, "|") + `"`
	i := slices.IndexFunc(alertRules(t), func(r alertRule) bool { return r.Alert == "BatchTerminatorDeadLettering" })
	if i < 0 || !strings.Contains(alertRules(t)[i].Expr, want) {
		t.Errorf("no alert BatchTerminatorDeadLettering with %s", want)
	}
}

// What the Bicep files cannot map, or a person who is woken would miss.
func TestEveryAlertSaysHowBadWhyAndWhereToLook(t *testing.T) {
	t.Parallel()
	wholeMinutes := regexp.MustCompile(`^[0-9]+[mh]$`)
	for _, r := range alertRules(t) {
		if severity := r.Labels["severity"]; severity != "page" && severity != "ticket" || len(r.Labels) != 1 {
			t.Errorf("%s: labels %v, want severity page or ticket and nothing else", r.Alert, r.Labels)
		}
		if !wholeMinutes.MatchString(r.For) {
			t.Errorf("%s: for %q, want whole minutes or hours", r.Alert, r.For)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || len(r.Annotations) != 3 {
			t.Errorf("%s: annotations %v, want summary, description, runbook_url", r.Alert, r.Annotations)
		}
		if got, want := r.Annotations["runbook_url"], "deploy/RUNBOOK.md#"+strings.ToLower(r.Alert); got != want {
			t.Errorf("%s: runbook_url %q, want %q", r.Alert, got, want)
		}
	}
}

// A section without its alert, or one that leaves out what to do, is found by whoever needs it at three in the morning.
func TestTheRunbookHasASectionForEachAlert(t *testing.T) {
	t.Parallel()
	sections := map[string]string{}
	for _, section := range strings.Split("\n"+string(readFile(t, runbookFile)), "\n## ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		sections[title] = text
	}
	for _, r := range alertRules(t) {
		for _, part := range []string{"**Meaning.**", "**First look.**", "**Likely causes", "hat to do.**", "**Verify.**"} {
			if !strings.Contains(sections[r.Alert], part) {
				t.Errorf("%s: the section lacks %s", r.Alert, part)
			}
		}
		if short := strings.TrimPrefix(r.Alert, "BatchTerminator"); !strings.Contains(sections["Start here"], "["+short+"](#"+strings.ToLower(r.Alert)+")") {
			t.Errorf("%s: not in the table of the first section", r.Alert)
		}
		delete(sections, r.Alert)
	}
	for title := range sections {
		if strings.HasPrefix(title, "BatchTerminator") {
			t.Errorf("%s is no alert", title)
		}
	}
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^##+ (.+)$`).FindAllStringSubmatch(string(readFile(t, runbookFile)), -1) {
		anchors[strings.ReplaceAll(strings.ToLower(heading[1]), " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(#([a-z-]+)\)`).FindAllStringSubmatch(string(readFile(t, runbookFile)), -1)
	for _, link := range links {
		if !anchors[link[1]] {
			t.Errorf("the runbook links to #%s, which is no section", link[1])
		}
	}
}

// ruleTests is rules_test.yml as far as it matters here.
type ruleTests struct {
	Tests []struct {
		Name       string
		AlertTests []struct {
			Alert  string `yaml:"alertname"`
			Expect []any  `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	}
}

func TestEachAlertHasUnitTestsInWhichItFiresAndDoesNot(t *testing.T) {
	t.Parallel()
	var file ruleTests
	if err := yaml.Unmarshal(readFile(t, ruleTestsFile), &file); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.AlertTests {
			if len(a.Expect) > 0 {
				fires[a.Alert] = true
			} else {
				quiet[a.Alert] = true
			}
		}
	}
	for _, r := range alertRules(t) {
		if !fires[r.Alert] || !quiet[r.Alert] {
			t.Errorf("%s: in a unit test it fires: %v, in one it does not: %v", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
	}
}

// prometheusTool returns where a program of Prometheus is; without it the test is skipped.
func prometheusTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install --no-install-recommends prometheus", name)
	}
	return path
}

func TestPrometheusTakesTheRulesAndTheirUnitTestsPass(t *testing.T) {
	t.Parallel()
	promtool := prometheusTool(t, "promtool")
	agent := filepath.Join(t.TempDir(), "agent.yml")
	if err := os.WriteFile(agent, []byte(agentConfig(t, "http://127.0.0.1:1/write")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"check", "rules", "--lint-fatal", rulesFile}, {"test", "rules", ruleTestsFile}, {"check", "config", "--agent", agent},
	} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// agentConfig is agent.yml as whoever deploys it fills it in, but without the token of Azure, of which Debian's Prometheus
// knows nothing yet.
func agentConfig(t *testing.T, url string) string {
	t.Helper()
	text := string(readFile(t, agentFile))
	begin, end := strings.Index(text, "    azuread:\n"), strings.Index(text, "    queue_config:\n")
	if begin < 0 || end < begin {
		t.Fatal("agent.yml: no azuread block before queue_config")
	}
	text = text[:begin] + text[end:]
	return strings.NewReplacer(`"__URL__"`, fmt.Sprintf("%q", url), "__ENVIRONMENT__", "test").Replace(text)
}

// The rules know the scrape jobs by name; the agent is what names them.
func TestTheAgentScrapesTheJobsThatTheRulesName(t *testing.T) {
	t.Parallel()
	text := string(readFile(t, agentFile))
	for _, want := range []string{"__URL__", "__CLIENT_ID__", "__ENVIRONMENT__", "${CONTAINER_APP_REPLICA_NAME}"} {
		if !strings.Contains(text, want) {
			t.Errorf("agent.yml lacks %s", want)
		}
	}
	jobs := regexp.MustCompile(`job="([^"]+)"`)
	for _, r := range alertRules(t) {
		for _, job := range jobs.FindAllStringSubmatch(r.Expr, -1) {
			if !strings.Contains(text, "job_name: "+job[1]+"\n") && !strings.Contains(text, "job_name: "+job[1]+" #") {
				t.Errorf("%s: the agent has no job %s", r.Alert, job[1])
			}
		}
	}
}
