package main

import (
	"fmt"
	"io"
	"strings"

	"batchterminator/worker/servicebustest"
)

// introduce says how to connect.
func (c serveCommand) introduce(w io.Writer, bus *servicebustest.Server, names []string, admin, endpoint string) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // who does not read cannot be told
	say("Service Bus with %s:\n  %s\n", strings.Join(names, ", "), bus.ConnectionString())
	if secure := bus.SecureConnectionString(); secure != "" {
		say("With TLS, for AMQP, WebSocket and administration:\n  %s\n", secure)
		if c.CAFile != "" {
			say("  export SSL_CERT_FILE='%s'        # for Go, in place of the system's\n", c.CAFile)
			say("  export NODE_EXTRA_CA_CERTS='%s'  # for Node.js\n", c.CAFile)
		}
	}
	say("Administration and health:\n  http://%s  http://%s/health\n", admin, admin)
	say("Batch account; a task that is named for the first time is a running one:\n  %s\n\n", endpoint)
	if c.Queue != "" {
		say(`In two other terminals:
  export SERVICEBUS_CONNECTION_STRING='%s' BATCH_ENDPOINT=%s SERVICEBUS_QUEUE=%s
  go run ./cmd/batch-terminator run --log-format console
  go run ./cmd/batch-terminator send --job nightly --task frame-1

`, bus.ConnectionString(), endpoint, c.Queue)
	}
	say("Ctrl-C ends it; nothing is kept.\n")
}
