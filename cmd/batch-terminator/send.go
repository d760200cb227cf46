package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/internal/console"
	"batchterminator/cmd/internal/tracing"
	"batchterminator/worker"
)

// publishFarewell bounds the export of the one span that a sending is, if it is traced.
const publishFarewell = 5 * time.Second

type sendCommand struct {
	ServiceBus app.ServiceBusSettings `embed:"" group:"Service Bus"`
	Request    requestFlags           `embed:"" group:"Request (without --job: one JSON object a line from standard input)"`

	TTL    *time.Duration `name:"ttl" group:"Message" placeholder:"DURATION" help:"The request is worthless after this time, such as 1h. Default the queue's own."`
	Output string         `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"Form of the summary: text or json. Default text."`
}

// requestFlags are the members of one request, by the names of the message contract.
type requestFlags struct {
	Job               string        `placeholder:"ID" help:"Job id."`
	Task              string        `placeholder:"ID" help:"Task id."`
	Endpoint          string        `placeholder:"URL" help:"Batch endpoint, for a worker that serves several."`
	Timeout           time.Duration `placeholder:"DURATION" help:"Server's processing limit, whole seconds from 1s to 30s."`
	IfMatch           string        `placeholder:"ETAG" help:"Only if the task's ETag is this."`
	IfNoneMatch       string        `placeholder:"ETAG" help:"Only if the task's ETag is not this."`
	IfModifiedSince   string        `placeholder:"DATE" help:"Only if the task has changed since, RFC 3339 or RFC 7231."`
	IfUnmodifiedSince string        `placeholder:"DATE" help:"Only if the task has not changed since."`
	CreatedBefore     string        `placeholder:"DATE" help:"Only if the task was created before, RFC 3339: spares a newer task of the same id."`
	ClientRequestID   string        `name:"client-request-id" placeholder:"GUID" help:"Id that every Batch call for the request carries. Default derived."`
	Reason            string        `placeholder:"TEXT" help:"Why, for the audit line of the worker's log."`
	RequestedBy       string        `placeholder:"TEXT" help:"Who, for the audit line of the worker's log."`
	MessageID         string        `name:"message-id" placeholder:"ID" help:"Message id: the request's identity, and what duplicate detection compares. Default a new one."`
}

// Help is shown behind the command's one-line help.
func (sendCommand) Help() string {
	return `Every request is checked before the first one is sent: when one is wrong, or a flag is given empty, nothing is sent. Where the standard OTEL_* variables ask for traces, each message carries a traceparent, of a span that is a child of $TRACEPARENT if that is set. Exit codes: 0 all sent, 1 failed or interrupted, 2 wrong settings or requests.

Examples:

  batch-terminator send --namespace=example.servicebus.windows.net --job=nightly --task=task-7

  batch-terminator send < requests.ndjson

Each line of requests.ndjson is one request, such as {"jobId":"nightly","taskId":"task-7"}.`
}

func (c sendCommand) run(ctx context.Context, env app.Environment, std streams, deps app.Deps) error {
	messages, err := c.messages(ctx, std)
	if err != nil {
		return err
	}
	log, err := app.NewLogger("warn", "console", std.err)
	if err != nil {
		return err
	}
	traces := tracing.Start(env.Lookup, readBuild().Version, log)
	defer traces.Close(publishFarewell)
	publisher, err := c.ServiceBus.Publisher(deps.Dial)
	if err != nil {
		return err
	}
	traceparent, end := traces.StartSend(ctx, env.Lookup, c.ServiceBus.Entity(), len(messages))
	for i := range messages {
		messages[i].Traceparent = traceparent
	}
	progress := console.NewProgress(std.err, "sending", len(messages))
	sent, err := publisher.Publish(ctx, messages, progress.Add)
	progress.End()
	end(err)
	err = errors.Join(err, publisher.Close())
	if ctx.Err() != nil && sent < len(messages) {
		err = errors.New("interrupted; what was sent stays sent")
	}
	return c.summarize(std.out, sent, len(messages), err)
}

// messages returns what to publish, every request checked.
func (c sendCommand) messages(ctx context.Context, std streams) ([]worker.Outgoing, error) {
	if err := timeToLive(c.TTL); err != nil {
		return nil, err
	}
	if c.Request.Job == "" {
		if c.Request != (requestFlags{}) {
			return nil, usageError{errors.New("--job: needed beside the other parts of a request")}
		}
		return c.read(ctx, std)
	}
	body, err := c.Request.body()
	if err != nil {
		return nil, usageError{err}
	}
	return []worker.Outgoing{{Body: body, MessageID: c.Request.MessageID, TimeToLive: deref(c.TTL)}}, nil
}

// summary is what -o json prints.
type summary struct {
	Entity string `json:"entity"`
	Sent   int    `json:"sent"`
	Total  int    `json:"total"`
	Error  string `json:"error,omitempty"`
}

// summarize says how many requests are in the queue, however it ended, and passes the error on.
func (c sendCommand) summarize(w io.Writer, sent, total int, failure error) error {
	if c.Output == "json" {
		s := summary{Entity: c.ServiceBus.Entity(), Sent: sent, Total: total}
		if failure != nil {
			s.Error = failure.Error()
		}
		return errors.Join(failure, json.NewEncoder(w).Encode(s))
	}
	_, err := fmt.Fprintf(w, "sent %d of %d to %s\n", sent, total, c.ServiceBus.Entity())
	return errors.Join(failure, err)
}
