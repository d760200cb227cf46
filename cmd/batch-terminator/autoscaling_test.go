package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/internal/promqltest"
	"batchterminator/metrics"
)

// The page's query is over series that exist, and its numbers follow from the default concurrency as it says.
func TestTheAutoscalingPageFollowsFromTheWorker(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../deploy/AUTOSCALING.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	registry := prometheus.NewRegistry()
	metrics.New(registry, "1.2.3", []string{"https://contoso.westeurope.batch.azure.com"})
	series, err := promqltest.Of(registry)
	if err != nil {
		t.Fatal(err)
	}
	queries := regexp.MustCompile(`(?m)^ +query: (.*)$`).FindAllStringSubmatch(page, -1)
	for _, q := range queries {
		for _, problem := range series.Check(q[1]) {
			t.Errorf("%s: %s", q[1], problem)
		}
	}
	if len(queries) == 0 {
		t.Error("the page has no query")
	}
	concurrency := app.Defaults().Worker.Concurrency
	for _, want := range []string{fmt.Sprintf("messageCount: %q", fmt.Sprint(4*concurrency)), fmt.Sprintf("threshold: %q", fmt.Sprint(concurrency*60*7/10))} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s, with a concurrency of %d", want, concurrency)
		}
	}
}
