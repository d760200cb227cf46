package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"batchterminator/handler"
	"batchterminator/metrics"
)

// Handler decides one delivery; *handler.Handler is one. It must be safe for concurrent use.
type Handler interface {
	Handle(ctx context.Context, m handler.Message) handler.Result
}

// Measured asks for a ready buffer that is sized from what calls and round trips take.
const Measured = -1

// Config is what a Worker needs. [Defaults] fills the settings; the rest has none.
type Config struct {
	ServiceBus ServiceBus
	Handler    Handler
	Gates      *Gates
	Metrics    *metrics.Metrics
	Log        *zap.Logger
	// Tracer has a span made for each delivery; nil for none.
	Tracer trace.Tracer

	// Concurrency is the most calls under way at once, 1 to 1,000.
	Concurrency int
	// ReadyBuffer is how many messages may wait under lock for a free handler: at most a quarter of the concurrency, 0 for
	// none, or Measured.
	ReadyBuffer int
	// MaxHeldBytes stops intake while the bodies held exceed it.
	MaxHeldBytes int
	// MaxLock is the longest time that a message's lock is renewed.
	MaxLock time.Duration
	// MaxDeliveryCount is the queue's own setting: a message that makes the handler panic is dead-lettered by us at that count.
	MaxDeliveryCount int
	// Redelivery is the schedule of requests that come back.
	Redelivery handler.Redelivery
	// Grace is the time from the stop signal until the platform kills the process.
	Grace time.Duration
}

// Defaults returns a Config with every setting at its default.
func Defaults() Config {
	return Config{
		Concurrency:      64,
		ReadyBuffer:      Measured,
		MaxHeldBytes:     64 << 20,
		MaxLock:          10 * time.Minute,
		MaxDeliveryCount: 10,
		Redelivery:       handler.DefaultRedelivery,
		Grace:            30 * time.Second,
	}
}

// Validate reports every setting that is out of its bounds or contradicts another.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	errs = append(errs, c.ServiceBus.Validate(), c.Redelivery.Validate())
	check(c.Concurrency >= 1 && c.Concurrency <= 1000, "concurrency: %d; want 1 to 1000", c.Concurrency)
	check(c.ReadyBuffer >= Measured && c.ReadyBuffer <= max(c.Concurrency/4, 0), "ready buffer: %d; want 0 to a quarter of the concurrency, or %d to measure it", c.ReadyBuffer, Measured)
	check(c.MaxHeldBytes >= handler.MaxBody, "held bytes: %d; want at least %d, one full body", c.MaxHeldBytes, handler.MaxBody)
	check(c.MaxLock >= time.Minute, "longest lock: %v; want at least 1m", c.MaxLock)
	check(c.MaxDeliveryCount >= 2, "max delivery count: %d; want at least 2, or the death of a worker dead-letters what it holds", c.MaxDeliveryCount)
	least := exitReserve + farewellReserve + settleReserve + time.Second/2
	check(c.Grace >= least, "grace: %v; want at least %v", c.Grace, least)
	return errors.Join(errs...)
}

// Worker receives, works and settles until it is told to stop. Use it once.
type Worker struct {
	config  Config
	log     *zap.Logger
	metrics *metrics.Metrics
	gates   *Gates
	clients *clients

	pump     *pump
	fetching pulse // of the receive loop
	watchdog *watchdog
	ready    *ready
	demand   *demand
	finished *finished
	underway *underway
	twins    *twins
	past     *past
	born     time.Time
	handlers chan struct{} // one token for each call under way
	ballast  ballast       // of handlers
	settling chan struct{} // one token for each settlement under way

	// settles is the context of all settlements; giveUp ends those that nobody answers, at the end of the grace period.
	settles context.Context
	giveUp  context.CancelFunc

	deliveries sync.WaitGroup // one for each delivery under way
	crew       *crew[*delivery]
	draining   atomic.Bool
	drained    tally

	admission sync.Mutex
	closed    bool // nothing is taken in any more, under admission
}

// New checks the configuration and returns a worker. Nothing is dialled before Run.
func New(config Config) (*Worker, error) {
	if config.Handler == nil || config.Gates == nil || config.Metrics == nil || config.Log == nil {
		return nil, errors.New("worker: handler, gates, metrics and log are required")
	}
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return assemble(config, config.ServiceBus.connect), nil
}

