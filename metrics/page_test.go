package metrics

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"batchterminator/handler"
)

// traceID is that of the example in W3C Trace Context.
const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"

// The list of the series and what a scrape sees are the same.
func TestEverySeriesIsDescribed(t *testing.T) {
	t.Parallel()
	_, r := newMetrics()
	own := gather(t, r)
	var described []string
	for _, s := range All() {
		described = append(described, s.Name)
		family, ok := own[s.Name]
		if !ok {
			t.Errorf("%s is described and not exposed", s.Name)
			continue
		}
		var labels []string
		for _, l := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		want := slices.Sorted(slices.Values(s.Labels))
		if kind := strings.ToLower(family.GetType().String()); kind != s.Type || family.GetHelp() != s.Help || !slices.Equal(labels, want) {
			t.Errorf("%s: a %s with %v, described as a %s with %v", s.Name, kind, labels, s.Type, want)
		}
		for what, text := range map[string]string{"meaning": s.Help, "advice": s.Do} {
			if !strings.HasSuffix(text, ".") || strings.ContainsAny(text, "|\n") {
				t.Errorf("%s: its %s is no sentence for a table: %q", s.Name, what, text)
			}
		}
	}
	if got := slices.Sorted(slices.Values(described)); !slices.Equal(got, names(own)) {
		t.Errorf("described and exposed (-exposed +described):\n%s", cmp.Diff(names(own), got))
	}
}

func TestHistogramsHaveNativeBucketsBesideTheClassicOnes(t *testing.T) {
	t.Parallel()
	m, r := newMetrics()
	m.Settled(typical)
	for name, family := range gather(t, r) {
		for _, metric := range family.GetMetric() {
			h := metric.GetHistogram()
			if h == nil || h.GetSampleCount() == 0 {
				continue
			}
			if len(h.GetBucket()) == 0 {
				t.Errorf("%s has no classic buckets", name)
			}
			if h.Schema == nil || len(h.GetPositiveSpan()) == 0 {
				t.Errorf("%s has no native buckets", name)
			}
		}
	}
}

// What the issue asks of the buckets: Batch calls 5 ms to 30 s, end to end 10 ms to 24 h.
func TestBucketsFitWhatTheyMeasure(t *testing.T) {
	t.Parallel()
	_, r := newMetrics()
	own := gather(t, r)
	for name, want := range map[string][2]time.Duration{
		"batch_request_duration_seconds": {5 * time.Millisecond, 30 * time.Second},
		"end_to_end_seconds":             {10 * time.Millisecond, 24 * time.Hour},
	} {
		buckets := own[namespace+"_"+name].GetMetric()[0].GetHistogram().GetBucket()
		if buckets = slices.Clip(buckets); buckets[0].GetUpperBound() != want[0].Seconds() || buckets[len(buckets)-1].GetUpperBound() != want[1].Seconds() {
			t.Errorf("%s: from %v to %v, want %v", name, buckets[0].GetUpperBound(), buckets[len(buckets)-1].GetUpperBound(), want)
		}
	}
}

func TestATraceIsAnExemplarOfTheTimesItTook(t *testing.T) {
	t.Parallel()
	m, r := newMetrics()
	d := typical
	m.Settled(d)
	m.Request(contoso, 204, time.Millisecond, "")
	if page := openMetrics(t, r); strings.Contains(page, "trace_id") {
		t.Error("an exemplar without a trace")
	}
	d.TraceID = traceID
	m.Settled(d)
	m.Request(contoso, 204, time.Millisecond, traceID)
	page := openMetrics(t, r)
	for _, series := range []string{
		`end_to_end_seconds_bucket{since="enqueued",le="1.0"}`, `end_to_end_seconds_bucket{since="first_enqueued",le="60.0"}`,
		`settlement_duration_seconds_bucket{settlement="complete",le="0.005"}`, `batch_request_duration_seconds_bucket{endpoint="` + contoso + `",le="0.005"}`,
	} {
		found := false
		for line := range strings.Lines(page) {
			found = found || strings.HasPrefix(line, namespace+"_"+series) && strings.Contains(line, `# {trace_id="`+traceID+`"}`)
		}
		if !found {
			t.Errorf("%s has no exemplar", series)
		}
	}
}

// openMetrics renders what a scrape sees that asks for OpenMetrics.
func openMetrics(t *testing.T, r *prometheus.Registry) string {
	t.Helper()
	own := gather(t, r)
	var b bytes.Buffer
	for _, name := range names(own) {
		if _, err := expfmt.MetricFamilyToOpenMetrics(&b, own[name]); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// The exposition of the golden file, as Prometheus's own tool judges it.
func TestPromtoolFindsNothingToSay(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed here; CI installs it")
	}
	m, r := newMetrics()
	oneOfEach(m)
	check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(exposition(t, r))
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// deploy/metrics.md is written from the page. UPDATE_METRICS=1 go test ./metrics rewrites it.
func TestTheTableOfTheSeriesIsThePage(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "deploy", "metrics.md")
	want := table()
	if os.Getenv("UPDATE_METRICS") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s (-want +got); UPDATE_METRICS=1 go test ./metrics writes it:\n%s", path, diff)
	}
}

func table() string {
	var b strings.Builder
	b.WriteString(tableHead)
	for _, s := range All() {
		labels := strings.Join(s.Labels, "`, `")
		if labels != "" {
			labels = "`" + labels + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Name, s.Type, labels, s.Help, s.Do)
	}
	b.WriteString("\n## Values of the labels\n\n| Label | Values |\n|---|---|\n")
	for _, l := range []struct {
		label  string
		values []string
	}{
		{"outcome", outcomeNames()}, {"settlement", Settlements}, {"result", slices.Concat([]string{"of settlements:"}, SettleResults, []string{"of renewals:"}, RenewalResults, []string{"of drains:"}, drainResults)},
		{"operation", Operations}, {"state", holdings[:]}, {"since", []string{"enqueued", "first_enqueued"}},
		{"cause", slices.Concat([]string{"of gates:"}, GateCauses, []string{"of clients:"}, ReplaceCauses, []string{"of redeliveries: the outcome"})},
		{"endpoint", []string{"the configured Batch endpoints"}}, {"code", []string{"an HTTP status, or", "error"}},
	} {
		fmt.Fprintf(&b, "| `%s` | %s |\n", l.label, strings.Join(l.values, " "))
	}
	return b.String()
}

func outcomeNames() (names []string) {
	for _, o := range handler.Outcomes() {
		names = append(names, o.String())
	}
	return names
}

const tableHead = `# The series of the worker

<!-- Written by UPDATE_METRICS=1 go test ./metrics, not by hand. -->

` + "`/metrics`" + ` serves these, and the collectors of Go and of the process (` + "`go_…`, `process_…`" + `). Every series with every value
of its labels is there from the start, at zero: one that is absent was not scraped. No label carries anything from a message, so their number
is fixed by the settings, but for the statuses of HTTP.

The histograms have native buckets beside the classic ones, for who scrapes with protobuf and wants them. Who scrapes with OpenMetrics,
as Prometheus does by default, sees the ids of traces as exemplars, and bounds with a point: ` + "`le=\"30.0\"`" + `, where the plain text format
has ` + "`le=\"30\"`" + `. Rules that name a bound allow both: ` + "`le=~\"30([.]0)?\"`" + `.

| Series | Type | Labels | Meaning | What to do |
|---|---|---|---|---|
`
