package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/internal/tracing"
	"batchterminator/worker"
)

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1
	exitSettings = 2
	exitStuck    = 3
)

const name = "batch-terminator"

const description = `Terminates Azure Batch tasks on request. Requests arrive as messages in an Azure Service Bus queue.

Every setting is a flag or an environment variable, shown behind its help as $NAME; a flag wins.`

// commandLine is the grammar.
type commandLine struct {
	Run      runCommand      `cmd:"" help:"Work until a stop signal, then drain."`
	Send     sendCommand     `cmd:"" help:"Publish terminate requests."`
	Control  controlCommand  `cmd:"" help:"Pause or change a worker of this machine while it runs."`
	Check    checkCommand    `cmd:"" help:"Look at everything that a worker needs, and change nothing."`
	DLQ      dlqCommand      `cmd:"" name:"dlq" help:"Look at dead letters, send them back, or delete them."`
	Why      whyCommand      `cmd:"" help:"Tell what happened to a request, where it is and what comes next."`
	Outcomes outcomesCommand `cmd:"" help:"Print what every answer of Batch means."`
	Schema   schemaCommand   `cmd:"" help:"Print the message contract as JSON Schema."`
	Version  versionCommand  `cmd:"" help:"Print version, revision and Go version."`

	Completion completionCommand `cmd:"" help:"Print a script that completes commands and flags in a shell."`
}

// streams are the process's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run is the whole program but for signals and the end of the process.
func run(ctx context.Context, args []string, env app.Environment, stdin io.Reader, stdout, stderr io.Writer) int {
	return runWith(ctx, args, env, streams{stdin, stdout, stderr}, app.Deps{})
}

// runWith takes the network from deps, for tests.
func runWith(ctx context.Context, args []string, env app.Environment, std streams, deps app.Deps) int {
	var cli commandLine
	parsed, err := app.Parse(&cli, app.Command{Name: name, Description: description, Env: env, Stdout: std.out}, args)
	switch {
	case errors.Is(err, app.ErrHelp):
		return exitOK
	case err != nil:
		return fail(std.err, cli.Check.refused(std, err, args), args)
	}
	switch command := parsed.Command(); command {
	case "run":
		err = cli.Run.run(ctx, env, std, deps)
	case "send":
		err = cli.Send.run(ctx, env, std, deps)
	case "check":
		err = cli.Check.run(ctx, env, std, deps)
	case "dlq list", "dlq show <id>", "dlq resubmit", "dlq export", "dlq purge":
		err = cli.DLQ.run(ctx, command, std, deps)
	case "why <message-id|job/task>":
		err = cli.Why.run(ctx, std, deps)
	case "completion <shell>":
		err = cli.Completion.run(std, parsed.Model)
	case "outcomes":
		err = cli.Outcomes.run(std)
	case "schema":
		err = cli.Schema.run(std)
	case "version":
		err = cli.Version.run(std)
	default:
		err = cli.Control.run(ctx, std, parsed.Command())
	}
	return fail(std.err, err, args)
}

// usageError is a mistake in what was given; nothing has been done.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// fail prints one line for each thing that went wrong, and returns the exit code.
func fail(w io.Writer, err error, args []string) int {
	if err == nil {
		return exitOK
	}
	lines := []error{err}
	problems, settings := errors.AsType[app.Problems](err)
	if settings {
		lines = problems
	}
	for _, line := range lines {
		_, _ = fmt.Fprintf(w, "%s: %v\n", name, line)
	}
	if errors.Is(err, worker.ErrStuck) {
		return exitStuck
	}
	if _, usage := errors.AsType[usageError](err); !settings && !usage {
		return exitFailed
	}
	_, _ = fmt.Fprintf(w, "Run \"%s --help\" for the settings.\n", command(args))
	return exitSettings
}

// command is the program and the command that was meant, for the hint.
func command(args []string) string {
	known := []string{"run", "send", "control", "check", "dlq list", "dlq show", "dlq resubmit", "dlq export", "dlq purge", "dlq", "why", "outcomes", "schema", "version", "completion"}
	for _, c := range known {
		if words := strings.Fields(c); len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return name + " " + c
		}
	}
	return name
}

type runCommand struct {
	Settings app.Settings `embed:""`
}

// Help is shown behind the command's one-line help.
func (runCommand) Help() string {
	return `Takes requests from the queue, or the subscription of a topic, and calls Terminate Task until the outcome is certain. The first SIGTERM or SIGINT drains: what is in flight finishes or goes back to the queue. A second one exits at once with code 1. A Service Bus that cannot be reached, is disabled or refuses the identity is waited for, however long. Traces are sent where the standard OTEL_* variables say, such as OTEL_EXPORTER_OTLP_ENDPOINT; without them nothing is traced. Exit codes: 0 drained, 1 failed, 2 wrong settings, 3 drained after the worker's own machinery got stuck: start it again, no message is lost.

Examples:

  SERVICEBUS_NAMESPACE=example.servicebus.windows.net BATCH_ENDPOINT=https://acme.westeurope.batch.azure.com batch-terminator run

  batch-terminator run --namespace=example.servicebus.windows.net --topic=batch --subscription=terminate --batch-endpoint=https://acme.westeurope.batch.azure.com --concurrency=128`
}

func (c runCommand) run(ctx context.Context, env app.Environment, std streams, deps app.Deps) error {
	s := c.Settings
	signal.Ignore(syscall.SIGPIPE) // a log that nobody reads any more is no reason to die
	sink := app.NewSink(std.err)
	defer sink.Close()
	log, level, err := app.NewAdjustableLogger(s.Operation.LogLevel, s.Operation.LogFormat, sink)
	if err != nil {
		return err
	}
	deps.Log = log.With(app.PlatformFields(env)...)
	app.BridgeSDKLog(deps.Log)
	deps.Registry, deps.Version = prometheus.NewRegistry(), readBuild().Version
	deps.LogLinesDropped, deps.LogLevel = sink.Dropped, level
	traces := tracing.Start(env.Lookup, deps.Version, deps.Log)
	defer traces.Close(tracing.Farewell)
	deps.Tracer = traces.Tracer()
	process, err := app.Build(s, deps)
	if err != nil {
		return err
	}
	limits := s.Limits()
	deps.Log.Info(name, zap.String("version", deps.Version),
		zap.Int("calls_per_delivery_at_most", limits.Calls), zap.Duration("delivery_at_most", limits.Delivery),
		zap.Int("deliveries_per_request_at_most", limits.Deliveries), zap.Int("calls_per_request_at_most", limits.Deliveries*limits.Calls),
		zap.Int("broker_operations_per_request_at_most", limits.Deliveries*limits.Operations), zap.Duration("request_given_up_after", s.Retry.MaxAge),
		zap.Int("messages_under_lock_at_most", limits.Held), zap.Duration("drain_at_most", s.Worker.Grace-2*time.Second))
	_, err = process.Run(ctx)
	return err
}
