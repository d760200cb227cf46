package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/prometheus/client_golang/prometheus"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/internal/console"
	"batchterminator/cmd/sandbox/verdict"
	"batchterminator/worker/servicebustest"
)

type demoCommand struct {
	Requests    int           `default:"1000" help:"Requests to publish, 10 to 1000000. Default 1000."`
	NoFaults    bool          `help:"Break nothing. Otherwise connections, answers and settlements break on the way."`
	Faults      []string      `placeholder:"FAULT" help:"Tell a story of these instead, one after the other: throttle, outage, auth, unreachable, bad-messages, as in deploy/RUNBOOK.md. Separate them with commas."`
	FaultFor    time.Duration `default:"30s" help:"With --faults, how long each lasts, and the time before, between and after them, 500ms to 10m. Default 30s."`
	Hold        time.Duration `default:"0s" help:"With --faults, how much longer the metrics are served once all requests have ended. Default 0s."`
	Listen      string        `default:"127.0.0.1:0" placeholder:"ADDRESS" help:"Where the worker serves /metrics, /healthz and /readyz; port 0 takes any free one. Default 127.0.0.1:0."`
	Concurrency int           `default:"64" help:"Most Batch calls under way at once, 1 to 1000. Default 64."`
	Latency     time.Duration `default:"20ms" help:"How long the simulated Batch takes to answer."`
	Seed        uint64        `default:"1" help:"The same seed gives the same requests."`
	Limit       time.Duration `default:"5m" help:"Give up after this time."`
	Output      string        `short:"o" default:"table" enum:"table,json" help:"Form of the report: table or json."`
	LogLevel    string        `default:"error" enum:"debug,info,warn,error" help:"Least level of the worker's log that is shown: debug, info, warn or error. Default error."`
	Sabotage    string        `hidden:"" help:"Break this promise inside the worker; the demo has to notice."`
}

// The demo's time scale: what takes minutes in production takes seconds here. Everything else is the default.
const (
	lockDuration      = 15 * time.Second
	retryInitial      = 100 * time.Millisecond
	retryMax          = time.Second
	redeliveryInitial = time.Second
	redeliveryMax     = 5 * time.Second
)

// demo is one run.
type demo struct {
	demoCommand
	requests []request
	faults   []drillFault
	sabotage sabotage
	bus      *servicebustest.Server
	queue    *servicebustest.Queue
	account  *batchtest.Account
	settings app.Settings

	registries []*prometheus.Registry
	struck     struck
	workers    []verdict.Worker
	took       time.Duration
}

func (c demoCommand) run(ctx context.Context, stdout, stderr io.Writer) error {
	d := &demo{demoCommand: c}
	if err := d.check(); err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Limit, fmt.Errorf("not finished after %v", c.Limit))
	defer cancel()
	stop, err := d.begin()
	if err != nil {
		return err
	}
	defer stop()
	if err := d.play(ctx, stderr); err != nil && context.Cause(ctx) == nil {
		return err
	}
	r := d.judge()
	if ctx.Err() != nil {
		r.Problem = context.Cause(ctx).Error()
	}
	if err := r.write(stdout, c.Output); err != nil {
		return err
	}
	if !r.holds() {
		return errBroken
	}
	return nil
}

// check judges the settings and finds what they name.
func (d *demo) check() (err error) {
	c := d.demoCommand
	if c.Requests < 10 || c.Requests > 1_000_000 {
		return fmt.Errorf("--requests: %d; want 10 to 1000000", c.Requests)
	}
	if d.sabotage, err = findSabotage(c.Sabotage); err != nil {
		return err
	}
	if len(c.Faults) > 0 {
		if d.faults, err = chosenDrill(c.Faults); err != nil {
			return fmt.Errorf("--faults: %w", err)
		}
	}
	if c.NoFaults && len(d.faults) > 0 {
		return errors.New("--no-faults and --faults contradict each other")
	}
	if c.FaultFor < 500*time.Millisecond || c.FaultFor > 10*time.Minute {
		return fmt.Errorf("--fault-for: %v; want 500ms to 10m", c.FaultFor)
	}
	return nil
}

// begin starts the two services on loopback sockets.
func (d *demo) begin() (stop func(), err error) {
	mix := kinds
	if len(d.faults) > 0 {
		mix = ordinary()
	}
	d.requests = plan(mix, d.Requests, d.Seed)
	d.bus, err = servicebustest.Start(servicebustest.WithQueue(queueName, servicebustest.QueueConfig{LockDuration: lockDuration}))
	if err != nil {
		return nil, err
	}
	d.queue = d.bus.Queue(queueName)
	if _, err := d.bus.Listen("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("service bus: %w", err)
	}
	d.account = batchtest.New(batchtest.RememberCalls(20 * d.Requests))
	d.account.OnNext(batchtest.Delay(d.Latency), batchtest.Keep()) // first, so that failures take their time too
	prepare(d.account, d.requests, d.Seed, !d.NoFaults)
	batch, err := d.account.Start("127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("batch account: %w", err)
	}
	s := app.Defaults()
	s.ServiceBus.ConnectionString = app.Secret(d.bus.ConnectionString())
	s.Batch.Endpoints = []string{batch.Endpoint()}
	s.Retry.Initial, s.Retry.Max = retryInitial, retryMax
	s.Retry.RedeliveryInitial, s.Retry.RedeliveryMax = redeliveryInitial, redeliveryMax
	s.Worker.Concurrency = d.Concurrency
	s.Operation.Control = app.ControlOff
	s.Operation.Listen, s.Operation.LogLevel, s.Operation.LogFormat = d.Listen, d.LogLevel, "console"
	d.settings = s
	return func() {
		batch.Close()
		_ = d.bus.Close()
	}, nil
}

