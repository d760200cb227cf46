package metrics

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"batchterminator/handler"
)

func names(families map[string]*dto.MetricFamily) []string {
	return slices.Sorted(maps.Keys(families))
}

// series lists the label values of a family, each as name=value pairs in label order.
func series(family *dto.MetricFamily) (all []string) {
	for _, metric := range family.GetMetric() {
		var pairs []string
		for _, l := range metric.GetLabel() {
			pairs = append(pairs, l.GetName()+"="+l.GetValue())
		}
		all = append(all, strings.Join(pairs, ","))
	}
	return all
}

func TestNamesFollowPrometheusRules(t *testing.T) {
	t.Parallel()
	m, r := newMetrics()
	oneOfEach(m)
	own := names(gather(t, r))
	problems, err := testutil.GatherAndLint(r, own...)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	for _, name := range own {
		if !strings.HasPrefix(name, "batch_terminator_") {
			t.Errorf("%s lacks the prefix", name)
		}
	}
}

func TestTheRuntimeAndTheProcessAreExposedToo(t *testing.T) {
	t.Parallel()
	_, r := newMetrics()
	for _, name := range []string{"go_goroutines", "process_cpu_seconds_total"} {
		if n, err := testutil.GatherAndCount(r, name); n != 1 || err != nil {
			t.Errorf("%s: %d series, %v", name, n, err)
		}
	}
}

func TestEveryOutcomeHasItsSeriesFromTheStart(t *testing.T) {
	t.Parallel()
	_, r := newMetrics()
	own := gather(t, r)
	var deliveries, causes []string
	for _, o := range handler.Outcomes() {
		deliveries = append(deliveries, "outcome="+o.String())
		if d := o.Decision(); d == handler.Redeliver || d == handler.Pause {
			causes = append(causes, "cause="+o.String())
		}
	}
	for name, want := range map[string][]string{"deliveries_total": deliveries, "redeliveries_scheduled_total": causes} {
		slices.Sort(want)
		if got := series(own["batch_terminator_"+name]); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// No event that the closed sets allow may create a series: an absent one means "not scraped".
func TestEventsCreateNoSeriesButRareStatuses(t *testing.T) {
	t.Parallel()
	m, r := newMetrics()
	before := gather(t, r)
	everyEvent(m)
	for name, family := range gather(t, r) {
		got, want := series(family), series(before[name])
		if name != "batch_terminator_batch_requests_total" && !slices.Equal(got, want) {
			t.Errorf("%s: %v, at the start %v", name, got, want)
		}
	}
}

// everyEvent records each combination that the worker may.
func everyEvent(m *Metrics) {
	oneOfEach(m)
	for _, o := range handler.Outcomes() {
		for _, settlement := range Settlements {
			for _, result := range SettleResults {
				m.Settled(Delivery{Outcome: o, Settlement: settlement, Result: result})
			}
		}
		if d := o.Decision(); d == handler.Redeliver || d == handler.Pause {
			m.Redelivered(o)
		}
	}
	for _, endpoint := range []string{contoso, fabrikam} {
		for _, cause := range GateCauses {
			m.Gate(endpoint, cause, 2)
		}
		for status := range 600 {
			m.Request(endpoint, status, time.Millisecond, "")
		}
	}
}

// Promise P9: whatever happens, the page stays of one size.
func TestTheNumberOfSeriesIsBounded(t *testing.T) {
	t.Parallel()
	m, r := newMetrics()
	everyEvent(m)
	first := count(t, r)
	for range 3 {
		everyEvent(m)
	}
	if again := count(t, r); again != first {
		t.Errorf("%d series, then %d", first, again)
	}
	if n := len(series(gather(t, r)["batch_terminator_batch_requests_total"])); n > 2*600 {
		t.Errorf("%d series of requests for two endpoints", n)
	}
	for name, family := range gather(t, r) {
		for _, label := range family.GetMetric()[0].GetLabel() {
			if !slices.Contains([]string{"outcome", "settlement", "result", "since", "endpoint", "cause", "code", "version", "go_version", "state", "operation"}, label.GetName()) {
				t.Errorf("%s has the label %s", name, label.GetName())
			}
		}
	}
}

func count(t *testing.T, r *prometheus.Registry) int {
	t.Helper()
	n, err := testutil.GatherAndCount(r, names(gather(t, r))...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTwoWorkersInOneProcessDoNotMix(t *testing.T) {
	t.Parallel()
	one, first := newMetrics()
	_, second := newMetrics()
	idle := exposition(t, second)
	oneOfEach(one)
	if exposition(t, second) != idle {
		t.Error("one worker's events show on the other's page")
	}
	if exposition(t, first) == idle {
		t.Error("the events show on no page")
	}
}

func TestOneRegistryHoldsOneWorker(t *testing.T) {
	t.Parallel()
	_, r := newMetrics()
	defer func() {
		if recover() == nil {
			t.Error("a second worker was registered over the first")
		}
	}()
	New(r, "1.2.3", nil)
}

var typical = Delivery{Outcome: handler.Terminated, Settlement: "complete", Result: "ok",
	Ended: time.Now(), SinceEnqueued: time.Second, SinceFirst: time.Minute, Settling: 3 * time.Millisecond,
	Attempts: 1, DeliveryCount: 1, LockRemaining: time.Minute}

// Counting runs once for each message, on the hot path.
func TestCountingDoesNotAllocate(t *testing.T) {
	m, _ := newMetrics()
	now := time.Now()
	for name, event := range map[string]func(){
		"received":  func() { m.Received(now, time.Second) },
		"moved":     func() { m.Move(Gone, Waiting); m.Move(Waiting, Gone) },
		"called":    func() { m.Request(contoso, 204, 30*time.Millisecond, "") },
		"renewed":   func() { m.Renewal("ok"); m.RenewalLateness(time.Millisecond) },
		"completed": func() { m.Operation("complete") },
		"settled":   func() { m.Settled(typical) },
	} {
		if n := testing.AllocsPerRun(1000, event); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// One delivery as the worker records it, its call included.
func BenchmarkDelivery(b *testing.B) {
	for name, traceID := range map[string]string{"untraced": "", "traced": traceID} {
		b.Run(name, func(b *testing.B) {
			m, _ := newMetrics()
			d := typical
			d.TraceID = traceID
			b.ReportAllocs()
			for b.Loop() {
				m.Received(d.Ended, time.Second)
				m.Move(Gone, Waiting)
				m.Move(Waiting, Working)
				m.Request(contoso, 204, 30*time.Millisecond, traceID)
				m.Move(Working, Settling)
				m.Operation("complete")
				m.Move(Settling, Gone)
				m.Settled(d)
			}
		})
	}
}
