package main

import (
	"context"
	"io"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"batchterminator/cmd/internal/app"
)

// workerCommand is the worker as a process of its own: chaos starts this program again under it.
type workerCommand struct {
	Settings app.Settings `embed:""`
}

// run works until ctx ends, or standard input does: whoever started it has gone then.
func (c workerCommand) run(ctx context.Context, stderr io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // ends with the process: a read of standard input cannot be interrupted
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	log, err := app.NewLogger(c.Settings.Operation.LogLevel, c.Settings.Operation.LogFormat, stderr)
	if err != nil {
		return err
	}
	process, err := app.Build(c.Settings, app.Deps{Log: log, Registry: prometheus.NewRegistry(), Version: "sandbox"})
	if err != nil {
		return err
	}
	_, err = process.Run(ctx)
	return err
}
