// Package metrics counts. It holds every series of the worker on one page, as a value built on an injected registerer:
// two workers in one process do not mix, and a test compares plain text.
//
// All label combinations exist at zero from the start, so that an absent series means "not scraped" and never "has not
// failed yet". No label carries anything from a message: the endpoint label takes its values from the allow-list.
//
// To add or change a series, edit [New] and the method that records it; nothing else names one.
package metrics

import (
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"batchterminator/handler"
)

// Closed label sets beside the outcomes. Package worker uses these and no others.
var (
	Settlements     = []string{"complete", "abandon", "dead-letter", "redeliver", "none"}
	SettleResults   = []string{"ok", "lock_lost", "unconfirmed", "failed", "skipped"}
	RenewalResults  = []string{"ok", "lock_lost", "failed"}
	GateCauses      = []string{"auth", "throttle", "outage"}
	ReplaceCauses   = []string{"connect", "receive", "settle", "probe", "hung", "panic", "renew", "stalled", "idle"}
	redeliverCauses = namesOf(handler.Redeliver, handler.Pause)
)

// Statuses of batch_requests_total that exist from the start; others appear when they first happen. There are at most
// 500, as an HTTP status has three digits.
var knownStatuses = []int{204, 400, 401, 403, 404, 409, 412, 429, 500, 503}

// Metrics is the set of series of one worker. Its methods are safe for concurrent use.
type Metrics struct {
	received    prometheus.Counter
	deliveries  map[handler.Outcome]prometheus.Counter
	settlements map[[2]string]prometheus.Counter // by settlement and result
	sinceQueued prometheus.Observer
	sinceFirst  prometheus.Observer
	attempts    prometheus.Histogram
	delivered   prometheus.Histogram
	inFlight    prometheus.Gauge
	credits     prometheus.Gauge
	limit       *prometheus.GaugeVec
	renewals    *prometheus.CounterVec
	remaining   prometheus.Histogram
	locksLost   prometheus.Counter
	redelivered *prometheus.CounterVec
	gates       *prometheus.GaugeVec
	waited      prometheus.Histogram
	replaced    *prometheus.CounterVec
	lastReceive prometheus.Gauge
	oldest      prometheus.Gauge
	drained     *prometheus.GaugeVec
	requests    *prometheus.CounterVec
	duration    *prometheus.HistogramVec
}

const namespace = "batch_terminator"

// New registers every series on r, which must not hold any of them yet. endpoints is the allow-list.
func New(r prometheus.Registerer, version string, endpoints []string) *Metrics {
	f := promauto.With(r)
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}
	}
	histogram := func(name, help string, buckets ...float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}
	}
	deliveries := f.NewCounterVec(counter("deliveries_total", "Deliveries by what they ended as; one for each received message."), []string{"outcome"})
	settlements := f.NewCounterVec(counter("settlements_total", "Settlements by kind and result; redeliver is a scheduled copy and the completion of the original."), []string{"settlement", "result"})
	endToEnd := f.NewHistogramVec(histogram("end_to_end_seconds", "Time to the settlement: since=enqueued of each delivery, since=first_enqueued of each finished request.",
		.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4*3600, 24*3600), []string{"since"})
	m := &Metrics{
		sinceQueued: endToEnd.WithLabelValues("enqueued"),
		sinceFirst:  endToEnd.WithLabelValues("first_enqueued"),
		received:    f.NewCounter(counter("messages_received_total", "Messages received from Service Bus, redeliveries included.")),
		deliveries:  map[handler.Outcome]prometheus.Counter{},
		settlements: map[[2]string]prometheus.Counter{},
		attempts:    f.NewHistogram(histogram("attempts", "HTTP attempts of a finished request, over all its deliveries.", 1, 2, 3, 4, 6, 8, 12, 16, 32, 64)),
		delivered:   f.NewHistogram(histogram("delivery_count", "Delivery count of a message at its completion; above 1 is a lock lost or a process that died.", 1, 2, 3, 4, 5, 7, 10)),
		inFlight:    f.NewGauge(gauge("in_flight", "Messages whose call is under way.")),
		credits:     f.NewGauge(gauge("credits_outstanding", "Messages asked for and not yet delivered.")),
		limit:       f.NewGaugeVec(gauge("concurrency_limit", "Most calls under way at once."), []string{"endpoint"}),
		renewals:    f.NewCounterVec(counter("lock_renewals_total", "Lock renewals by result."), []string{"result"}),
		remaining:   f.NewHistogram(histogram("lock_remaining_seconds", "What was left of the lock at the settlement; near 0 is a risk of double work.", 0, 1, 2, 5, 10, 20, 30, 60, 120, 300)),
		locksLost:   f.NewCounter(counter("locks_lost_total", "Locks lost while the work was under way.")),
		redelivered: f.NewCounterVec(counter("redeliveries_scheduled_total", "Scheduled copies by cause."), []string{"cause"}),
		gates:       f.NewGaugeVec(gauge("gate_state", "Gate of an account by cause: 0 open, 1 one probe under way, 2 closed."), []string{"endpoint", "cause"}),
		waited:      f.NewHistogram(histogram("retry_after_seconds", "Waits that Batch asked for with Retry-After.", 1, 2, 5, 10, 30, 60, 300, 900)),
		replaced:    f.NewCounterVec(counter("client_replacements_total", "Service Bus clients replaced, by cause."), []string{"cause"}),
		lastReceive: f.NewGauge(gauge("last_receive_timestamp_seconds", "When a message last arrived, Unix time; 0 before the first.")),
		oldest:      f.NewGauge(gauge("oldest_message_age_seconds", "Age of the message received last, since its first enqueue.")),
		drained:     f.NewGaugeVec(gauge("drain_deliveries", "Deliveries under way when the drain began, by how they ended."), []string{"result"}),
		requests:    f.NewCounterVec(counter("batch_requests_total", "Batch calls by HTTP status; error when no answer came."), []string{"endpoint", "code"}),
		duration: f.NewHistogramVec(histogram("batch_request_duration_seconds", "Duration of one Batch call.",
			.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30), []string{"endpoint"}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "Always 1; the version is in the labels.",
		ConstLabels: prometheus.Labels{"version": version, "go_version": goVersion()}}, func() float64 { return 1 })
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.zero(deliveries, settlements, endpoints)
	return m
}