// assemble takes the connection from anywhere: tests script it.
func assemble(config Config, connect func() (*connection, error)) *Worker {
	w := &Worker{
		config:   config,
		log:      config.Log,
		metrics:  config.Metrics,
		gates:    config.Gates,
		clients:  newClients(connect, config.Metrics, config.Log),
		ready:    &ready{concurrency: config.Concurrency, fixed: config.ReadyBuffer},
		demand:   newDemand(func() { config.Metrics.Operation("probe") }),
		finished: newFinished(),
		underway: newUnderway(),
		twins:    newTwins(),
		past:     newPast(),
		born:     time.Now(),
		handlers: make(chan struct{}, config.Concurrency),
		settling: make(chan struct{}, config.Concurrency+config.Concurrency/4+1),
	}
	w.ballast.places = w.handlers
	w.clients.collect = w.leftovers
	w.clients.holds = func() bool { _, open := w.drained.deliveries(); return open > 0 }
	w.watchdog = &watchdog{fetching: &w.fetching, connecting: &w.clients.pulse, stuck: &w.clients.stuck, oldest: w.underway.oldest, overdue: config.MaxLock + longestLock + lifeless, deliveries: w.drained.deliveries, cpu: processorTime, core: processorShare()}
	w.pump = newPump(config.Concurrency, config.MaxHeldBytes, w.ready.size, config.Gates)
	config.Gates.bound(config.Concurrency, w.pump.wake)
	w.crew = newCrew(w.process)
	w.settles, w.giveUp = context.WithCancel(context.Background())
	return w
}

// Run works until ctx ends, then drains within the grace period and says how. It retries everything that may pass by
// itself, a broker that cannot be reached among them. Of its own accord it ends only when its own machinery is stuck, which
// the report then says.
func (w *Worker) Run(ctx context.Context) Report {
	w.log.Info("starting", zap.String("entity", w.config.ServiceBus.Entity()), zap.Strings("endpoints", w.gates.endpoints),
		zap.Int("concurrency", w.config.Concurrency), zap.Duration("grace", w.config.Grace))
	alive, end := context.WithCancel(context.WithoutCancel(ctx))
	var owner, intake sync.WaitGroup
	owner.Go(func() { w.clients.run(alive) })

	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	owner.Go(func() {
		if err := w.watchdog.watch(ctx); err != nil {
			giveUp(err)
		}
	})
	owner.Go(func() { w.estimates(ctx) })
	intake.Go(func() { w.takeIn(ctx) })
	<-ctx.Done() // the receive loop may take a second to notice, which belongs to the drain
	begun := time.Now()
	w.draining.Store(true)
	stuck := context.Cause(ctx)
	if !errors.Is(stuck, ErrStuck) {
		stuck = nil
	}
	w.log.Info("draining: no more messages are taken", zap.Int("in_flight", w.drained.begin()), zap.NamedError("because", stuck))
	waitUntil(&intake, begun.Add(intakeReserve))
	report := w.drain(begun, end, &owner)
	report.Stuck = stuck
	return report
}

// takeIn receives until ctx ends, then takes what is on its way.
func (w *Worker) takeIn(ctx context.Context) {
	if c := w.fetch(ctx); c != nil {
		w.collect(c)
	}
}

// Status is what readiness is made of.
type Status struct {
	// Attached: a receiver is connected. Detached says why not.
	Attached bool
	Detached error
	// Refused: Service Bus has refused the identity, or the key.
	Refused bool
	// Stuck wraps ErrStuck when the worker's own machinery shows no sign of life; nil while it does.
	Stuck error
	// Paused is the pause of the intake by a person, nil without one.
	Paused *Pause
	// Draining: the worker has been told to stop.
	Draining bool
	// ClosedGates lists "endpoint: cause".
	ClosedGates []string
}

// Status returns the state of the worker now.
func (w *Worker) Status() Status {
	attached, err := w.clients.attached()
	w.pump.mu.Lock()
	paused := w.pump.paused
	w.pump.mu.Unlock()
	return Status{Paused: paused, Attached: attached, Detached: err, Refused: unauthorized(err), Stuck: w.watchdog.broken(), Draining: w.draining.Load(), ClosedGates: w.gates.Closed()}
}
