package promqltest

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func series(t *testing.T) *Series {
	t.Helper()
	r := prometheus.NewRegistry()
	gate := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "gate_state"}, []string{"cause"})
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "calls_total"}, []string{"code"})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "took_seconds", Buckets: []float64{0.5, 60}})
	r.MustRegister(gate, calls, took)
	for _, cause := range []string{"auth", "outage"} {
		gate.WithLabelValues(cause)
	}
	for _, code := range []string{"204", "500"} {
		calls.WithLabelValues(code)
	}
	s, err := Of(r, "job", "instance")
	if err != nil {
		t.Fatal(err)
	}
	s.Add("up")
	s.AddCounter("sent_total", "remote")
	return s
}

func TestWhatExistsPasses(t *testing.T) {
	t.Parallel()
	s := series(t)
	for _, expr := range []string{
		`max by (job, cause) (gate_state{job="x",cause="auth"}) > 0`,
		`max by (job) (max_over_time(gate_state{cause=~"auth|outage"}[5m])) == 2`,
		`sum by (code) (rate(calls_total{code=~"5.."}[5m])) / ignoring (code) group_left sum(increase(calls_total[1h]))`,
		`sum(rate(took_seconds_bucket{le=~"60(.0)?"}[5m]) + rate(took_seconds_bucket{le="0.5"}[5m])) / sum(rate(took_seconds_count[5m]))`,
		`histogram_quantile(0.9, sum by (job, le) (rate(took_seconds_bucket[5m])))`,
		`histogram_quantile(0.9, sum by (job) (rate(took_seconds[5m])))`,
		`up{instance!="y"} == 0 and on (job) rate(sent_total{remote="anything"}[5m]) > 0`,
	} {
		for _, problem := range s.Check(expr) {
			t.Errorf("%s: %s", expr, problem)
		}
	}
}

func TestWhatCanNeverBeTrueIsFound(t *testing.T) {
	t.Parallel()
	s := series(t)
	for expr, want := range map[string]string{
		`gate_states > 0`:                                                "no metric gate_states",
		`gate_state{kind="auth"}`:                                        "no label kind",
		`gate_state{cause="throtle"}`:                                    `never has cause="throtle"`,
		`gate_state{cause!="throtle"}`:                                   `never has cause="throtle"`,
		`gate_state{cause=~"auth|throttle"}`:                             `never has cause="throttle"`,
		`rate(calls_total{code=~"4.."}[5m])`:                             "never has code=~",
		`rate(calls_total{code!~"4.."}[5m])`:                             "never has code!~",
		`rate(took_seconds_bucket{le="60"}[5m])`:                         `le="60.0" too`,
		`rate(took_seconds_bucket{le=~"30(.0)?"}[5m])`:                   `never has le`,
		`rate(took_seconds_count{le="60"}[5m])`:                          "no label le",
		`calls_total > 0`:                                                "is a counter",
		`rate(gate_state[5m])`:                                           "is no counter",
		`sum by (cause) (rate(calls_total[5m]))`:                         "label cause",
		`up == 0 and on (cause) rate(sent_total[5m]) > 0`:                "label cause",
		`up * on (job) group_left (version) gate_state`:                  "label version",
		`sum(rate(calls_total[5m])`:                                      "unclosed",
		`rate(calls_total[5m]) and rate(nothing_total[5m])`:              "no metric nothing_total",
		`max_over_time((rate(calls_total{code="418"}[5m]))[30m:1m]) > 0`: `code="418"`,
	} {
		if got := strings.Join(s.Check(expr), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}
