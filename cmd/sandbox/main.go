// Sandbox runs Batch Terminator without an Azure account: an embedded Service Bus, a simulated Batch account, and the
// worker of production between them, over real sockets.
//
//	sandbox demo     publishes a realistic mix of requests, breaks things on the way, and checks the worker's promises
//	sandbox chaos    lets many faults and the deaths of processes loose on several workers under load, and checks the same
//	sandbox drill    lets five faults come and go while the metrics are watched, for practice
//	sandbox total    adds up the reports of many runs of it
//	sandbox simulate lets days of production pass in virtual time, everything that can break included
//	sandbox days     does so for many seeds, and adds up
//	sandbox serve    keeps Service Bus and Batch running, for the worker and any official SDK
//
// It is never shipped; a test of cmd/batch-terminator keeps the doubles out of the production binary.
//
//	demo.go       one run from start to verdict
//	story.go      a demo of chosen faults, slow enough to be watched
//	plan.go       the mix of requests, and what each has to come to
//	judge.go      what a run is judged by; package verdict judges
//	report.go     the verdict as a table or as JSON
//	sabotage.go   hidden faults of the worker that a run has to notice
//	chaos.go      one run of chaos from start to the idle end; chaosreport.go judges and reports
//	soak.go       chaos for hours, with the same workers; total.go adds up reports
//	storm.go      the faults of a run, one after the other; stormfaults.go and stormprocess.go list them
//	fleet.go      the workers as processes, child.go one of them, workercommand.go what it runs, watch.go what it takes
//	drill.go      production with a fault now and then; drillfaults.go lists them, drillpage.go is what Prometheus reads
//	simulate.go   days in seconds; package simulate lets them pass
//	days.go       many of them, in processes of their own; daysreport.go adds up
//	serve.go      the two services for other programs, also in place of Microsoft's emulator
//	introduce.go  what serve says about how to connect
//	faults.go     how to ask serve for faults
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/internal/console"
)

const queueName = app.DefaultQueue

type commandLine struct {
	Demo     demoCommand     `cmd:"" help:"Run everything once and check the promises; exits 0 only if all hold."`
	Chaos    chaosCommand    `cmd:"" help:"Kill, freeze and scale workers under load while everything breaks, and check the promises."`
	Drill    drillCommand    `cmd:"" help:"Let five faults come and go, one after the other, while metrics, dashboard and alerts are watched."`
	Simulate simulateCommand `cmd:"" help:"Let days of production pass in seconds of virtual time, with faults drawn from a seed; exits 0 only if every promise holds."`
	Total    totalCommand    `cmd:"" help:"Add up the reports of runs of chaos."`
	Days     daysCommand     `cmd:"" help:"Simulate a day for each of many seeds, each in a process of its own, and add up what they came to."`
	Serve    serveCommand    `cmd:"" help:"Keep a Service Bus and a Batch account running on this machine."`

	Worker workerCommand `cmd:"" hidden:"" help:"The worker, as chaos starts it."`
}

// usageError is a mistake in what was given; nothing has been started.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errBroken says that a promise did not hold; the report has said which.
var errBroken = errors.New("at least one promise does not hold")

func main() {
	ctx, stop := console.UntilSignal()
	code := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, env app.Environment, stdout, stderr io.Writer) int {
	var cli commandLine
	parsed, err := app.Parse(&cli, app.Command{Name: "sandbox", Env: env, Stdout: stdout,
		Description: "Batch Terminator on this machine: an embedded Service Bus, a simulated Batch account, and the worker. No Azure account, no Docker."}, args)
	if errors.Is(err, app.ErrHelp) {
		return 0
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "sandbox: %v\nRun \"sandbox --help\" for the settings.\n", err)
		return 2
	}
	switch parsed.Command() {
	case "demo":
		err = cli.Demo.run(ctx, stdout, stderr)
	case "chaos":
		err = cli.Chaos.run(ctx, stdout, stderr)
	case "worker":
		err = cli.Worker.run(ctx, stderr)
	case "drill":
		err = cli.Drill.run(ctx, stdout)
	case "total <reports>":
		err = cli.Total.run(stdout)
	case "days":
		err = cli.Days.run(ctx, stdout, stderr)
	case "simulate":
		err = cli.Simulate.run(ctx, stdout, stderr)
	default:
		err = cli.Serve.run(ctx, stdout, stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "sandbox: %v\n", err)
		if _, usage := errors.AsType[usageError](err); !usage {
			return 1
		}
		_, _ = fmt.Fprintf(stderr, "Run \"sandbox %s --help\" for the settings.\n", args[0])
		return 2
	}
	return 0
}
