package metrics

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"batchterminator/handler"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

const (
	contoso  = "https://contoso.westeurope.batch.azure.com"
	fabrikam = "https://fabrikam.northeurope.batch.azure.com"
)

func newMetrics() (*Metrics, *prometheus.Registry) {
	r := prometheus.NewRegistry()
	return New(r, "1.2.3", []string{contoso, fabrikam}), r
}

// gather returns the worker's own families; those of the Go runtime and the process differ between any two runs.
func gather(t *testing.T, r *prometheus.Registry) map[string]*dto.MetricFamily {
	t.Helper()
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]*dto.MetricFamily{}
	for _, family := range all {
		if name := family.GetName(); !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			own[name] = family
		}
	}
	return own
}

// exposition renders what a scrape would see.
func exposition(t *testing.T, r *prometheus.Registry) string {
	t.Helper()
	own := gather(t, r)
	var b bytes.Buffer
	for _, name := range names(own) {
		if _, err := expfmt.MetricFamilyToText(&b, own[name]); err != nil {
			t.Fatal(err)
		}
	}
	return strings.ReplaceAll(b.String(), runtime.Version(), "GO_VERSION")
}

func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("..", "testdata", "metrics", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); go test ./metrics -update writes it:\n%s", path, diff)
	}
}

func TestExpositionBeforeAnyEvent(t *testing.T) {
	t.Parallel()
	_, r := newMetrics()
	checkGolden(t, "zero.txt", exposition(t, r))
}

// The bubble's clock makes the one timestamp repeatable.
func TestExpositionAfterOneOfEachEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMetrics()
		oneOfEach(m)
		checkGolden(t, "one-of-each.txt", exposition(t, r))
	})
}

func oneOfEach(m *Metrics) {
	m.Received(time.Now(), 90*time.Second)
	for i, o := range handler.Outcomes() {
		m.Settled(Delivery{Outcome: o, Settlement: Settlements[i%len(Settlements)], Result: SettleResults[i%len(SettleResults)],
			SinceEnqueued: time.Second, SinceFirst: time.Minute, Ended: time.Now(), Settling: 20 * time.Millisecond, Attempts: 2, DeliveryCount: 1, LockRemaining: 40 * time.Second})
	}
	for range 4 {
		m.Move(Gone, Waiting)
	}
	m.Move(Waiting, Working)
	m.Move(Waiting, Working)
	m.Move(Waiting, Settling)
	m.Move(Settling, Gone)
	m.Credits(64)
	m.ConcurrencyLimit(contoso, 32)
	for _, result := range RenewalResults {
		m.Renewal(result)
	}
	m.RenewalLateness(30 * time.Millisecond)
	for _, operation := range Operations {
		m.Operation(operation)
	}
	m.Throttled()
	m.Panicked()
	m.LockLost()
	m.Redelivered(handler.Throttled)
	m.Gate(contoso, "auth", 2)
	m.Gate(fabrikam, "throttle", 1)
	m.RetryAfter(7 * time.Second)
	for _, cause := range ReplaceCauses {
		m.ClientReplaced(cause)
	}
	m.Drained(3*time.Second, 5, 2, 1)
	m.Request(contoso, 204, 30*time.Millisecond, "")
	m.Request(contoso, 418, time.Second, "")
	m.Request(fabrikam, 0, 35*time.Second, "")
	m.Follow(func() State {
		return State{Attached: true, CredentialUsable: true, Paused: true, Demand: 90 * time.Second, LogLinesDropped: 12}
	})
}

func TestAnIdleQueueHasNoOldMessage(t *testing.T) {
	t.Parallel()
	m, _ := newMetrics()
	m.Received(time.Now(), time.Hour)
	if got := testutil.ToFloat64(m.oldest); got != 3600 {
		t.Errorf("age %v, want 3600", got)
	}
	m.Idle()
	if got := testutil.ToFloat64(m.oldest); got != 0 {
		t.Errorf("age %v after the queue ran dry, want 0", got)
	}
}

// What the broker did not say must not count as a delivery that took no time.
func TestAnUnknownTimeIsNotObserved(t *testing.T) {
	t.Parallel()
	m, r := newMetrics()
	m.Settled(Delivery{Outcome: handler.Terminated, Settlement: "complete", Result: "ok"})
	for _, metric := range gather(t, r)["batch_terminator_end_to_end_seconds"].GetMetric() {
		if n := metric.GetHistogram().GetSampleCount(); n != 0 {
			t.Errorf("%v: %d observations, want none", metric.GetLabel(), n)
		}
	}
}

// A request that comes back is not finished, so its age and attempts are not those of a finished one.
func TestOnlyFinishedRequestsCountTheirWholeLife(t *testing.T) {
	t.Parallel()
	for _, o := range handler.Outcomes() {
		m, r := newMetrics()
		m.Settled(Delivery{Outcome: o, Settlement: "redeliver", Result: "ok", SinceEnqueued: 1, SinceFirst: 1, Attempts: 1, DeliveryCount: 1})
		own := gather(t, r)
		want := uint64(0)
		if d := o.Decision(); d == handler.Complete || d == handler.DeadLetter {
			want = 1
		}
		if got := own["batch_terminator_attempts"].GetMetric()[0].GetHistogram().GetSampleCount(); got != want {
			t.Errorf("%v: attempts observed %d times, want %d", o, got, want)
		}
		if got := own["batch_terminator_delivery_count"].GetMetric()[0].GetHistogram().GetSampleCount(); got != 0 {
			t.Errorf("%v: delivery count observed without a completion", o)
		}
	}
}
