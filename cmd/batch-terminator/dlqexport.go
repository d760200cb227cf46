package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"

	"batchterminator/cmd/internal/app"
	"batchterminator/worker"
)

type dlqExportCommand struct {
	Entity app.EntitySettings  `embed:""`
	Batch  app.AccountSettings `embed:"" group:"Batch (only to tell the client-request-id)"`
	Only   selection           `embed:"" group:"Only some"`
	Max    *int                `placeholder:"N" help:"At most so many, 1 or more. Default no limit."`
}

// Help is shown behind the command's one-line help.
func (dlqExportCommand) Help() string {
	return `Prints dead letters to standard output, one JSON object a line, lowest sequence number first, by a look that changes nothing. The body is in "body", or in "bodyBase64" if it is not UTF-8. Properties of a type that JSON lacks are objects of "type" and "value". Exit code 1 if one could not be read, or has a body that holds no bytes, which is left out.

Example:

  batch-terminator dlq export --reason=invalid_message > invalid.ndjson`
}

func (c dlqExportCommand) run(ctx context.Context, std streams, deps app.Deps) error {
	endpoint, err := c.Batch.Default(c.Entity)
	if err := cmp.Or(err, c.Only.check(), atLeastOne("--max", c.Max)); err != nil {
		return err
	}
	out := bufio.NewWriter(std.out)
	n, bodiless, most := 0, 0, deref(c.Max)
	var all census
	var failure error
	walk, err := look(ctx, c.Entity, deps, all.of(c.Only.match()), func(s worker.Stored) bool {
		n++
		if s.OtherBody {
			bodiless++
		}
		failure = writeJSON(out, newMessage(s, endpoint, true), "")
		return failure == nil && (most == 0 || n < most)
	})
	if err := errors.Join(err, failure, out.Flush()); err != nil {
		return err
	}
	if n == 0 {
		_, _ = fmt.Fprintln(std.err, all.none(c.Entity.Entity()))
	} else {
		_, _ = fmt.Fprintf(std.err, "exported %s of %s\n", counted(n), c.Entity.Entity())
	}
	if bodiless > 0 {
		return fmt.Errorf("%d of them have a body that holds no bytes, which is not exported: it is an AMQP value or sequence of another type", bodiless)
	}
	if walk.Unreadable > 0 {
		return fmt.Errorf("%d more cannot be read by the SDK, and are not exported", walk.Unreadable)
	}
	return nil
}
