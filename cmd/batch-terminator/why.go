package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"batchterminator/cmd/internal/app"
	"batchterminator/handler"
	"batchterminator/worker"
)

type whyCommand struct {
	Entity app.EntitySettings  `embed:""`
	Batch  app.AccountSettings `embed:"" group:"Batch (to tell the client-request-id, and for --check-task)"`

	Subject   string `arg:"" name:"message-id|job/task" help:"Message id, request id, client-request-id or sequence number; or job id, '/', task id."`
	CheckTask bool   `help:"Ask Batch what the task is doing. Needs --batch-endpoint."`
	MaxPeek   int    `default:"100000" help:"Look at so many messages of the queue, and so many dead letters, 0 for all."`
	Output    string `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"Form of the answer: text or json. Default text."`
}

// Help is shown behind the command's one-line help.
func (whyCommand) Help() string {
	return `Tells what happened to a request so far, where it is, and what comes next and when. It looks into the queue and its dead-letter queue and reads what the worker wrote on the message; nothing is locked or changed. A request that is not found has finished, or was never sent: then the worker's log has its last line. Exit code 1 if nothing is found.

Examples:

  batch-terminator why nightly/frame-1

  batch-terminator why 4be0643f-1d98-573b-97cd-ca98a65347dd --check-task --batch-endpoint=https://acme.westeurope.batch.azure.com`
}

// answer is what -o json prints.
type answer struct {
	Subject string       `json:"subject"`
	Found   []finding    `json:"found"`
	Looked  []lookedInto `json:"lookedInto"`
}

// finding is one message of the request.
type finding struct {
	In string `json:"in"`
	message
	Unrecorded int        `json:"unrecorded"`
	Next       string     `json:"next"`
	NextAt     *time.Time `json:"nextAt,omitempty"`
	Task       string     `json:"task,omitempty"`

	source handler.Message
}

// lookedInto is how far a look came.
type lookedInto struct {
	In         string `json:"in"`
	Messages   int    `json:"messages"`
	Unreadable int    `json:"unreadable,omitempty"`
	Complete   bool   `json:"complete"`
}

func (c whyCommand) run(ctx context.Context, std streams, deps app.Deps) error {
	endpoint, err := c.Batch.Default(c.Entity)
	if err := cmp.Or(err, atLeastNone("--max-peek", c.MaxPeek)); err != nil {
		return err
	}
	if c.CheckTask {
		inspector, end, err := c.Batch.Inspector(c.Entity, deps)
		if err != nil {
			return err
		}
		defer end()
		return c.answer(ctx, std, deps, endpoint, inspector)
	}
	return c.answer(ctx, std, deps, endpoint, nil)
}

func (c whyCommand) answer(ctx context.Context, std streams, deps app.Deps, endpoint string, inspector *handler.Handler) error {
	a := answer{Subject: c.Subject, Found: []finding{}}
	for _, dead := range []bool{false, true} {
		if err := c.look(ctx, deps, endpoint, dead, &a); err != nil {
			return err
		}
	}
	for i := range a.Found {
		if inspector != nil {
			a.Found[i].Task = taskOf(ctx, inspector, a.Found[i].source)
		}
	}
	var err error
	if c.Output == "json" {
		err = writeJSON(std.out, a, "  ")
	} else {
		err = a.print(std.out)
	}
	if err == nil && len(a.Found) == 0 {
		err = fmt.Errorf("no message of %s found; it has finished, was never sent, or goes by another id: look for it in the worker's log, by message_id or by job_id and task_id", brief(c.Subject, 128))
	}
	return err
}

// look adds what it finds in the queue, or in its dead-letter queue.
func (c whyCommand) look(ctx context.Context, deps app.Deps, endpoint string, dead bool, a *answer) error {
	browser, err := c.Entity.Browser(dead, deps)
	if err != nil {
		return err
	}
	defer browser.Close()
	in := c.Entity.Entity()
	if dead {
		in += ", dead letters"
	}
	fits := c.matches(endpoint)
	walk, err := browser.Each(ctx, c.MaxPeek, func(s worker.Stored) bool {
		if fits(s) {
			a.Found = append(a.Found, newFinding(s, in, endpoint, dead))
		}
		return true
	})
	a.Looked = append(a.Looked, lookedInto{In: in, Messages: walk.Seen, Unreadable: walk.Unreadable, Complete: walk.Complete})
	return err
}

// matches tells whether a message is of the request that is asked for. No message id of ours has a slash, and a job or task
// id cannot have one.
func (c whyCommand) matches(endpoint string) func(worker.Stored) bool {
	job, task, pair := strings.Cut(c.Subject, "/")
	return func(s worker.Stored) bool {
		if named(s, c.Subject) {
			return true
		}
		r, err := handler.ReadRequest(s.Request)
		switch {
		case err != nil:
			return false
		case pair:
			return strings.EqualFold(r.JobID, job) && strings.EqualFold(r.TaskID, task)
		}
		id, _, _ := clientID(s, r, endpoint)
		return strings.EqualFold(id, c.Subject)
	}
}