// zero creates every label combination.
func (m *Metrics) zero(deliveries, settlements *prometheus.CounterVec, endpoints []string) {
	for _, o := range handler.Outcomes() {
		m.deliveries[o] = deliveries.WithLabelValues(o.String())
	}
	for _, settlement := range Settlements {
		for _, result := range SettleResults {
			m.settlements[[2]string{settlement, result}] = settlements.WithLabelValues(settlement, result)
		}
	}
	for _, result := range RenewalResults {
		m.renewals.WithLabelValues(result)
	}
	for _, cause := range redeliverCauses {
		m.redelivered.WithLabelValues(cause)
	}
	for _, cause := range ReplaceCauses {
		m.replaced.WithLabelValues(cause)
	}
	for _, result := range []string{"finished", "handed_back", "left"} {
		m.drained.WithLabelValues(result)
	}
	for _, endpoint := range endpoints {
		m.limit.WithLabelValues(endpoint)
		m.duration.WithLabelValues(endpoint)
		m.requests.WithLabelValues(endpoint, "error")
		for _, status := range knownStatuses {
			m.requests.WithLabelValues(endpoint, strconv.Itoa(status))
		}
		for _, cause := range GateCauses {
			m.gates.WithLabelValues(endpoint, cause)
		}
	}
}

func namesOf(decisions ...handler.Decision) (names []string) {
	for _, o := range handler.Outcomes() {
		for _, d := range decisions {
			if o.Decision() == d {
				names = append(names, o.String())
			}
		}
	}
	return names
}

func goVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.GoVersion
	}
	return "unknown"
}

// Received records a delivery that arrived; age counts from the request's first enqueue.
func (m *Metrics) Received(age time.Duration) {
	m.received.Inc()
	m.lastReceive.SetToCurrentTime()
	m.oldest.Set(age.Seconds())
}

// Idle records that the queue had nothing to deliver.
func (m *Metrics) Idle() { m.oldest.Set(0) }

// Delivery is the record of one delivery at its end.
type Delivery struct {
	Outcome            handler.Outcome
	Settlement, Result string
	// SinceEnqueued and SinceFirst are 0 when the broker did not say.
	SinceEnqueued, SinceFirst time.Duration
	// Attempts counts those of all deliveries of the request.
	Attempts      int
	DeliveryCount uint32
	LockRemaining time.Duration
}

// Settled records the end of a delivery.
func (m *Metrics) Settled(d Delivery) {
	m.deliveries[d.Outcome].Inc()
	m.settlements[[2]string{d.Settlement, d.Result}].Inc()
	took(m.sinceQueued, d.SinceEnqueued)
	m.remaining.Observe(d.LockRemaining.Seconds())
	if decision := d.Outcome.Decision(); decision == handler.Complete || decision == handler.DeadLetter {
		took(m.sinceFirst, d.SinceFirst)
		m.attempts.Observe(float64(d.Attempts))
	}
	if d.Settlement == "complete" {
		m.delivered.Observe(float64(d.DeliveryCount))
	}
}

// took leaves out what the broker did not say, and what two clocks that disagree would make of it.
func took(since prometheus.Observer, d time.Duration) {
	if d > 0 {
		since.Observe(d.Seconds())
	}
}

// InFlight records that a call began (+1) or ended (-1).
func (m *Metrics) InFlight(delta int) { m.inFlight.Add(float64(delta)) }

// Credits records how many messages are asked for.
func (m *Metrics) Credits(n int) { m.credits.Set(float64(n)) }

// ConcurrencyLimit records the most calls under way at once.
func (m *Metrics) ConcurrencyLimit(endpoint string, n int) {
	m.limit.WithLabelValues(endpoint).Set(float64(n))
}

// Renewal records one lock renewal; result is one of RenewalResults.
func (m *Metrics) Renewal(result string) { m.renewals.WithLabelValues(result).Inc() }

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

// Drained records how the deliveries ended that were under way when the drain began.
func (m *Metrics) Drained(finished, handedBack, left int) {
	m.drained.WithLabelValues("finished").Set(float64(finished))
	m.drained.WithLabelValues("handed_back").Set(float64(handedBack))
	m.drained.WithLabelValues("left").Set(float64(left))
}

// Request records one Batch call: its HTTP status, 0 when no answer came, and how long the answer took.
func (m *Metrics) Request(endpoint string, status int, took time.Duration) {
	code := "error"
	if status != 0 {
		code = strconv.Itoa(status)
	}
	m.requests.WithLabelValues(endpoint, code).Inc()
	m.duration.WithLabelValues(endpoint).Observe(took.Seconds())
}
