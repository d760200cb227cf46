// Command batch-terminator terminates Azure Batch tasks on request: it takes requests from a Service Bus queue, makes the
// Batch call until its outcome is certain, and settles each message exactly once.
//
//	run         work until SIGTERM or SIGINT, then drain
//	send        publish requests, as upstream systems do
//	control     pause or change a worker of this machine while it runs
//	check       look at everything that a worker needs, and change nothing
//	dlq         look at dead letters, send them back, delete them
//	why         tell what happened to a request, where it is and what comes next
//	outcomes    print what every answer of Batch means
//	schema      print the message contract as JSON Schema
//	version     say what this binary is
//	completion  print a script that completes commands and flags in a shell
//
// Settings come from flags, then environment variables, then defaults; package app has all of them. Exit codes: 0 done,
// 1 failed or interrupted, 2 the settings or the requests given are wrong and nothing was done, 3 the worker's own machinery
// got stuck: it drained what it could and wants to be started again.
//
// The first signal drains; a second one ends the process at once with code 1, and what was in flight comes back when its
// locks end.
package main