// play publishes, works, and stops and starts the worker once in the middle, as a deployment does.
func (d *demo) play(ctx context.Context, stderr io.Writer) error {
	begun := time.Now()
	defer func() { d.took = time.Since(begun) }()
	if len(d.faults) > 0 {
		return d.tell(ctx, stderr)
	}
	if err := d.publish(ctx, stderr); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	begun = time.Now()
	progress := console.NewProgress(stderr, "terminating", len(d.requests))
	defer progress.End()
	if err := d.work(ctx, stderr, progress, 0.5); err != nil {
		return err
	}
	if err := d.work(ctx, stderr, progress, 1); err != nil {
		return err
	}
	return nil
}

// breakThings arms faults of Service Bus that meet the worker on its way.
func (d *demo) breakThings() {
	if d.NoFaults {
		return
	}
	// Not the answer to a release: the SDK waits for that one inside its next receive, and the messages in its hands stay
	// locked where the worker cannot see them.
	completion := servicebustest.When(func(c servicebustest.Call) bool { return c.Settlement == "complete" })
	d.bus.OnNext(servicebustest.SettleEcho, servicebustest.Swallow(), completion, d.struck.noted(verdict.Passing))
	d.bus.OnNext(servicebustest.Flow, servicebustest.DropConnection(), servicebustest.OnEntity(queueName), d.struck.noted(verdict.Cut))
	for _, condition := range []string{"amqp:link:detach-forced", "com.microsoft:server-busy"} {
		d.bus.OnNext(servicebustest.Flow, servicebustest.DetachLink(condition, "by the demo"), servicebustest.OnEntity(queueName), d.struck.noted(verdict.Cut))
	}
}

// struck remembers which faults of Service Bus have struck.
type struck struct {
	mu     sync.Mutex
	faults []verdict.Fault // under mu
}

// noted is the last condition of a fault, so that it is asked only when the fault strikes.
func (s *struck) noted(kind verdict.Kind) servicebustest.FaultOption {
	return servicebustest.When(func(servicebustest.Call) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = append(s.faults, verdict.Fault{Kind: kind, At: time.Now()})
		return true
	})
}

// lasted remembers a fault that has ended.
func (s *struck) lasted(f verdict.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
}

func (s *struck) all() []verdict.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.faults)
}

func (d *demo) publish(ctx context.Context, stderr io.Writer) error {
	publisher, err := d.settings.ServiceBus.Publisher(nil)
	if err != nil {
		return err
	}
	progress := console.NewProgress(stderr, "publishing", len(d.requests))
	defer progress.End()
	_, err = publisher.Publish(ctx, outgoing(d.requests), progress.Add)
	if closeErr := publisher.Close(); err == nil {
		err = closeErr
	}
	return err
}

// done says how many requests have ended: a redelivery is one more message, and one more completion.
func (d *demo) done(c servicebustest.Counts) int {
	return c.Completed + c.DeadLettered - (c.Accepted - len(d.requests))
}

// work runs one worker until this share of the requests has ended, then drains it: in the middle with work in flight.
func (d *demo) work(ctx context.Context, stderr io.Writer, progress *console.Progress, until float64) error {
	breakThings := sync.OnceFunc(d.breakThings)
	before := d.done(d.queue.Counts())
	return d.live(ctx, stderr, func(ctx context.Context, _ *app.App) error {
		return d.queue.Wait(ctx, func(c servicebustest.Counts) bool {
			done := d.done(c)
			progress.Set(done)
			if done > before+len(d.requests)/10 {
				breakThings()
			}
			if until < 1 {
				return float64(done) >= until*float64(len(d.requests))
			}
			return allEnded(c)
		})
	})
}

// live runs one worker as long as something else goes on, then drains it. The context of that ends with the worker too.
func (d *demo) live(ctx context.Context, stderr io.Writer, meanwhile func(context.Context, *app.App) error) error {
	process, err := d.build(stderr)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	alive, died := context.WithCancelCause(ctx)
	defer died(nil)
	ended := make(chan error, 1)
	life := verdict.Worker{Started: time.Now()}
	if d.sabotage.meddle != nil && len(d.registries) == 1 {
		d.sabotage.meddle(d)
	}
	go func() {
		report, err := process.Run(running)
		life.Ended = time.Now() // read after ended
		life.Said = fmt.Sprintf("%d finished, %d handed back, %d left", report.Finished, report.HandedBack, report.Left)
		died(err)
		ended <- err
	}()
	otherErr := meanwhile(alive, process)
	stopped := time.Now()
	stop()
	err = <-ended
	life.Stopped = stopped
	d.workers = append(d.workers, life)
	return cmp.Or(err, otherErr)
}

// build wires the worker as production does, but for the sabotage.
func (d *demo) build(stderr io.Writer) (*app.App, error) {
	settings := d.settings
	log, err := app.NewLogger(settings.Operation.LogLevel, settings.Operation.LogFormat, stderr)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	deps := app.Deps{Log: log, Registry: registry, Version: "sandbox"}
	if d.sabotage.tamper != nil {
		deps.Transport = func(string) policy.Transporter { return &http.Client{Transport: d.sabotage.tamper} }
	}
	if d.sabotage.settings != nil {
		d.sabotage.settings(&settings)
	}
	d.registries = append(d.registries, registry)
	return app.Build(settings, deps)
}
