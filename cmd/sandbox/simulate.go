package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/internal/console"
	"batchterminator/cmd/sandbox/simulate"
)

type simulateCommand struct {
	Seed     uint64 `default:"1" help:"What happens: the same seed gives the same requests, faults and kills. Default 1."`
	Hours    int    `default:"24" help:"Hours of production to simulate, 1 to 1000. Default 24."`
	Output   string `short:"o" default:"table" enum:"table,json" help:"Form of the report: table or json."`
	Verbose  bool   `short:"v" help:"Tell what happens when."`
	LogLevel string `default:"error" enum:"debug,info,warn,error,none" help:"Least level of the workers' log that is shown with --verbose: debug, info, warn, error or none. Default error."`
}

func (c simulateCommand) run(ctx context.Context, stdout, stderr io.Writer) error {
	if c.Hours < 1 || c.Hours > 1000 {
		return usageError{fmt.Errorf("--hours: %d; want 1 to 1000", c.Hours)}
	}
	config := simulate.Config{Seed: c.Seed, Hours: c.Hours}
	progress := console.NewProgress(stderr, "simulating hours", c.Hours)
	config.Tell = func(at time.Duration, what string) {
		if c.Verbose {
			_, _ = fmt.Fprintf(stderr, "%9v  %s\n", at.Truncate(time.Second), what) // who does not read cannot be told
			return
		}
		progress.Set(int(at.Hours()))
	}
	if c.Verbose && c.LogLevel != "none" {
		log, err := app.NewLogger(c.LogLevel, "console", stderr)
		if err != nil {
			return err
		}
		config.Log = log
	}
	r := simulate.Run(ctx, config)
	progress.End()
	if err := writeSimulation(stdout, c.Output, r); err != nil {
		return err
	}
	if !r.Holds() {
		return errBroken
	}
	return nil
}

func writeSimulation(w io.Writer, form string, r simulate.Result) error {
	if form == "json" {
		if err := json.MarshalWrite(w, r, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("report: %w", err)
		}
		_, err := fmt.Fprintln(w)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // Flush reports the first error
	line("Seed %d: %d hours in %.1f s, %d requests, %d messages, %d Batch calls, %d faults, %d workers, %d of them killed",
		r.Seed, r.Hours, r.Seconds, r.Requests, r.Messages, r.Calls, r.Faults, r.Workers, r.Kills)
	line("Lost %d, duplicated ends %d, recovered %d, burned deliveries %d\n", r.Lost, r.DuplicatedEnds, r.Recovered, r.Burned)
	promiseLines(line, r.Lines)
	for _, story := range r.Stories {
		line("\n%s", story)
	}
	switch {
	case r.Problem != "":
		line("\nThe simulation ended early: %s", r.Problem)
	case r.Holds():
		line("\nAll promises hold.")
	}
	return t.Flush()
}
