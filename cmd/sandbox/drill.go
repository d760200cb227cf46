package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

type drillCommand struct {
	Only     []string      `placeholder:"FAULT" help:"Faults to drill, of throttle, outage, auth, unreachable, bad-messages; repeat it or separate with commas. Default: all, in this order."`
	For      time.Duration `default:"1m" help:"How long each fault lasts. Default 1m."`
	Rest     time.Duration `default:"90s" help:"How long nothing is broken before the first fault and after each. Default 90s."`
	Blind    bool          `help:"Shuffle the faults, and tell which was which only at the end."`
	Rate     float64       `default:"20" help:"Requests published per second, 1 to 1000. Default 20."`
	Replicas int           `default:"2" help:"Workers, each a process of its own, 1 to 20. Default 2."`
	Lock     time.Duration `default:"1m" help:"Lock duration of the queue, 10s to 5m. Default 1m."`
	Latency  time.Duration `default:"60ms" help:"About how long the simulated Batch takes to answer."`
	Listen   string        `default:"127.0.0.1:9400" placeholder:"ADDRESS" help:"Where a Prometheus finds the workers, and the counts of the queue. Default 127.0.0.1:9400."`
	Logs     string        `placeholder:"DIRECTORY" help:"Where to keep the log of each worker. Default: nowhere."`
}

// Help is printed by drill --help, below the description.
func (drillCommand) Help() string {
	return `Everything but the faults is as in production, the settings of the workers too, but for a cap on their calls, so that metrics, alerts and logs look as they will there.
 GET /targets on --listen is a list for Prometheus's http_sd_configs; GET /metrics counts the messages of the queue, which
 Azure Monitor does in production. deploy/grafana/preview/prometheus.yml uses both.`
}

// drill is one run.
type drill struct {
	drillCommand
	faults  []drillFault
	bus     *servicebustest.Server
	queue   *servicebustest.Queue
	account *batchtest.Account
	fleet   *fleet
	say     func(format string, args ...any)

	bad  atomic.Bool // bad messages are due
	ends func()      // what the fault of the moment takes back

	started []func() // what ends each of begin's parts
}

