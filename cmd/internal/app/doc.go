// Package app wires the process: settings become endpoints, Batch clients, gates, the handler, the worker and its metrics.
// Both commands of this module build the same process with it, so that what the sandbox shows is what production runs.
//
//	settings.go    every setting: flag, environment variable, default, unit, help
//	validate.go    what a setting may be, one line for each problem
//	endpoint.go    which Batch endpoints may be called
//	parse.go       flag over environment over default; usage errors as one line
//	typo.go        environment variables that almost have a setting's name
//	limits.go      the worst case, in numbers
//	publisher.go   what publishes instead of working
//	entity.go      what looks into queues and at tasks instead of working
//	credential.go  the one Azure credential, made only when something needs it
//	app.go         Build and Run
//	count.go       counts and times every Batch call
//	identity.go    how asking for tokens went last
//	admin.go       /metrics, /healthz, /readyz
//	scrapes.go     the wait for the scrape that sees the end of the drain
//	control.go     what a person may change while the process runs; controlclient.go asks for it
//	logger.go      the log: its two forms
//	logline.go     nothing in a field ends a line or acts on a terminal
//	logconsole.go  the form for people
//	logsample.go   which lines may be left out when they repeat
//	logsdk.go      the Azure SDK's own log, at debug
//	sink.go        between the log and where it is written
//
// # Why settings are checked here and again below
//
// The packages below check what they are given, in their own words. A person who starts the process knows flags and
// environment variables, so this package says the same in those words first; a test holds the two to each other.
//
// # Order of the end
//
// The worker drains while the admin server still answers, so that readiness and the counters of the drain can be read. If
// anyone has ever scraped, the server waits for one scrape more, within the grace period; only then does it close.
//
// # Rejected
//
//   - A settings file: the platform has environment variables and secret references, and a third source makes it
//     harder to say where a value came from.
//   - Required flags in the parser: it stops at the first one, and a person wants the whole list.
package app
