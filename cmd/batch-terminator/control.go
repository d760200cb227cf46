package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"batchterminator/cmd/internal/app"
)

// controlCommand changes a worker of this machine while it runs.
type controlCommand struct {
	Worker app.ControlSettings `embed:""`
	Output string              `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"Form of the answer: text or json. Default text."`

	Status      struct{} `cmd:"" help:"Say how the worker stands."`
	Pause       struct{} `cmd:"" help:"Take no more messages until resume or the end of the process."`
	Resume      struct{} `cmd:"" help:"End a pause."`
	Concurrency struct {
		N int `arg:"" help:"Most requests under way at once, 1 and up to what the worker was started with."`
	} `cmd:"" help:"Have more or fewer requests under way."`
	LogLevel struct {
		Level string `arg:"" enum:"debug,info,warn,error" help:"debug, info, warn or error."`
	} `cmd:"" help:"Change what is logged."`
	ResetGates struct {
		Endpoint string `arg:"" optional:"" help:"The Batch endpoint; all without it."`
	} `cmd:"" help:"Open the gates of accounts that are believed to be mended, without a wait for their probe."`
}

// Help is shown behind the command's one-line help.
func (controlCommand) Help() string {
	return `Reaches one worker, on its own machine or in its own container, over its --control address. Each change is one line in that worker's log: who, what, before and after. Nothing of it outlives the process: replicas that start later start as they are configured.

Reached is ONE worker: where several replicas run, the change is wanted on each. status says which part of one is not well, and why.

A paused worker finishes what it holds; nothing is lost, and no delivery is burned. It stays ready, so no platform replaces it: /readyz says that it is paused, and the metric intake_paused is 1. The Azure SDK's own lines appear at debug only in a process that was started with it.

Exit codes: 0 done, 1 the worker cannot be reached or refused, 2 wrong arguments.

Examples:

  batch-terminator control pause --by=ada

  batch-terminator control concurrency 8

  az containerapp replica list --name NAME --resource-group GROUP --query "[].name" -o tsv

  az containerapp exec --name NAME --resource-group GROUP --container worker --replica REPLICA --command "/batch-terminator control status"`
}

// run does what the parser understood, such as "control concurrency <n>".
func (c controlCommand) run(ctx context.Context, std streams, parsed string) error {
	action := strings.Fields(parsed)[1]
	if action == "status" {
		status, err := c.Worker.Status(ctx)
		if err != nil {
			return err
		}
		return c.print(std.out, status, "", status)
	}
	a, err := c.Worker.Change(ctx, action, app.ControlRequest{Concurrency: c.Concurrency.N, LogLevel: c.LogLevel.Level, Endpoint: c.ResetGates.Endpoint})
	if err != nil {
		return err
	}
	return c.print(std.out, a, fmt.Sprintf("%s: %s, was %s\n", action, value(a.After), value(a.Before)), a.Status)
}

func (c controlCommand) print(w io.Writer, all any, done string, s app.ControlStatus) error {
	if c.Output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(all)
	}
	intake := "open"
	switch {
	case s.Draining:
		intake = "draining"
	case s.Paused:
		intake = "paused"
		if s.PausedBy != "" {
			intake += " by " + s.PausedBy
		}
		if s.PausedSince != nil {
			intake += " since " + s.PausedSince.UTC().Format(time.RFC3339)
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var ill strings.Builder
	for _, c := range s.Checks.Failed() {
		ill.WriteString("  " + c.Name + "\t" + plain(c.Detail) + "\n")
	}
	_, _ = fmt.Fprintf(table, "%sintake\t%s\nready\t%s\n%sconcurrency\t%d of %d\nlog level\t%s\nclosed gates\t%s\n", done,
		intake, yesNo(s.Ready), ill.String(), s.Concurrency.Now, s.Concurrency.Most, dash(s.LogLevel), dash(strings.Join(s.ClosedGates, ", "))) // it reports at its flush
	return table.Flush()
}

// value is a value of the answer as people read it.
func value(v any) string {
	switch v := v.(type) {
	case bool:
		return yesNo(v)
	case []any:
		if len(v) == 0 {
			return "none closed"
		}
		return "closed " + strings.Trim(fmt.Sprint(v), "[]")
	}
	return fmt.Sprint(v)
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
