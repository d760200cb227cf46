// Package metrics counts. It holds every series of the worker on one page, as a value built on an injected registerer:
// two workers in one process do not mix, and a test compares plain text.
//
// All label combinations exist at zero from the start, so that an absent series means "not scraped" and never "has not
// failed yet". No label carries anything from a message: the endpoint label takes its values from the allow-list.
//
// To add or change a series, edit this file and the method that records it; nothing else names one. deploy/metrics.md is
// written from it:
//
//	metrics.go  every series, with its meaning and what to do about it
//	record.go   the methods that record
//	state.go    the series that are read when they are asked for
//	page.go     how a series is registered and described
package metrics

import (
	"runtime/debug"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"batchterminator/handler"
)

// Closed label sets beside the outcomes. Package worker uses these and no others.
var (
	Settlements     = []string{"complete", "abandon", "dead-letter", "redeliver", "none"}
	SettleResults   = []string{"ok", "lock_lost", "unconfirmed", "failed", "skipped"}
	RenewalResults  = []string{"ok", "lock_lost", "failed"}
	GateCauses      = []string{"auth", "throttle", "outage"}
	ReplaceCauses   = []string{"connect", "receive", "settle", "probe", "hung", "panic", "renew", "stalled", "idle", "connection"}
	Operations      = []string{"receive", "renew", "complete", "dead-letter", "abandon", "schedule", "probe"}
	drainResults    = []string{"finished", "handed_back", "left"}
	redeliverCauses = namesOf(handler.Redeliver, handler.Pause)
)

// Statuses of batch_requests_total that exist from the start; others appear when they first happen. There are at most
// 500: whatever is no status of HTTP counts as an error.
var knownStatuses = []int{204, 400, 401, 403, 404, 409, 412, 429, 500, 503}

// Metrics is the set of series of one worker. Its methods are safe for concurrent use.
type Metrics struct {
	deliveryMetrics
	lockMetrics
	brokerMetrics
	batchMetrics
	processMetrics
	held  [len(holdings)]atomic.Int64
	state atomic.Pointer[func() State]
}

const namespace = "batch_terminator"

// New registers every series on r, which must not hold any of them yet. endpoints is the allow-list.
func New(r prometheus.Registerer, version string, endpoints []string) *Metrics {
	m, _ := build(r, version, endpoints)
	return m
}

// Unread returns series that nobody reads, for who uses the worker's parts without being one.
func Unread() *Metrics { return New(prometheus.NewRegistry(), "", nil) }

// build returns what New does, and what it has registered.
func build(r prometheus.Registerer, version string, endpoints []string) (*Metrics, []Series) {
	p := &page{register: r}
	m := &Metrics{}
	m.deliveryMetrics = newDeliveryMetrics(p)
	m.lockMetrics = newLockMetrics(p)
	m.brokerMetrics = newBrokerMetrics(p)
	m.batchMetrics = newBatchMetrics(p, endpoints)
	m.processMetrics = newProcessMetrics(p, version)
	m.registerState(p)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m, p.all
}

// deliveryMetrics are about what arrives and what becomes of it.
type deliveryMetrics struct {
	received     prometheus.Counter
	lastReceive  prometheus.Gauge
	oldest       prometheus.Gauge
	deliveries   map[handler.Outcome]prometheus.Counter
	settlements  map[string]map[string]prometheus.Counter // by settlement, then result
	settling     map[string]prometheus.Observer           // by settlement
	sinceQueued  prometheus.Observer
	sinceFirst   prometheus.Observer
	lastFinished prometheus.Gauge
	attempts     prometheus.Observer
	delivered    prometheus.Observer
	redelivered  *prometheus.CounterVec
}

