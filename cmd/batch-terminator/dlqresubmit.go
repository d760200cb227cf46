package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"golang.org/x/time/rate"

	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/internal/console"
	"batchterminator/handler"
	"batchterminator/worker"
)

type dlqResubmitCommand struct {
	Entity app.EntitySettings  `embed:""`
	Only   selection           `embed:"" group:"Which ones (all that is given has to fit)"`
	All    bool                `group:"Which ones (all that is given has to fit)" help:"All of them, where nothing else is given."`
	Batch  app.AccountSettings `embed:"" group:"Batch (for --check-task)"`

	CheckTask bool           `help:"Ask Batch first: a request whose task has ended or is gone is only taken out. Stops when Batch does not answer or refuses. Needs --batch-endpoint."`
	DryRun    bool           `help:"Say what would be done, and change nothing."`
	Rate      float64        `default:"50" help:"At most so many a second, 0 for no limit. They become work for the Batch account."`
	Max       *int           `placeholder:"N" help:"At most so many, 1 or more. Default no limit."`
	TTL       *time.Duration `name:"ttl" placeholder:"DURATION" help:"Time to live of what is sent. Default the queue's own: the old one has run down."`
	ToQueue   string         `placeholder:"NAME" help:"Send to this queue. Default the queue that they came from; needed for a subscription."`
	ToTopic   bool           `help:"For a subscription: send to its topic, and so to every other subscription too."`
	MaxPeek   int            `default:"100000" help:"Look at so many messages of the queue for what an interrupted run has sent, 0 for all."`
	Output    string         `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"Form of the summary: text or json. Default text."`
}

// Help is shown behind the command's one-line help.
func (dlqResubmitCommand) Help() string {
	return `Sends dead letters back to their queue: each is locked, a copy is sent and confirmed, then it is taken out. The copy has the body and the properties; it loses the dead-letter ones and what would end it at once, its age above all, and keeps the request's id, so that Batch sees the same client-request-id.

Interrupted or killed at any moment nothing is lost: run it again, and it goes on. A copy that was sent just before a kill is found in the queue, or dropped by duplicate detection. Only where neither can be, because a worker was faster and the queue has no duplicate detection, is such a request worked on twice, of at most 32; the second call finds its task ended.

What was not asked for and stands before what was is held under lock until the end, and handed back with no delivery counted; other readers do not see it meanwhile. Exit codes: 0 all done, 1 some are left, 2 wrong settings.

Examples:

  batch-terminator dlq resubmit --reason=retries_exhausted --dry-run

  batch-terminator dlq resubmit --reason=retries_exhausted --rate=20 --check-task --batch-endpoint=https://acme.westeurope.batch.azure.com`
}

func (c dlqResubmitCommand) run(ctx context.Context, std streams, deps app.Deps) error {
	to, err := c.check()
	if err != nil {
		return err
	}
	var decide func(context.Context, worker.Stored) (worker.Action, error)
	if c.CheckTask {
		endpoint, err := c.Batch.Default(c.Entity)
		if err != nil {
			return err
		}
		inspector, end, err := c.Batch.Inspector(c.Entity, deps)
		if err != nil {
			return err
		}
		defer end()
		decide = checked(inspector, endpoint)
	}
	report := errandReport{Entity: c.Entity.Entity(), To: to, DryRun: c.DryRun, check: c.CheckTask, out: std.out, json: c.Output == "json", maxPeek: c.MaxPeek}
	if c.DryRun {
		err := c.rehearse(ctx, std, deps, decide, &report)
		return report.end(ctx, err)
	}
	letters, err := c.Entity.DeadLetters(to, c.ToTopic, deps)
	if err != nil {
		return err
	}
	defer letters.Close()
	progress := newErrandProgress(std.err, "resubmitting")
	report.Tally, err = letters.Run(ctx, worker.Errand{Match: report.all.of(c.Only.match()), Decide: decide, Rate: c.Rate, Max: deref(c.Max), TimeToLive: deref(c.TTL), Look: c.MaxPeek, Progress: progress.set})
	progress.end()
	return report.end(ctx, err)
}

// check returns where to send to.
func (c dlqResubmitCommand) check() (to string, err error) {
	if err := cmp.Or(c.Only.checkChoice(c.All), timeToLive(c.TTL)); err != nil {
		return "", err
	}
	topic := c.Entity.ServiceBus.Topic
	switch {
	case topic == "" && c.ToTopic:
		err = errors.New("--to-topic: is for a subscription")
	case c.ToTopic && c.ToQueue != "":
		err = errors.New("--to-topic: --to-queue is given too; only one of them may be")
	case topic != "" && !c.ToTopic && c.ToQueue == "":
		err = fmt.Errorf("a copy cannot be sent back to one subscription: --to-topic sends it to %s, and so to all other subscriptions too; --to-queue names a queue instead", topic)
	}
	if err != nil {
		return "", usageError{err}
	}
	switch {
	case c.ToTopic:
		to = topic
	case c.ToQueue != "":
		to = c.ToQueue
	default:
		to = c.Entity.ServiceBus.Entity()
	}
	if err := app.CheckEntity(to); err != nil {
		return "", usageError{fmt.Errorf("--to-queue: %w", err)}
	}
	return to, cmp.Or(checkRate(c.Rate), atLeastOne("--max", c.Max), atLeastNone("--max-peek", c.MaxPeek))
}

func checkRate(r float64) error {
	if r >= 0 && !math.IsInf(r, 0) {
		return nil
	}
	return usageError{fmt.Errorf("--rate: %v; want dead letters a second, 0 for no limit", r)}
}

