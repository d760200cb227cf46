package validate

import (
	"os"
	"strings"
	"testing"
)

const (
	ruleFile     = "../prometheus/rules.yml"
	ruleManifest = "../kubernetes/monitoring/prometheusrule.yaml"
	ruleHeader   = `# deploy/prometheus/rules.yml for the Prometheus operator. Written by
# UPDATE_RULES=1 go -C deploy/validate test -run Rules ./..., not by hand.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: batch-terminator
spec:
`
)

// The operator takes the rules only as an object of its own.
func TestRulesForTheOperatorAreThoseOfTheFile(t *testing.T) {
	text, err := os.ReadFile(ruleFile)
	if err != nil {
		t.Fatal(err)
	}
	_, groups, ok := strings.Cut(string(text), "\ngroups:\n")
	if !ok {
		t.Fatal("rules.yml has no groups")
	}
	want := ruleHeader + "  groups:\n"
	for line := range strings.Lines(groups) {
		if line != "\n" {
			want += "  "
		}
		want += line
	}
	got, err := os.ReadFile(ruleManifest)
	if err == nil && string(got) == want {
		return
	}
	if os.Getenv("UPDATE_RULES") == "" {
		t.Fatalf("%s is not %s: UPDATE_RULES=1 go -C deploy/validate test -run Rules ./... writes it (%v)", ruleManifest, ruleFile, err)
	}
	if err := os.WriteFile(ruleManifest, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}
