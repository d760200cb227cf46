package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/sandbox/emulator"
	"batchterminator/worker/servicebustest"
)

type serveCommand struct {
	AMQP        string        `name:"amqp" default:"127.0.0.1:5672" placeholder:"ADDRESS" help:"Where Service Bus listens. Default 127.0.0.1:5672."`
	TLS         string        `name:"tls" placeholder:"ADDRESS" help:"Where Service Bus listens with TLS: AMQP, WebSocket and administration on one port. Default: nowhere."`
	CAFile      string        `name:"ca-file" placeholder:"FILE" help:"Where to write the certificate that clients of --tls have to trust."`
	Admin       string        `default:"127.0.0.1:5300" placeholder:"ADDRESS" help:"Where administration and /health are served over HTTP. Default 127.0.0.1:5300."`
	Config      string        `placeholder:"FILE" help:"Queues, topics and subscriptions, as a Config.json of Microsoft's emulator."`
	Batch       string        `default:"127.0.0.1:5380" placeholder:"ADDRESS" help:"Where the Batch account listens. Default 127.0.0.1:5380."`
	Queue       string        `placeholder:"NAME" help:"Name of the queue for the worker. Default terminate-requests; none if there is a --config."`
	Lock        time.Duration `default:"1m" help:"Lock duration of the queue, at most 5m."`
	Latency     time.Duration `default:"20ms" help:"How long the simulated Batch takes to answer."`
	DeadLetters int           `default:"0" placeholder:"N" help:"Begin with so many dead letters in the worker's queue, of five reasons. Default none."`
}

// statusEvery bounds how often a change is reported.
const statusEvery = time.Second

func (c serveCommand) run(ctx context.Context, stdout, stderr io.Writer) error {
	if c.DeadLetters < 0 || c.DeadLetters > 0 && c.Config != "" && c.Queue == "" {
		return usageError{errors.New("--dead-letters: want at least 0, and with --config also --queue")}
	}
	entities, names, err := c.entities()
	if err != nil {
		return usageError{err}
	}
	bus, err := servicebustest.Start(append(entities, servicebustest.WithoutHistory(), servicebustest.WithControl())...)
	if err != nil {
		return err
	}
	defer func() { _ = bus.Close() }()
	admin, err := c.listen(bus)
	if err != nil {
		return err
	}
	account := batchtest.New(batchtest.AutoCreate(), batchtest.RememberCalls(0))
	account.OnNext(batchtest.Delay(c.Latency), batchtest.Keep())
	batch, err := account.Start(c.Batch)
	if err != nil {
		return fmt.Errorf("batch account: %w; choose another address with --batch", err)
	}
	defer batch.Close()
	if err := c.bury(ctx, bus, stderr); err != nil {
		return fmt.Errorf("--dead-letters: %w", err)
	}
	c.introduce(stdout, bus, names, admin, batch.Endpoint())
	if c.Queue == "" {
		<-ctx.Done()
		return nil
	}
	c.watch(ctx, stderr, bus.Queue(c.Queue), account)
	return nil
}

// entities returns what the server starts with, and the addresses of all of it. It settles which queue is the worker's.
func (c *serveCommand) entities() (options []servicebustest.Option, names []string, err error) {
	var config emulator.Config
	if c.Config == "" {
		c.Queue = cmp.Or(c.Queue, queueName)
	} else if config, err = readConfig(c.Config); err != nil {
		return nil, nil, err
	}
	options, names = config.Options(), config.Names()
	if c.Queue != "" && !config.HasQueue(c.Queue) {
		names = append(names, c.Queue)
		options = append(options, servicebustest.WithQueue(c.Queue,
			servicebustest.QueueConfig{LockDuration: c.Lock, DeadLetterOnExpiration: true, RequiresDuplicateDetection: true}))
	}
	return options, names, nil
}

func readConfig(path string) (emulator.Config, error) {
	f, err := os.Open(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return emulator.Config{}, fmt.Errorf("--config: %w", err)
	}
	config, err := emulator.Read(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return emulator.Config{}, fmt.Errorf("--config: %s:\n%w", path, err)
	}
	return config, nil
}

// listen opens the ports of Service Bus and returns the one for administration. Each port speaks all that it can; which
// one is for what is the emulator's habit.
func (c serveCommand) listen(bus *servicebustest.Server) (admin string, err error) {
	if _, err := bus.Listen(c.AMQP); err != nil {
		return "", fmt.Errorf("service bus: %w; choose another address with --amqp", err)
	}
	got, err := bus.Listen(c.Admin)
	if err != nil {
		return "", fmt.Errorf("administration: %w; choose another address with --admin", err)
	}
	if c.TLS == "" {
		if c.CAFile != "" {
			return "", usageError{errors.New("--ca-file: there is nothing to trust without --tls")}
		}
		return got.String(), nil
	}
	if _, err := bus.ListenTLS(c.TLS, nil); err != nil {
		return "", fmt.Errorf("service bus: %w; choose another address with --tls", err)
	}
	if c.CAFile == "" {
		return got.String(), nil
	}
	ca, err := bus.CertificateAuthority()
	if err == nil {
		err = os.WriteFile(c.CAFile, ca, 0o644) //nolint:gosec // G306: a certificate is for everybody
	}
	if err != nil {
		return "", fmt.Errorf("--ca-file: %w", err)
	}
	return got.String(), nil
}

// watch reports what changed, at most once in statusEvery, until ctx ends.
func (c serveCommand) watch(ctx context.Context, w io.Writer, q *servicebustest.Queue, account *batchtest.Account) {
	for {
		changed := q.Changed()
		n := q.Counts()
		_, _ = fmt.Fprintf(w, "%s queue: %d active, %d locked, %d scheduled, %d deferred, %d dead-lettered, %d completed; Batch: %d calls\n",
			time.Now().Format(time.TimeOnly), n.Active, n.Locked, n.Scheduled, n.Deferred, n.DeadLettered, n.Completed, account.CallCount())
		pause := time.NewTimer(statusEvery)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
