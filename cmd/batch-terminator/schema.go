package main

import (
	"io"

	"batchterminator/handler"
)

type schemaCommand struct{}

// Help is shown behind the command's one-line help.
func (schemaCommand) Help() string {
	return `Prints the message contract as JSON Schema, draft 2020-12, for senders to check their requests with. What it accepts the worker accepts, and the reverse; what no schema can say is in its $comment.`
}

func (schemaCommand) run(std streams) error {
	_, err := io.WriteString(std.out, handler.Schema())
	return err
}
