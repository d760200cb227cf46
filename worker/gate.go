package worker

// Gates: what stops intake for a Batch account. One gate for each allow-listed endpoint, three causes kept apart, because
// they close and open on different signs: a refused token, a wish to slow down, and silence.

import (
	"math"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"batchterminator/handler"
	"batchterminator/metrics"
)

// cause is why a gate is closed.
type cause uint8

const (
	causeAuth cause = iota
	causeThrottle
	causeOutage
	causeCount
)

func (c cause) String() string { return metrics.GateCauses[c] }

// refusals are the outcomes of a request that met a closed gate.
var refusals = [causeCount]handler.Outcome{causeAuth: handler.AuthFailed, causeThrottle: handler.Throttled, causeOutage: handler.Unavailable}

// pauses bound how long a cause keeps the gate closed: the first pause, doubled by each probe that fails, up to the last.
var pauses = [causeCount]struct{ first, last time.Duration }{
	causeAuth:     {5 * time.Second, 5 * time.Minute},
	causeThrottle: {2 * time.Second, 30 * time.Second},
	causeOutage:   {5 * time.Second, 30 * time.Second},
}

const (
	// outageAfter consecutive failures, a gate takes them for an outage of the account. It is well above the attempts of one
	// message, so that a single request that always fails cannot close it.
	outageAfter = 10
	// probeLimit frees the probe's place when the probe never reports: above the longest attempt.
	probeLimit = 40 * time.Second
	// probeAnswers is when it is worth asking again while a probe is under way: most answer at once.
	probeAnswers = time.Second
)

// The values of the gate_state series.
const (
	gateOpen = iota
	gateProbing
	gateClosed
)

// Gates are the gates of all allow-listed accounts. It is a [handler.Gate], safe for concurrent use.
type Gates struct {
	log       *zap.Logger
	metrics   *metrics.Metrics
	endpoints []string

	mu      sync.Mutex
	gates   map[string]*gate // the map is fixed; each gate's fields are under mu
	closing chan struct{}    // closed and replaced, under mu, when intake ends
	freed   chan struct{}    // closed and replaced, under mu, when a call ended while others wait for its place
	waiting int              // for a place, under mu
	changed func()           // called without mu after any change; set once before use
}

// gate is the state of one account.
type gate struct {
	closed   [causeCount]closure
	failures int // consecutive, without an answer or with a 5xx
	// answered: an answer since the worker's start was about the request, and so proved that the account works.
	answered bool
	// probeEnds is when the probe under way is given up, zero without one.
	probeEnds time.Time
	limiter   *rate.Limiter
	calls     int // admitted and not yet observed
	climb     climb
}

// closure is one cause's part: open when until is zero, else closed until then and one probe away from open.
type closure struct {
	until time.Time
	pause time.Duration
}

// NewGates returns open gates for the endpoints. perSecond caps the calls to each, 0 for no cap.
func NewGates(endpoints []string, perSecond float64, m *metrics.Metrics, log *zap.Logger) *Gates {
	g := &Gates{log: log, metrics: m, endpoints: slices.Clone(endpoints), gates: map[string]*gate{}, closing: make(chan struct{}), freed: make(chan struct{}), changed: func() {}}
	for _, endpoint := range endpoints {
		limit := rate.Inf
		if perSecond > 0 {
			limit = rate.Limit(perSecond)
		}
		g.gates[endpoint] = &gate{limiter: rate.NewLimiter(limit, 1), climb: climb{most: unbounded}}
	}
	return g
}

// unbounded is the concurrency of gates that nobody has bounded.
const unbounded = math.MaxInt32

// bound sets the most calls to each account under way at once, and who is told of changes. It is called once, before use.
func (g *Gates) bound(concurrency int, changed func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changed = changed
	for _, endpoint := range g.endpoints {
		g.gates[endpoint].climb.most = concurrency
		g.metrics.ConcurrencyLimit(endpoint, concurrency)
	}
}

var _ handler.Gate = (*Gates)(nil)

// shut returns the cause that keeps the gate closed longest.
func (gt *gate) shut() (which cause, until time.Time, shut bool) {
	for c, s := range gt.closed {
		if s.until.After(until) {
			which, until, shut = cause(c), s.until, true
		}
	}
	return which, until, shut
}

