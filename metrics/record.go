package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"batchterminator/handler"
)

// Received records a delivery that arrived; age counts from the request's first enqueue.
func (m *Metrics) Received(at time.Time, age time.Duration) {
	m.received.Inc()
	m.receives.Inc()
	m.lastReceive.Set(unix(at))
	m.oldest.Set(age.Seconds())
}

// Idle records that the queue had nothing to deliver.
func (m *Metrics) Idle() { m.oldest.Set(0) }

// Delivery is the record of one delivery at its end.
type Delivery struct {
	Outcome            handler.Outcome
	Settlement, Result string
	Ended              time.Time
	// SinceEnqueued and SinceFirst are 0 when the broker did not say.
	SinceEnqueued, SinceFirst time.Duration
	// Settling is how long the settlement took.
	Settling time.Duration
	// Attempts counts those of all deliveries of the request.
	Attempts      int
	DeliveryCount uint32
	LockRemaining time.Duration
	// TraceID makes this delivery an exemplar of the histograms of time; "" does not. It is hexadecimal.
	TraceID string
}

// Settled records the end of a delivery. It allocates nothing unless there is a trace id.
func (m *Metrics) Settled(d Delivery) {
	m.deliveries[d.Outcome].Inc()
	m.settlements[d.Settlement][d.Result].Inc()
	if h, ok := m.settling[d.Settlement]; ok {
		took(h, d.Settling, d.TraceID)
	}
	took(m.sinceQueued, d.SinceEnqueued, d.TraceID)
	m.remaining.Observe(d.LockRemaining.Seconds())
	if decision := d.Outcome.Decision(); decision == handler.Complete || decision == handler.DeadLetter {
		took(m.sinceFirst, d.SinceFirst, d.TraceID)
		m.attempts.Observe(float64(d.Attempts))
		if d.Result == "ok" {
			m.lastFinished.Set(unix(d.Ended))
		}
	}
	if d.Settlement == "complete" {
		m.delivered.Observe(float64(d.DeliveryCount))
	}
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// took leaves out what the broker did not say, and what two clocks that disagree would make of it.
func took(h prometheus.Observer, d time.Duration, traceID string) {
	if d > 0 {
		observe(h, d, traceID)
	}
}

// observe adds the trace as an exemplar, which who scrapes with OpenMetrics sees.
func observe(h prometheus.Observer, d time.Duration, traceID string) {
	if traceID == "" {
		h.Observe(d.Seconds())
		return
	}
	h.(prometheus.ExemplarObserver).ObserveWithExemplar(d.Seconds(), prometheus.Labels{"trace_id": traceID})
}

// Credits records how many messages are asked for.
func (m *Metrics) Credits(n int) { m.credits.Set(float64(n)) }

// ConcurrencyLimit records the most calls under way at once.
func (m *Metrics) ConcurrencyLimit(endpoint string, n int) {
	m.limit.WithLabelValues(endpoint).Set(float64(n))
}

// Renewal records one lock renewal; result is one of RenewalResults.
func (m *Metrics) Renewal(result string) { m.renewals.WithLabelValues(result).Inc() }

// RenewalLateness records how long after it was due a lock renewal was granted.
func (m *Metrics) RenewalLateness(d time.Duration) { m.lateness.Observe(d.Seconds()) }

// LockLost records a lock lost while the work was under way.
func (m *Metrics) LockLost() { m.locksLost.Inc() }

// Redelivered records a scheduled copy.
func (m *Metrics) Redelivered(cause handler.Outcome) {
	m.redelivered.WithLabelValues(cause.String()).Inc()
}

// Gate records the state of an account's gate: 0 open, 1 probing, 2 closed.
func (m *Metrics) Gate(endpoint, cause string, state int) {
	m.gates.WithLabelValues(endpoint, cause).Set(float64(state))
}

// RetryAfter records a wait that Batch asked for.
func (m *Metrics) RetryAfter(d time.Duration) { m.waited.Observe(d.Seconds()) }

// ClientReplaced records a Service Bus client that ended; cause is one of ReplaceCauses.
func (m *Metrics) ClientReplaced(cause string) { m.replaced.WithLabelValues(cause).Inc() }

// Operation records a try of a Service Bus operation; it is one of Operations. Received counts those of its own.
func (m *Metrics) Operation(operation string) { m.operations[operation].Inc() }

// Throttled records that Service Bus asked to slow down.
func (m *Metrics) Throttled() { m.throttled.Inc() }

// Panicked records a panic that was caught.
func (m *Metrics) Panicked() { m.panics.Inc() }

// Drained records how long the drain took, and how the deliveries ended that were under way when it began.
func (m *Metrics) Drained(took time.Duration, finished, handedBack, left int) {
	m.drainTook.Set(took.Seconds())
	m.drained.WithLabelValues("finished").Set(float64(finished))
	m.drained.WithLabelValues("handed_back").Set(float64(handedBack))
	m.drained.WithLabelValues("left").Set(float64(left))
}

// Request records one Batch call: its HTTP status, 0 when no answer came, how long the answer took, and the trace that it
// belongs to, "" for none. It allocates nothing unless there is a trace id, or a status for the first time.
func (m *Metrics) Request(endpoint string, status int, took time.Duration, traceID string) {
	r := m.requests[endpoint]
	r.of(status).Inc()
	observe(r.duration, took, traceID)
}
