package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/console"
	"batchterminator/worker/servicebustest"
)

type chaosCommand struct {
	For         time.Duration `default:"2m" help:"How long requests are published and things broken. Default 2m."`
	Seed        uint64        `default:"1" help:"The same seed draws the same requests and the same faults in the same order."`
	Rate        float64       `default:"500" help:"Requests published per second. Default 500."`
	Every       time.Duration `default:"700ms" help:"Time between two faults. Default 700ms."`
	Only        []string      `placeholder:"FAULT" help:"Faults to draw from, by the names in the report; repeat it or separate with commas. Default: all."`
	Blackout    time.Duration `default:"0" help:"Time between two total losses of the network, 10s each; 0 for none."`
	Replicas    int           `default:"3" help:"Workers, each a process of its own, 2 to 20. Default 3."`
	Concurrency int           `default:"64" help:"Most Batch calls under way at once in one worker, 1 to 1000. Default 64."`
	Lock        time.Duration `default:"15s" help:"Lock duration of the queue, 10s to 5m. Default 15s."`
	Grace       time.Duration `default:"15s" help:"Time from the stop signal to a worker's end, as its --grace. Default 15s."`
	Memory      string        `placeholder:"SIZE" help:"Memory limit of each worker, like 256MiB; more than that breaks a promise. Default: none."`
	Latency     time.Duration `default:"20ms" help:"How long the simulated Batch takes to answer."`
	Idle        time.Duration `default:"10s" help:"How long the workers are measured once they have nothing to do. Default 10s."`
	Soak        time.Duration `default:"0" help:"Go on for so long, in rounds of --for each, with the same workers, which nothing kills or stops; what they take may not grow. Default 0: one round."`
	Report      string        `placeholder:"FILE" help:"Where to write the report as JSON too, for sandbox total. Default: nowhere."`
	Logs        string        `placeholder:"DIRECTORY" help:"Where to keep the log of each worker. Default: nowhere."`
	Output      string        `short:"o" default:"table" enum:"table,json" help:"Form of the report: table or json."`
}

// chaos is one run.
type chaos struct {
	chaosCommand
	memory   int // bytes, 0 for no limit
	requests []request
	bus      *servicebustest.Server
	queue    *servicebustest.Queue
	account  *batchtest.Account
	batch    string // endpoint
	at       places // of the services
	fleet    *fleet
	storm    *storm
	watch    watch
	before   int // outcomes that were recorded before the round

	begun     time.Time
	accepted  int       // of requests
	loadEnded time.Time // when the last was published
	drained   time.Time // when the queue was empty, zero if that never came
	survivors []survivor
}

func (c chaosCommand) run(ctx context.Context, stdout, stderr io.Writer) error {
	memory, err := c.check()
	if err != nil {
		return usageError{err}
	}
	var r chaosReport
	if c.Soak > 0 {
		r, err = c.soak(ctx, memory, stderr)
	} else {
		r, err = c.once(ctx, memory, stderr)
	}
	if err != nil {
		return err
	}
	if err := r.keep(c.Report); err != nil {
		return err
	}
	if err := r.write(stdout, c.Output); err != nil {
		return err
	}
	if !r.holds() {
		return errBroken
	}
	return nil
}

// once is one round, whose workers end with it.
func (c chaosCommand) once(ctx context.Context, memory int, stderr io.Writer) (chaosReport, error) {
	run := &chaos{begun: time.Now(), chaosCommand: c, memory: memory, requests: plan(steady(), int(c.Rate*c.For.Seconds()), c.Seed)}
	log, err := c.stormLog()
	if err != nil {
		return chaosReport{}, err
	}
	defer func() { _ = log.Close() }()
	stop, err := run.serve(log, anywhere)
	if err != nil {
		return chaosReport{}, err
	}
	defer stop()
	run.fleet = &fleet{env: run.environment(), logs: c.Logs}
	defer run.fleet.close(false)
	if err := run.fleet.fill(c.Replicas); err != nil {
		return chaosReport{}, err
	}
	if err = run.play(ctx, log, stderr); ctx.Err() == nil {
		run.fleet.close(true)
	}
	return run.report(err), nil
}

