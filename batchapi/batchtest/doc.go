// Package batchtest is a simulated Azure Batch account: an http.Handler that
// believes in jobs and tasks, answers Terminate Task and Get Task the way the
// service does, remembers every request, and fails on command.
//
//	account := batchtest.New()
//	defer account.Close()
//	account.AddTask("nightly", "task-7", batchtest.TaskRunning)
//	account.OnNext(batchtest.Status(503, "ServerBusy", 5*time.Second))
//	client := account.Client() // real net/http over net.Pipe; calls account.Endpoint()
//
// New starts nothing. Client starts an in-memory server whose goroutines are all
// durably blocked when idle, so that a testing/synctest bubble's clock moves;
// create, use and close the account inside the bubble. Start and StartTLS listen
// on real sockets. Close ends and awaits everything the account has started.
//
// It shares nothing with the client it tests: it is written from the service's
// documentation and from recorded answers, with the standard library only, so
// that a wrong header or query name on one side fails a test.
//
// # What is emulated
//
// Case-insensitive ids; unquoted ETags; request-id on every answer and
// client-request-id when asked for; BatchError bodies with odata.metadata first,
// CRLF, and the RequestId and Time lines behind the message; the four conditions
// with their precedence, refusals and 412; required and unknown query
// parameters; header formats; bearer authentication; the rule that a request is
// at most 15 minutes old. Ids are routed as a server that decodes and cleans
// paths would route them: a request that has climbed out of its task really
// terminates the job, and is listed by Strays.
//
// # Gaps
//
// Refused with 404 or 405, and listed by Strays: every operation other than
// Terminate Task and Get Task, except that Terminate Job, Delete Job and Delete
// Task act. Not emulated: the reason phrase (the service repeats the message
// there), Shared Key, the passage of a task from active to running, subtasks,
// dependencies, job actions on task failure. Undocumented, and settled here by
// choice: a job's state is judged before its task, the task's existence before
// the conditions, the conditions before the task's state; disabled and disabling
// jobs refuse; timeOut below 1 is out of range.
package batchtest