// checked decides by what Batch says of the task, at the account that the worker called.
func checked(inspector *handler.Handler, endpoint string) func(context.Context, worker.Stored) (worker.Action, error) {
	return func(ctx context.Context, s worker.Stored) (worker.Action, error) {
		if calledElsewhere(s, endpoint) {
			return worker.Keep, fmt.Errorf("stopped: by its client-request-id, message %d was called for at another account than %s; give the worker's --batch-endpoint first", s.SequenceNumber, endpoint)
		}
		switch i := inspector.Inspect(ctx, s.Request); {
		case i.Open:
			return worker.Resubmit, nil
		case i.Ended:
			return worker.Discard, nil
		case i.Result.Outcome.Decision() == handler.DeadLetter:
			return worker.Keep, nil // the request itself is wrong: no task to ask for, or Batch refuses even the question
		default:
			return worker.Keep, fmt.Errorf("stopped, for Batch does not say how tasks are: %v: %s", i.Result.Outcome, i.Result.Detail)
		}
	}
}

// rehearse counts what a run would do.
func (c dlqResubmitCommand) rehearse(ctx context.Context, std streams, deps app.Deps, decide func(context.Context, worker.Stored) (worker.Action, error), report *errandReport) error {
	limit := rate.Inf
	if c.CheckTask && c.Rate > 0 {
		limit = rate.Limit(c.Rate)
	}
	limiter, most := rate.NewLimiter(limit, 1), deref(c.Max)
	var failure error
	walk, err := look(ctx, c.Entity, deps, report.all.of(c.Only.match()), func(s worker.Stored) bool {
		action := worker.Resubmit
		if decide != nil {
			if failure = limiter.Wait(ctx); failure == nil {
				action, failure = decide(ctx, s)
			}
		}
		if failure != nil {
			return false
		}
		report.Found++
		switch action {
		case worker.Resubmit:
			report.Resubmitted++
		case worker.Discard:
			report.Discarded++
		default:
			report.Kept++
		}
		return most == 0 || report.Found < most
	})
	report.Unreadable = walk.Unreadable
	return errors.Join(err, failure)
}

// errandReport is what -o json prints of an errand.
type errandReport struct {
	Entity string `json:"entity"`
	To     string `json:"to,omitempty"`
	DryRun bool   `json:"dryRun,omitempty"`
	worker.Tally
	Error string `json:"error,omitempty"`

	check, json bool
	maxPeek     int
	all         census
	out         io.Writer
}

// end says how many there are of each, however it ended, and passes the error on.
func (r *errandReport) end(ctx context.Context, failure error) error {
	switch {
	case ctx.Err() != nil:
		failure = errors.New("interrupted; run it again to go on")
	case failure == nil && r.Left > 0:
		failure = fmt.Errorf("%s could not be done; run it again to go on", counted(r.Left))
	}
	if r.json {
		if failure != nil {
			r.Error = plain(failure.Error())
		}
		return errors.Join(failure, writeJSON(r.out, r, ""))
	}
	if failure != nil && r.Found == 0 {
		return failure // nothing is known that could be told
	}
	return errors.Join(failure, r.print())
}

func (r *errandReport) print() error {
	say := func(n int, what string) {
		if n > 0 {
			_, _ = fmt.Fprintf(r.out, "  %d %s\n", n, what)
		}
	}
	would := ""
	if r.DryRun {
		would = "would be "
	}
	head := counted(r.Found) + " of " + r.Entity + ":"
	if r.Found == 0 {
		head = r.all.none(r.Entity)
	}
	if _, err := fmt.Fprintln(r.out, head); err != nil {
		return err
	}
	say(r.Resubmitted, would+"resubmitted to "+r.To)
	say(r.SentBefore, "only taken out: an interrupted run had sent them")
	discarded := "deleted"
	if r.check {
		discarded = "taken out: their task has ended or is gone"
	}
	say(r.Discarded, would+discarded)
	say(r.Kept, "left where they are: they are no requests that Batch can be asked about")
	say(r.Gone, "taken out by somebody else meanwhile")
	say(r.Left, "left")
	say(r.LeftSent, "of these are sent already: the next run takes them out")
	say(r.Unreadable, "more cannot be read by the SDK")
	if r.Unverified {
		_, _ = fmt.Fprintln(r.out, "  the dead-letter queue could not be looked at in the end: what is left may be less")
	}
	if !r.TargetComplete && r.TargetSeen > 0 {
		_, _ = fmt.Fprintf(r.out, "  only the first %d messages of %s were looked at for what an interrupted run had sent; --max-peek looks further\n", r.TargetSeen, r.To)
	}
	return nil
}

// errandProgress makes its bar when the number of all is known.
type errandProgress struct {
	w         io.Writer
	what      string
	bar       *console.Progress
	elsewhere bool
}

func newErrandProgress(w io.Writer, what string) *errandProgress {
	return &errandProgress{w: w, what: what}
}

func (p *errandProgress) set(done, all, elsewhere int) {
	if p.bar == nil {
		p.bar = console.NewProgress(p.w, p.what, all)
	}
	p.bar.Set(done)
	if elsewhere > 0 && !p.elsewhere {
		p.elsewhere = true
		p.bar.End()
		_, _ = fmt.Fprintf(p.w, "waiting for %s whose locks others hold, or a run that was killed: such a lock ends within 5m at most\n", counted(elsewhere))
	}
}

func (p *errandProgress) end() {
	if p.bar != nil {
		p.bar.End()
	}
}