func (c chaosCommand) check() (memory int, err error) {
	switch {
	case freeze == nil:
		return 0, errors.New("chaos: processes cannot be frozen on this system")
	case c.For < 5*time.Second || c.Rate*c.For.Seconds() > 5_000_000:
		return 0, fmt.Errorf("--for: %v; want 5s or more, and at most 5000000 requests", c.For)
	case c.Rate < 1 || c.Every < 50*time.Millisecond || c.Replicas < 2 || c.Replicas > 20:
		return 0, errors.New("want --rate of 1 or more, --every of 50ms or more, --replicas of 2 to 20")
	case c.Soak != 0 && c.Soak < leastRounds*c.For:
		return 0, fmt.Errorf("--soak: %v; want the time of %d rounds, of %v each, or more", c.Soak, leastRounds, c.For)
	case c.Lock < 10*time.Second:
		return 0, fmt.Errorf("--lock: %v; want 10s or more", c.Lock)
	case len(weighted(chosen(c.Only))) == 0:
		return 0, fmt.Errorf("--only: %q names no fault; want some of %s", c.Only, strings.Join(stormNames(), ", "))
	case c.Memory == "":
		return 0, nil
	}
	var n int
	if _, err := fmt.Sscanf(c.Memory, "%dMiB", &n); err != nil || n < 32 {
		return 0, fmt.Errorf("--memory: %q; want a number of MiB from 32, like 256MiB", c.Memory)
	}
	return n << 20, nil
}

// places are the addresses of the two services.
type places struct{ bus, batch string }

var anywhere = places{"127.0.0.1:0", "127.0.0.1:0"}

// serve starts the two services on loopback sockets.
func (c *chaos) serve(log io.Writer, at places) (stop func(), err error) {
	c.bus, err = servicebustest.Start(servicebustest.WithQueue(queueName, servicebustest.QueueConfig{LockDuration: c.Lock}))
	if err != nil {
		return nil, err
	}
	c.queue = c.bus.Queue(queueName)
	bus, err := c.bus.Listen(at.bus)
	if err != nil {
		return nil, fmt.Errorf("service bus: %w", err)
	}
	c.account = batchtest.New(batchtest.RememberCalls(20 * len(c.requests)))
	c.account.OnNext(batchtest.Delay(c.Latency), batchtest.Keep()) // first, as in the demo
	batch, err := c.account.Start(at.batch)
	if err != nil {
		return nil, fmt.Errorf("batch account: %w", err)
	}
	c.batch = batch.Endpoint()
	c.at = places{bus.String(), strings.TrimPrefix(c.batch, "http://")}
	return func() {
		batch.Close()
		_ = c.bus.Close()
	}, nil
}

func (c *chaos) newStorm(ctx context.Context, log io.Writer) *storm {
	return &storm{
		bus: c.bus, account: c.account, fleet: c.fleet, replicas: c.Replicas, lock: c.Lock, ctx: ctx,
		faults: weighted(chosen(c.Only)), every: c.Every, blackouts: c.Blackout,
		order: newOrder(c.Seed), random: rand.New(rand.NewPCG(c.Seed, 3)),
		struck: damage{names: map[string]int{}, log: log},
	}
}

// stormLog is beside the workers' logs, if those are kept.
func (c chaosCommand) stormLog() (io.WriteCloser, error) {
	name := os.DevNull
	if c.Logs != "" {
		name = filepath.Join(c.Logs, "storm.log")
	}
	log, err := os.Create(name) //nolint:gosec // G304: the operator names the directory
	if err != nil {
		return nil, fmt.Errorf("--logs: %w", err)
	}
	return log, nil
}

