package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/internal/console"
	"batchterminator/worker/servicebustest"
)

// deadlyBodies are requests that end in the dead-letter queue, each for a reason of its own, when Batch knows the task and
// the worker is strict. The first is left to die of its time to live.
var deadlyBodies = []string{
	`{"jobId":"nightly","taskId":"frame-%d"}`,
	`{"jobId":"nightly","taskId":"frame-%d","ifmatch":"0x8DC"}`,
	`{"jobId":"nightly","taskId":"frame-%d","endpoint":"https://elsewhere.westeurope.batch.azure.com"}`,
	`{"jobId":"nightly","taskId":"frame-%d","ifMatch":"0x8DCOLD"}`,
	`{"jobId":"nightly","taskId":"gone-%d"}`,
}

// bury fills the dead-letter queue of the worker's queue: a worker does, with a Batch account that is only for it.
func (c serveCommand) bury(ctx context.Context, bus *servicebustest.Server, stderr io.Writer) error {
	if c.DeadLetters == 0 {
		return nil
	}
	queue := bus.Queue(c.Queue)
	account := batchtest.New(batchtest.RememberCalls(0))
	batch, err := account.Start("127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("batch account: %w", err)
	}
	defer batch.Close()
	for i := range c.DeadLetters {
		task, kind := fmt.Sprintf("frame-%d", i), i%len(deadlyBodies)
		account.AddTask("nightly", task, batchtest.TaskRunning)
		m := servicebustest.Message{ID: fmt.Sprintf("request-%d", i), Body: fmt.Appendf(nil, deadlyBodies[kind], i), ContentType: "application/json"}
		if kind == 0 {
			m.TTL = time.Millisecond
		}
		if _, err := queue.Send(m); err != nil {
			return err
		}
	}
	s := app.Defaults()
	s.ServiceBus.ConnectionString, s.ServiceBus.Queue = app.Secret(bus.ConnectionString()), c.Queue
	s.Batch.Endpoints, s.Batch.OnNotFound, s.Operation.Listen = []string{batch.Endpoint()}, "dead-letter", ""
	process, err := app.Build(s, app.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Version: "sandbox", Dial: bus.Dial})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := process.Run(running)
		ended <- err
	}()
	progress := console.NewProgress(stderr, "dead-lettering", c.DeadLetters)
	waitErr := queue.Wait(ctx, func(n servicebustest.Counts) bool {
		progress.Set(n.DeadLettered)
		return n.DeadLettered == c.DeadLetters
	})
	progress.End()
	stop()
	return cmp.Or(waitErr, <-ended)
}