func newDeliveryMetrics(p *page) deliveryMetrics {
	d := deliveryMetrics{
		received: p.counter("messages_received_total", "Messages received from Service Bus, redeliveries included.",
			"No rate while the queue holds messages: look at receiver_attached, gate_state and intake_paused.").WithLabelValues(),
		lastReceive: p.gauge("last_receive_timestamp_seconds", "When a message last arrived, Unix time; 0 before the first.",
			"Old while the queue holds messages: as for messages_received_total.").WithLabelValues(),
		oldest: p.gauge("oldest_message_age_seconds", "Age of the message received last, since its first enqueue; 0 once the queue is empty.",
			"Rising: requests arrive faster than they are worked on. Compare in_flight with concurrency_limit, then raise the replicas or the concurrency.").WithLabelValues(),
		lastFinished: p.gauge("last_finished_timestamp_seconds", "When a request last finished, completed or dead-lettered, Unix time; 0 before the first.",
			"Old while messages arrive: requests come back instead of ending. deliveries_total says as what.").WithLabelValues(),
		redelivered: p.counter("redeliveries_scheduled_total", "Scheduled copies by cause.",
			"The cause is what keeps requests from finishing now; they come back by themselves.", "cause"),
		attempts: p.histogram("attempts", "HTTP attempts of a finished request, over all its deliveries.",
			"A rising tail: Batch fails or throttles; see batch_requests_total.", []float64{1, 2, 3, 4, 6, 8, 12, 16, 32, 64}).WithLabelValues(),
		delivered: p.histogram("delivery_count", "Delivery count of a message at its completion; above 1 is a lock lost or a process that died.",
			"Above 1: see locks_lost_total and the restarts of the replicas.", []float64{1, 2, 3, 4, 5, 7, 10}).WithLabelValues(),
		deliveries: map[handler.Outcome]prometheus.Counter{}, settlements: map[string]map[string]prometheus.Counter{}, settling: map[string]prometheus.Observer{},
	}
	deliveries := p.counter("deliveries_total", "Deliveries by what they ended as; one for each received message.",
		"The README's table says what each outcome means. Outcomes that dead-letter want a person.", "outcome")
	settlements := p.counter("settlements_total", "Settlements by kind and result; redeliver is a scheduled copy and the completion of the original.",
		"Results other than ok: the lock or the connection was lost; the message is delivered once more and then only settled.", "settlement", "result")
	settling := p.histogram("settlement_duration_seconds", "Time that a settlement took, with its tries on other connections.",
		"Seconds: Service Bus is slow or connections break; see client_replacements_total.", []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}, "settlement")
	endToEnd := p.histogram("end_to_end_seconds", "Time to the settlement: since=enqueued of each delivery, since=first_enqueued of each finished request.",
		"The latency that senders see. High since=enqueued: too little concurrency or a closed gate. High since=first_enqueued alone: requests come back.",
		[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}, "since")
	d.sinceQueued, d.sinceFirst = endToEnd.WithLabelValues("enqueued"), endToEnd.WithLabelValues("first_enqueued")
	for _, o := range handler.Outcomes() {
		d.deliveries[o] = deliveries.WithLabelValues(o.String())
	}
	for _, settlement := range Settlements {
		d.settlements[settlement] = map[string]prometheus.Counter{}
		for _, result := range SettleResults {
			d.settlements[settlement][result] = settlements.WithLabelValues(settlement, result)
		}
		if settlement != "none" {
			d.settling[settlement] = settling.WithLabelValues(settlement)
		}
	}
	zero(redeliverCauses, func(cause string) { d.redelivered.WithLabelValues(cause) })
	return d
}

// lockMetrics are about the locks of the messages at work.
type lockMetrics struct {
	renewals  *prometheus.CounterVec
	lateness  prometheus.Observer
	remaining prometheus.Observer
	locksLost prometheus.Counter
}

func newLockMetrics(p *page) lockMetrics {
	l := lockMetrics{
		renewals: p.counter("lock_renewals_total", "Lock renewals by result.",
			"failed: Service Bus does not answer. lock_lost: see locks_lost_total.", "result"),
		lateness: p.histogram("lock_renewal_lateness_seconds", "From when a lock renewal was due to when Service Bus granted it.",
			"Near half of the queue's lock duration, locks are about to be lost: Service Bus is slow, or this process lacks processor time.",
			[]float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}).WithLabelValues(),
		remaining: p.histogram("lock_remaining_seconds", "What was left of the lock at the settlement; near 0 is a risk of double work.",
			"Near 0: give the queue a longer lock duration.", []float64{0, 1, 2, 5, 10, 20, 30, 60, 120, 300}).WithLabelValues(),
		locksLost: p.counter("locks_lost_total", "Locks lost while the work was under way.",
			"Each costs a delivery and perhaps a repeated call. A few come with a lost connection; a steady rate means locks too short or a process that stands still.").WithLabelValues(),
	}
	zero(RenewalResults, func(result string) { l.renewals.WithLabelValues(result) })
	return l
}

// brokerMetrics are about the connection to Service Bus.
type brokerMetrics struct {
	credits    prometheus.Gauge
	replaced   *prometheus.CounterVec
	operations map[string]prometheus.Counter
	receives   prometheus.Counter // one of operations
	throttled  prometheus.Counter
}