// environment is the worker's: that of a deployment, with the demo's time scale, and nothing of this process's own.
func (c *chaos) environment() []string {
	env := []string{
		"SERVICEBUS_CONNECTION_STRING=" + c.bus.ConnectionString(), "BATCH_ENDPOINT=" + c.batch,
		fmt.Sprintf("CONCURRENCY=%d", c.Concurrency), "GRACE=" + c.Grace.String(), "LISTEN=127.0.0.1:0", "LINGER=0s", "CONTROL=off",
		"RETRY_INITIAL=" + retryInitial.String(), "RETRY_MAX=" + retryMax.String(),
		"REDELIVERY_INITIAL=" + redeliveryInitial.String(), "REDELIVERY_MAX=" + redeliveryMax.String(),
	}
	if c.memory > 0 {
		env = append(env, fmt.Sprintf("GOMEMLIMIT=%d", c.memory))
	}
	return env
}

// patience is how long a queue may take to drain once nothing is broken any more, and a worker to come back: locks that
// nobody holds have to end, and what was looked after by a gate or a later copy has to have its turn.
func (c *chaos) patience() time.Duration { return 3*c.Lock + 30*time.Second }

// play publishes and breaks, then heals, waits for the queue to drain, and looks at the idle workers.
func (c *chaos) play(ctx context.Context, log, stderr io.Writer) error {
	c.storm = c.newStorm(ctx, log)
	if err := c.awaitReady(ctx); err != nil {
		return err
	}
	stopWatch := c.watch.begin(c.fleet)
	defer stopWatch()
	progress := console.NewProgress(stderr, "publishing", len(c.requests))
	c.disturb(ctx, progress)
	progress.End()
	c.storm.heal()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	drained, cancel := context.WithTimeoutCause(ctx, 2*c.patience(), fmt.Errorf("the queue has not drained in %v", 2*c.patience()))
	defer cancel()
	if err := c.queue.Wait(drained, empty); err != nil {
		return err
	}
	c.drained = time.Now()
	var err error
	c.survivors, err = c.examine(ctx)
	return err
}

func empty(n servicebustest.Counts) bool { return n.Active+n.Locked+n.Scheduled+n.Deferred == 0 }

// awaitReady waits until every worker serves.
func (c *chaos) awaitReady(ctx context.Context) error {
	ready, cancel := context.WithTimeoutCause(ctx, c.patience(), errors.New("the workers have not started"))
	defer cancel()
	for {
		if len(c.watch.look(ready, c.fleet)) >= c.Replicas {
			return nil
		}
		sleepFor(ready, 50*time.Millisecond)
		if ready.Err() != nil {
			return context.Cause(ready)
		}
	}
}

// disturb publishes at the rate while things are broken; the last quarter is calm, so that recovery shows.
func (c *chaos) disturb(ctx context.Context, progress *console.Progress) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.storm.blow(ctx, c.For-min(c.For/4, 15*time.Second))
	}()
	c.publish(ctx, progress)
	<-done
}

// publish sends what is due, in steps. What a disabled queue refuses is due at the next one.
func (c *chaos) publish(ctx context.Context, progress *console.Progress) {
	const step = 20 * time.Millisecond
	c.account.AddJob(demoJob, batchtest.JobActive)
	begun := time.Now()
	tick := time.NewTicker(step)
	defer tick.Stop()
	for c.accepted < len(c.requests) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		due := min(int(time.Since(begun).Seconds()*c.Rate), len(c.requests))
		batch := c.requests[c.accepted:due]
		messages := make([]servicebustest.Message, len(batch))
		for i, q := range batch {
			messages[i] = servicebustest.Message{ID: q.id, Body: []byte(q.body)}
			if q.kind.exists {
				c.ensureTask(q.task)
			}
		}
		if _, err := c.queue.Send(messages...); err == nil {
			c.accepted = due
			progress.Set(due)
		}
	}
	c.loadEnded = time.Now()
}

// ensureTask adds the task, unless its request is a repetition of one that has been published.
func (c *chaos) ensureTask(task string) {
	if _, known := c.account.Task(demoJob, task); !known {
		c.account.AddTask(demoJob, task, batchtest.TaskRunning)
	}
}
