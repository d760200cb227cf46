package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is what is true now, as opposed to what has happened: it is asked for when it is read.
type State struct {
	// Attached: a receiver is connected. CredentialUsable: nobody refused it when it was last used. Paused: a person has
	// paused the intake.
	Attached, CredentialUsable, Paused bool
	// Demand is the work wanted now.
	Demand time.Duration
	// LogLinesDropped counts from the start of the process.
	LogLinesDropped int64
}

// Follow has the series of State come from f, which must be safe for concurrent use and quick. Without it they are 0.
func (m *Metrics) Follow(f func() State) { m.state.Store(&f) }

// Holding is what a message that we hold the lock of waits for.
type Holding int

// The holdings. A message begins and ends at Gone; it waits, is worked on, waits again until its settlement begins, and is
// settled.
const (
	Waiting Holding = iota
	Working
	Settling
	Gone Holding = -1
)

var holdings = [...]string{Waiting: "waiting", Working: "working", Settling: "settling"}

// Move records that a message went from one holding to the next.
func (m *Metrics) Move(from, to Holding) {
	if from != Gone {
		m.held[from].Add(-1)
	}
	if to != Gone {
		m.held[to].Add(1)
	}
}

// stateSeries reads State once for each scrape.
type stateSeries struct {
	metrics *Metrics
	held, inFlight, attached, credential, paused,
	demand, dropped *prometheus.Desc
}

// registerState adds the series that are read and not recorded.
func (m *Metrics) registerState(p *page) {
	describe := func(kind, name, help, do string, labels ...string) *prometheus.Desc {
		p.add(kind, name, help, do, labels)
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	p.register.MustRegister(&stateSeries{
		metrics: m,
		held: describe("gauge", "messages_held", "Messages locked by this worker, by what they wait for: a call (waiting), its outcome (working), their settlement (settling).",
			"Many waiting: locks burn on messages that nobody works on; lower the ready buffer. Many settling: Service Bus is slow.", "state"),
		inFlight: describe("gauge", "in_flight", "Messages whose call is under way.",
			"At concurrency_limit for long: raise the concurrency or the replicas."),
		attached: describe("gauge", "receiver_attached", "Whether a receiver is connected to the queue.",
			"0 for minutes: /readyz and the log say why: network, queue, or identity."),
		credential: describe("gauge", "credential_usable", "Whether the identity or key was good when last used, for Service Bus and every Batch account.",
			"0: mend the identity or its roles; /readyz says which. The worker goes on by itself once that works."),
		paused: describe("gauge", "intake_paused", "Whether a person has paused the intake over the control address.",
			"1: the log says who and when; batch-terminator control resume ends it."),
		demand: describe("gauge", "demand_seconds", "Seconds of work wanted now as far as this replica knows, without what a closed gate blocks.",
			"For autoscaling, see deploy/AUTOSCALING.md: take its max over the replicas. Above what they all do in a minute: add some."),
		dropped: describe("counter", "log_lines_dropped_total", "Log lines that could not be written.",
			"The log is not read fast enough, or its disk is full. The work goes on."),
	})
}

// Describe implements [prometheus.Collector].
func (s *stateSeries) Describe(descs chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, descs) }

// Collect implements [prometheus.Collector].
func (s *stateSeries) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	var now State
	if f := s.metrics.state.Load(); f != nil {
		now = (*f)()
	}
	for i, name := range holdings {
		gauge(s.held, float64(s.metrics.held[i].Load()), name)
	}
	gauge(s.inFlight, float64(s.metrics.held[Working].Load()))
	gauge(s.attached, truth(now.Attached))
	gauge(s.credential, truth(now.CredentialUsable))
	gauge(s.paused, truth(now.Paused))
	gauge(s.demand, now.Demand.Seconds())
	metrics <- prometheus.MustNewConstMetric(s.dropped, prometheus.CounterValue, float64(now.LogLinesDropped))
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
