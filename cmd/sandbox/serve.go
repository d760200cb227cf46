package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

type serveCommand struct {
	AMQP    string        `name:"amqp" default:"127.0.0.1:5672" placeholder:"ADDRESS" help:"Where Service Bus listens. Default 127.0.0.1:5672."`
	Batch   string        `default:"127.0.0.1:5380" placeholder:"ADDRESS" help:"Where the Batch account listens. Default 127.0.0.1:5380."`
	Queue   string        `default:"terminate-requests" placeholder:"NAME" help:"Name of the queue. Default terminate-requests."`
	Lock    time.Duration `default:"1m" help:"Lock duration of the queue, at most 5m."`
	Latency time.Duration `default:"20ms" help:"How long the simulated Batch takes to answer."`
}

// statusEvery bounds how often a change is reported.
const statusEvery = time.Second

func (c serveCommand) run(ctx context.Context, stdout, stderr io.Writer) error {
	bus, err := servicebustest.Start(servicebustest.WithoutHistory(),
		servicebustest.WithQueue(c.Queue, servicebustest.QueueConfig{LockDuration: c.Lock, DeadLetterOnExpiration: true}))
	if err != nil {
		return err
	}
	defer func() { _ = bus.Close() }()
	if _, err := bus.Listen(c.AMQP); err != nil {
		return fmt.Errorf("service bus: %w; choose another address with --amqp", err)
	}
	account := batchtest.New(batchtest.AutoCreate(), batchtest.RememberCalls(0))
	account.OnNext(batchtest.Delay(c.Latency), batchtest.Keep())
	batch, err := account.Start(c.Batch)
	if err != nil {
		return fmt.Errorf("batch account: %w; choose another address with --batch", err)
	}
	defer batch.Close()
	c.introduce(stdout, bus.ConnectionString(), batch.Endpoint())
	c.watch(ctx, stderr, bus.Queue(c.Queue), account)
	return nil
}

func (c serveCommand) introduce(w io.Writer, connectionString, endpoint string) {
	_, _ = fmt.Fprintf(w, `Service Bus, queue %s:
  %s
Batch account; a task that is named for the first time is a running one:
  %s

In two other terminals:
  export SERVICEBUS_CONNECTION_STRING='%s' BATCH_ENDPOINT=%s SERVICEBUS_QUEUE=%s
  go run ./cmd/batch-terminator run --log-format console
  go run ./cmd/batch-terminator send --job nightly --task frame-1

Ctrl-C ends it; nothing is kept.
`, c.Queue, connectionString, endpoint, connectionString, endpoint, c.Queue)
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
