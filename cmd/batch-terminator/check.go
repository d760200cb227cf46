package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/internal/check"
)

type checkCommand struct {
	Output  string        `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"Form of the report: text or json. Default text."`
	Timeout time.Duration `default:"30s" help:"When to stop waiting for answers, 1s to 10m."`
	Strict  bool          `help:"Let warnings fail too."`

	Settings app.Settings `embed:""`
}

// Help is shown behind the command's one-line help.
func (checkCommand) Help() string {
	return `Looks at everything that run needs with the same settings: the identity, the network and TLS to Service Bus and Batch, the rights to receive, send, read and terminate, what a scaler reads, the queue's settings against the worker's, the clocks. No message is taken, locked or sent, and no task terminated: Terminate Task is asked for with ids and a condition that are random. Each check passes, warns, fails, or is skipped because of another, and says what to do.

Exit codes: 0 nothing failed, 1 a check failed or, with --strict, warned, 2 wrong settings. As an init container it keeps a worker from starting with what cannot work.

Example:

  SERVICEBUS_NAMESPACE=example.servicebus.windows.net BATCH_ENDPOINT=https://acme.westeurope.batch.azure.com batch-terminator check`
}

// errChecks says what the report has told already.
var errChecks = errors.New("not ready to run; the report says what to do")

func (c checkCommand) run(ctx context.Context, env app.Environment, std streams, deps app.Deps) error {
	if c.Timeout < time.Second || c.Timeout > 10*time.Minute {
		return usageError{fmt.Errorf("--timeout: %v; want 1s to 10m", c.Timeout)}
	}
	services, err := c.Settings.Services(deps)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	report := check.Run(ctx, c.Settings, services, check.Options{Deployed: onPlatform(env)})
	if err := c.write(std.out, report); err != nil {
		return err
	}
	if report.Status == check.Fail || c.Strict && report.Status == check.Warn {
		return errChecks
	}
	return nil
}

func (c checkCommand) write(w io.Writer, r check.Report) error {
	if c.Output == "json" {
		return r.WriteJSON(w)
	}
	return r.WriteText(w)
}

// refused reports wrong settings to who reads reports, when this command was asked for, and returns them.
func (c checkCommand) refused(std streams, err error, args []string) error {
	problems, ok := errors.AsType[app.Problems](err)
	if ok && c.Output == "json" && len(args) > 0 && args[0] == "check" {
		return errors.Join(err, check.Refused(problems).WriteJSON(std.out))
	}
	return err
}

// onPlatform tells whether a container platform runs this process.
func onPlatform(env app.Environment) bool {
	return slices.ContainsFunc(env, func(entry string) bool {
		return strings.HasPrefix(entry, "CONTAINER_APP_NAME=") || strings.HasPrefix(entry, "KUBERNETES_SERVICE_HOST=")
	})
}