func newBrokerMetrics(p *page) brokerMetrics {
	b := brokerMetrics{
		credits: p.gauge("credits_outstanding", "Messages asked for and not yet delivered.",
			"0 for long: a gate is closed, the intake is paused, or everything held is at work.").WithLabelValues(),
		replaced: p.counter("client_replacements_total", "Service Bus clients replaced, by cause.",
			"idle is routine. A steady rate of another cause: the network, the namespace or the identity; the log line of each says why.", "cause"),
		throttled: p.counter("servicebus_throttled_total", "Times Service Bus asked to slow down.",
			"A rate: the namespace is at its limit. Use fewer replicas or a larger tier.").WithLabelValues(),
		operations: map[string]prometheus.Counter{},
	}
	operations := p.counter("servicebus_operations_total", "Service Bus operations, tries included, as they are billed; receive counts messages.",
		"More than about 3 for each message: retries, renewals of long work or scheduled copies cost money.", "operation")
	zero(Operations, func(operation string) { b.operations[operation] = operations.WithLabelValues(operation) })
	b.receives = b.operations["receive"]
	zero(ReplaceCauses, func(cause string) { b.replaced.WithLabelValues(cause) })
	return b
}

// batchMetrics are about the Batch accounts.
type batchMetrics struct {
	limit    *prometheus.GaugeVec
	gates    *prometheus.GaugeVec
	waited   prometheus.Observer
	requests map[string]*requestMetrics // by endpoint
}

// requestMetrics are the calls to one account.
type requestMetrics struct {
	endpoint string
	codes    *prometheus.CounterVec
	duration prometheus.Observer
	byStatus [600]atomic.Pointer[prometheus.Counter] // those used so far; 0 is an error
}

func newBatchMetrics(p *page, endpoints []string) batchMetrics {
	b := batchMetrics{
		limit: p.gauge("concurrency_limit", "Most calls under way at once.",
			"Below the setting: Batch throttles, and it climbs back by itself.", "endpoint"),
		gates: p.gauge("gate_state", "Gate of an account by cause: 0 open, 1 one probe under way, 2 closed.",
			"auth: mend the identity, its role or the account. throttle and outage open by themselves; nothing is lost meanwhile.", "endpoint", "cause"),
		waited: p.histogram("retry_after_seconds", "Waits that Batch asked for with Retry-After.",
			"Many: lower the rate or the concurrency, or ask for a higher quota.", []float64{1, 2, 5, 10, 30, 60, 300, 900}).WithLabelValues(),
		requests: map[string]*requestMetrics{},
	}
	codes := p.counter("batch_requests_total", "Batch calls by HTTP status; error when no answer came.",
		"401, 403: identity. 429, 503: throttling. 5xx, error: outage or network.", "endpoint", "code")
	duration := p.histogram("batch_request_duration_seconds", "Duration of one Batch call.",
		"Rising: Batch or the network is slow. More concurrency hides it, a lower rate may cure it.",
		[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}, "endpoint")
	for _, endpoint := range endpoints {
		b.limit.WithLabelValues(endpoint)
		r := &requestMetrics{endpoint: endpoint, codes: codes, duration: duration.WithLabelValues(endpoint)}
		b.requests[endpoint] = r
		for _, status := range append([]int{0}, knownStatuses...) {
			r.of(status)
		}
		zero(GateCauses, func(cause string) { b.gates.WithLabelValues(endpoint, cause) })
	}
	return b
}

// processMetrics are about this process.
type processMetrics struct {
	drained   *prometheus.GaugeVec
	drainTook prometheus.Gauge
	panics    prometheus.Counter
}

func newProcessMetrics(p *page, version string) processMetrics {
	m := processMetrics{
		drained: p.gauge("drain_deliveries", "Deliveries under way when the drain began, by how they ended.",
			"left above 0: their locks ended by themselves, which costs a delivery each. Give the container a longer grace period.", "result"),
		drainTook: p.gauge("drain_duration_seconds", "How long the drain took; 0 before one.",
			"Near the grace period: raise it.").WithLabelValues(),
		panics: p.counter("panics_total", "Panics that were caught, in the handler or in the Service Bus SDK.",
			"A defect. The log line has the stack, and the message that provoked it is dead-lettered in the end.").WithLabelValues(),
	}
	zero(drainResults, func(result string) { m.drained.WithLabelValues(result) })
	p.gauge("build_info", "Always 1; the version is in the labels.", "More than one version at a time: a deployment is under way, or stuck.",
		"version", "go_version").WithLabelValues(version, goVersion()).Set(1)
	return m
}

// zero creates the children of a label set.
func zero(values []string, create func(value string)) {
	for _, v := range values {
		create(v)
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

// of returns the counter of an HTTP status.
func (r *requestMetrics) of(status int) prometheus.Counter {
	if status < 100 || status >= len(r.byStatus) {
		status = 0
	}
	if c := r.byStatus[status].Load(); c != nil {
		return *c
	}
	code := "error"
	if status != 0 {
		code = strconv.Itoa(status)
	}
	c := r.codes.WithLabelValues(r.endpoint, code)
	r.byStatus[status].Store(&c)
	return c
}