func newFinding(s worker.Stored, in, endpoint string, dead bool) finding {
	f := finding{In: in, message: newMessage(s, endpoint, dead), Unrecorded: s.Unrecorded, source: s.Request}
	switch {
	case dead:
		f.Next = "nothing, until a person sends it back (dlq resubmit) or deletes it (dlq purge)"
	case s.State == "scheduled":
		f.Next, f.NextAt = "it enters the queue, and is worked on then", maybe(s.ScheduledFor)
	case s.State == "deferred":
		f.Next = "nothing: somebody deferred it, and only they can receive it; the worker never defers"
	default:
		f.Next = "it waits for a worker, or is with one: a look does not tell of locks"
	}
	if !dead && f.Request == nil {
		f.Next += "; it breaks the message contract and will be dead-lettered as invalid_message"
	}
	return f
}

// taskOf returns what Batch says of a request's task, in one line.
func taskOf(ctx context.Context, inspector *handler.Handler, m handler.Message) string {
	switch i := inspector.Inspect(ctx, m); {
	case i.Open:
		return "is " + string(i.Task.State) + " at Batch"
	case i.Ended:
		return "has nothing left to terminate: " + i.Result.Outcome.Meaning()
	default:
		return fmt.Sprintf("is not known: %v: %s", i.Result.Outcome, i.Result.Detail)
	}
}

func (a answer) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) // it reports at its flush
	for _, l := range a.Looked {
		more := "all there are"
		if !l.Complete {
			more = "there are more, --max-peek looks further"
		}
		_, _ = fmt.Fprintf(w, "looked at %d messages of %s: %s\n", l.Messages, l.In, more)
		if l.Unreadable > 0 {
			_, _ = fmt.Fprintf(w, "%d more cannot be read by the SDK\n", l.Unreadable)
		}
	}
	for _, f := range a.Found {
		_, _ = fmt.Fprintln(w)
		f.print(w)
	}
	return w.Flush()
}

func (f finding) print(w io.Writer) {
	say := func(what, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", what, value)
		}
	}
	what := "no request: " + plain(f.RequestError)
	if f.Request != nil {
		what = f.Request.JobID + "/" + f.Request.TaskID
	}
	say("request", what)
	in := f.In
	if f.DeadSince == nil {
		in += ", " + f.State // the broker calls a dead letter active
	}
	say("is in", fmt.Sprintf("%s, number %d", in, f.SequenceNumber))
	say("message id", dash(plain(f.MessageID)))
	if f.RequestID != f.MessageID {
		say("request id", plain(f.RequestID))
	}
	if f.ClientRequestID == "" && !f.uncalled && f.Request != nil {
		say("client-request-id", "derived from the account: give --batch-endpoint to see it")
	}
	say("client-request-id", f.clientRequestID())
	if f.source.Attempts > 0 || f.source.Redeliveries > 0 {
		say("before this message", fmt.Sprintf("%d attempts, %d redeliveries", f.source.Attempts, f.source.Redeliveries))
	}
	_, _ = fmt.Fprintln(w, "so far\t")
	if first, ok := f.Properties["bt-first-enqueued"].(string); ok {
		say("  "+brief(first, 20), "first enqueued")
	}
	for _, line := range f.timeline() {
		say("  "+stamp(deref(line.At)), plain(line.What))
	}
	if f.Unrecorded > 0 {
		say("  -", fmt.Sprintf("%d deliveries whose end nobody recorded: a process died, a lock was lost, or it never arrived", f.Unrecorded))
	}
	if f.Reason != "" {
		say("  dead", plain(f.Reason)+explained(f.Reason))
		say("  because", plain(f.Description))
	}
	if f.Task != "" {
		say("its task", plain(f.Task))
	}
	say("next", f.Next)
	if f.NextAt != nil {
		say("  at", fmt.Sprintf("%s, in %s", stamp(*f.NextAt), span(time.Until(*f.NextAt))))
	}
}

// timeline is the ledger, explained, with the message's own beginning where it belongs: behind what befell the copies
// before it.
func (f finding) timeline() []entry {
	var lines []entry
	for _, e := range f.Ledger {
		lines = append(lines, entry{At: e.At, What: told(e.What)})
	}
	if f.EnqueuedAt == nil || f.State == "scheduled" {
		return lines
	}
	begin := len(lines)
	for begin > 0 && !strings.HasPrefix(lines[begin-1].What, "resubmitted") && (lines[begin-1].At == nil || !lines[begin-1].At.Before(f.EnqueuedAt.Truncate(time.Second))) {
		begin--
	}
	return slices.Insert(lines, begin, entry{At: f.EnqueuedAt, What: "this message enqueued"})
}

func explained(reason string) string {
	if m := meaning(reason); m != "" {
		return ": " + m
	}
	return ""
}

// told explains a ledger's entry, as far as it is one of ours.
func told(what string) string {
	name, attempts, counted := strings.Cut(what, "/")
	attempts, unsettled := strings.CutSuffix(attempts, " unsettled")
	text := ""
	switch name {
	case "unrecorded":
		return "unrecorded: a process died, a lock was lost, or it never arrived"
	case "resubmitted":
		return "resubmitted: a person sent it back from the dead-letter queue"
	}
	for _, o := range handler.Outcomes() {
		if o.String() == name {
			text = ": " + o.Meaning()
		}
	}
	switch {
	case text == "" || !counted:
		return what
	case attempts == "1":
		text += ", after 1 attempt"
	case attempts != "0":
		text += ", after " + attempts + " attempts"
	}
	if unsettled {
		text += "; its settlement was not confirmed"
	}
	return name + text
}