func (c drillCommand) run(ctx context.Context, stdout io.Writer) error {
	faults, err := c.check()
	if err != nil {
		return usageError{err}
	}
	d := &drill{drillCommand: c, faults: faults, ends: func() {}}
	d.say = func(format string, args ...any) {
		_, _ = fmt.Fprintf(stdout, time.Now().Format(time.TimeOnly)+" "+format+"\n", args...) // who does not read cannot be told
	}
	if c.Blind {
		rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	}
	defer d.close()
	if err := d.begin(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	published := make(chan struct{})
	go func() {
		defer close(published)
		d.publish(ctx)
	}()
	d.play(ctx)
	cancel()
	<-published
	d.fleet.close(true)
	if len(d.fleet.problems) > 0 {
		return errors.New(strings.Join(d.fleet.problems, "; "))
	}
	return nil
}

func (c drillCommand) check() ([]drillFault, error) {
	switch {
	case c.For < time.Second || c.Rest < 0:
		return nil, errors.New("want --for of 1s or more, --rest of 0 or more")
	case c.Rate < 1 || c.Rate > 1000 || c.Replicas < 1 || c.Replicas > 20:
		return nil, errors.New("want --rate of 1 to 1000, --replicas of 1 to 20")
	case c.Lock < 10*time.Second || c.Lock > 5*time.Minute:
		return nil, fmt.Errorf("--lock: %v; want 10s to 5m", c.Lock)
	}
	faults, err := chosenDrill(c.Only)
	if err != nil {
		return nil, fmt.Errorf("--only: %w", err)
	}
	return faults, nil
}

// begin starts the two services on loopback sockets, the workers, and the page that Prometheus finds them on. What it has
// started when it fails, close ends too.
func (d *drill) begin() (err error) {
	d.bus, err = servicebustest.Start(servicebustest.WithoutHistory(),
		servicebustest.WithQueue(queueName, servicebustest.QueueConfig{LockDuration: d.Lock, DeadLetterOnExpiration: true}))
	if err != nil {
		return err
	}
	d.started = append(d.started, func() { _ = d.bus.Close() })
	d.queue = d.bus.Queue(queueName)
	if _, err := d.bus.Listen("127.0.0.1:0"); err != nil {
		return fmt.Errorf("service bus: %w", err)
	}
	d.account = batchtest.New(batchtest.AutoCreate(), batchtest.RememberCalls(0))
	d.slow()
	batch, err := d.account.Start("127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("batch account: %w", err)
	}
	d.started = append(d.started, batch.Close)
	d.fleet = &fleet{logs: d.Logs, env: []string{
		"SERVICEBUS_CONNECTION_STRING=" + d.bus.ConnectionString(), "BATCH_ENDPOINT=" + batch.Endpoint(), "LISTEN=127.0.0.1:0",
		fmt.Sprintf("RATE=%g", max(1, catchUp*d.Rate/float64(d.Replicas))),
	}}
	stop, err := d.serve()
	if err != nil {
		return err
	}
	d.started = append(d.started, stop, func() { d.fleet.close(false) })
	for range d.Replicas {
		if err := d.fleet.add(); err != nil {
			return err
		}
	}
	return nil
}

// close ends what begin has started, last first.
func (d *drill) close() {
	for _, end := range slices.Backward(d.started) {
		end()
	}
}

// catchUp is how much faster than requests arrive the workers may call, all together: a backlog takes its time to go.
const catchUp = 3

// slow has Batch take its time: most answers about --latency, one in twenty four times that.
func (d *drill) slow() {
	d.account.OnNext(batchtest.Delay(d.Latency*3), batchtest.Keep(), batchtest.EveryNth(20))
	d.account.OnNext(batchtest.Delay(d.Latency/3), batchtest.Keep(), batchtest.EveryNth(2))
	d.account.OnNext(batchtest.Delay(d.Latency*2/3), batchtest.Keep())
}

// play lets the faults come and go.
func (d *drill) play(ctx context.Context) {
	d.say("%d workers at work, %.0f requests a second; Prometheus finds them on http://%s/targets", d.Replicas, d.Rate, d.Listen)
	sleepFor(ctx, d.Rest)
	for i, f := range d.faults {
		if ctx.Err() != nil {
			return
		}
		if d.Blind {
			d.say("fault %d begins", i+1)
		} else {
			d.say("%s begins: %s", f.name, f.means)
		}
		f.begin(d)
		sleepFor(ctx, d.For)
		d.ends()
		d.ends = func() {}
		d.say("fault %d ended", i+1)
		sleepFor(ctx, d.Rest)
	}
	if !d.Blind {
		return
	}
	for i, f := range d.faults {
		d.say("fault %d was %s: %s", i+1, f.name, f.means)
	}
}

// publish sends what is due until ctx ends, bad messages among the good ones while they are asked for.
func (d *drill) publish(ctx context.Context) {
	const step = 50 * time.Millisecond
	random := rand.New(rand.NewPCG(1, 4))
	tick := time.NewTicker(step)
	defer tick.Stop()
	begun, sent := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var messages []servicebustest.Message
		for due := int(time.Since(begun).Seconds() * d.Rate); sent < due; sent++ {
			task := fmt.Sprintf("frame-%07d", sent)
			body := plain(task)
			if d.bad.Load() && random.IntN(3) == 0 {
				body = malformed(task)
			}
			messages = append(messages, servicebustest.Message{ID: fmt.Sprintf("request-%07d", sent), Body: []byte(body)})
		}
		if _, err := d.queue.Send(messages...); err != nil {
			d.say("publish: %v", err)
		}
	}
}