// Observe implements [handler.Gate].
func (g *Gates) Observe(endpoint string, o handler.Outcome, retryAfter time.Duration) {
	if retryAfter > 0 {
		g.metrics.RetryAfter(retryAfter)
	}
	g.mu.Lock()
	gt := g.gates[endpoint]
	gt.probeEnds = time.Time{}
	g.free(gt)
	switch o {
	case handler.AuthFailed, handler.AccountDisabled, handler.WrongEndpoint, handler.WorkerMisconfigured:
		g.close(endpoint, gt, causeAuth, o, retryAfter)
	case handler.Throttled:
		g.close(endpoint, gt, causeThrottle, o, retryAfter)
	case handler.Unavailable, handler.TimedOut, handler.Network:
		g.silent(endpoint, gt, o, retryAfter)
	case handler.LockLost, handler.Draining, handler.Panic:
		// The attempt was cut short on our side; it says nothing about the account.
	default:
		g.open(endpoint, gt, o)
	}
	g.mu.Unlock()
	g.changed()
}

// silent is called with mu held. A closed gate's probe that got no answer has failed, whatever the cause was.
func (g *Gates) silent(endpoint string, gt *gate, o handler.Outcome, retryAfter time.Duration) {
	gt.failures++
	for c, s := range gt.closed {
		if !s.until.IsZero() || cause(c) == causeOutage && gt.failures >= outageAfter {
			g.close(endpoint, gt, cause(c), o, retryAfter)
		}
	}
}

// close is called with mu held. While a pause runs, answers to calls made before it neither extend nor shorten it, except
// that Batch may ask for a longer one.
func (g *Gates) close(endpoint string, gt *gate, c cause, o handler.Outcome, retryAfter time.Duration) {
	s, now := &gt.closed[c], time.Now()
	switch {
	case now.Before(s.until):
		if until := now.Add(retryAfter); until.After(s.until) {
			s.until = until
		}
		return
	case s.until.IsZero():
		s.pause = pauses[c].first
	default:
		s.pause = min(2*s.pause, pauses[c].last)
	}
	first := s.until.IsZero()
	s.until = now.Add(max(s.pause, retryAfter))
	if o == handler.Throttled {
		gt.climb.halve(now)
		g.metrics.ConcurrencyLimit(endpoint, gt.climb.at(now))
	}
	g.metrics.Gate(endpoint, c.String(), gateClosed)
	if first {
		close(g.closing)
		g.closing = make(chan struct{})
		g.log.Warn("gate closed: no more messages are taken for this account",
			zap.String("endpoint", endpoint), zap.Stringer("cause", c), zap.Stringer("outcome", o), zap.Duration("probe_in", time.Until(s.until)))
	}
}

// open is called with mu held: an answer that is about the request proves that the account works. While a pause runs it
// proves nothing: it belongs to a call made before.
func (g *Gates) open(endpoint string, gt *gate, o handler.Outcome) {
	gt.failures, gt.answered = 0, true
	now := time.Now()
	for c := range gt.closed {
		if s := &gt.closed[c]; !s.until.IsZero() && !now.Before(s.until) {
			*s = closure{}
			if cause(c) == causeThrottle {
				gt.climb.start(now)
			}
			g.metrics.Gate(endpoint, cause(c).String(), gateOpen)
			g.log.Info("gate open again", zap.String("endpoint", endpoint), zap.Stringer("cause", cause(c)), zap.Stringer("outcome", o))
		}
	}
}

// Down tells whether the account is not known to work: its gate is closed for any cause, or nothing has been heard of it
// since the start, which may lie in the middle of an outage.
func (g *Gates) Down(endpoint string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	gt := g.gates[endpoint]
	if gt == nil {
		return false
	}
	_, _, shut := gt.shut()
	return shut || !gt.answered
}

// Closed lists the closed gates as "endpoint: cause", for readiness.
func (g *Gates) Closed() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var closed []string
	for _, endpoint := range g.endpoints {
		for c, s := range g.gates[endpoint].closed {
			if !s.until.IsZero() {
				closed = append(closed, endpoint+": "+cause(c).String())
			}
		}
	}
	return closed
}
