package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"batchterminator/cmd/internal/app"
	"batchterminator/handler"
	"batchterminator/worker"
)

// dlqCommand is what a person does with dead letters.
type dlqCommand struct {
	List     dlqListCommand     `cmd:"" help:"Count dead letters by reason, or list them."`
	Show     dlqShowCommand     `cmd:"" help:"Print everything about one."`
	Resubmit dlqResubmitCommand `cmd:"" help:"Send them back to the queue."`
	Export   dlqExportCommand   `cmd:"" help:"Print them as JSON, one a line."`
	Purge    dlqPurgeCommand    `cmd:"" help:"Delete them for good."`
}

func (c dlqCommand) run(ctx context.Context, command string, std streams, deps app.Deps) error {
	switch command {
	case "dlq list":
		return c.List.run(ctx, std, deps)
	case "dlq show <id>":
		return c.Show.run(ctx, std, deps)
	case "dlq resubmit":
		return c.Resubmit.run(ctx, std, deps)
	case "dlq export":
		return c.Export.run(ctx, std, deps)
	}
	return c.Purge.run(ctx, std, deps)
}

// look shows every dead letter that is chosen to visit, until it returns false.
func look(ctx context.Context, e app.EntitySettings, deps app.Deps, choose func(worker.Stored) bool, visit func(worker.Stored) bool) (worker.Walk, error) {
	browser, err := e.Browser(true, deps)
	if err != nil {
		return worker.Walk{}, err
	}
	defer browser.Close()
	walk, err := browser.Each(ctx, 0, func(s worker.Stored) bool { return !choose(s) || visit(s) })
	if ctx.Err() != nil {
		err = errors.New("interrupted; nothing was changed")
	}
	return walk, err
}

type dlqListCommand struct {
	Entity app.EntitySettings `embed:""`
	Only   selection          `embed:"" group:"Only some"`

	Each   bool   `help:"One line for each dead letter, not for each reason."`
	Output string `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"Form of the list: text or json. Default text."`
}

// Help is shown behind the command's one-line help.
func (dlqListCommand) Help() string {
	return `Looks into the dead-letter queue of --queue, or of a --subscription, and changes nothing: no message is locked, no delivery count rises. Ages are since a request was dead-lettered, as far as its ledger tells or its time to live, else since it was enqueued.

Examples:

  batch-terminator dlq list --namespace=example.servicebus.windows.net

  batch-terminator dlq list --each --reason=refused --newer-than=1h`
}

// group is what -o json prints of a reason.
type group struct {
	Reason  string    `json:"reason"`
	Count   int       `json:"count"`
	Oldest  time.Time `json:"oldest"`
	Newest  time.Time `json:"newest"`
	Meaning string    `json:"meaning,omitempty"`
	Example string    `json:"example"`
	Because string    `json:"because"`
}

// listing is what -o json prints.
type listing struct {
	Entity     string    `json:"entity"`
	Total      int       `json:"total"`
	Unreadable int       `json:"unreadable"`
	Reasons    []group   `json:"reasons,omitempty"`
	Messages   []message `json:"messages,omitempty"`
}

func (c dlqListCommand) run(ctx context.Context, std streams, deps app.Deps) error {
	if err := c.Only.check(); err != nil {
		return err
	}
	l := listing{Entity: c.Entity.Entity()}
	var all census
	groups := map[string]*group{}
	walk, err := look(ctx, c.Entity, deps, all.of(c.Only.match()), func(s worker.Stored) bool {
		l.Total++
		if c.Each {
			l.Messages = append(l.Messages, newMessage(s, "", true))
			return true
		}
		groups[s.Reason] = groups[s.Reason].with(s)
		return true
	})
	if err != nil {
		return err
	}
	l.Unreadable = walk.Unreadable
	for _, g := range groups {
		l.Reasons = append(l.Reasons, *g)
	}
	slices.SortFunc(l.Reasons, func(a, b group) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Reason, b.Reason)) })
	if c.Output == "json" {
		return writeJSON(std.out, l, "  ")
	}
	return l.print(std.out, c.Each, &all)
}

// with adds a dead letter to the group, which is nil before the first one.
func (g *group) with(s worker.Stored) *group {
	at := s.DeadSince()
	if g == nil {
		g = &group{Reason: s.Reason, Meaning: meaning(s.Reason), Oldest: at, Newest: at}
	}
	g.Count++
	if at.Before(g.Oldest) {
		g.Oldest = at
	}
	if !at.Before(g.Newest) {
		g.Newest, g.Example, g.Because = at, s.MessageID, s.Description
	}
	return g
}

// brokers are the reasons that Service Bus dead-letters for by itself.
var brokers = map[string]string{
	"MaxDeliveryCountExceeded": "Service Bus: its deliveries were spent without a settlement",
	"TTLExpiredException":      "Service Bus: its time to live ended in the queue",
	"HeaderSizeExceeded":       "Service Bus: its properties grew too large",
}

// meaning says what a reason stands for, "" if it is Batch's own code or somebody else's word.
func meaning(reason string) string {
	for _, o := range handler.Outcomes() {
		if o.Decision() == handler.DeadLetter && o.String() == reason {
			return o.Meaning()
		}
	}
	return brokers[reason]
}

func (l listing) print(out io.Writer, each bool, all *census) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) // it reports at its flush
	switch {
	case l.Total == 0:
		_, _ = fmt.Fprintln(w, all.none(l.Entity))
	case each:
		_, _ = fmt.Fprintln(w, "NUMBER\tMESSAGE ID\tAGE\tREASON\tREQUEST")
		for _, m := range l.Messages {
			what := brief(m.RequestError, 60)
			if m.Request != nil {
				what = plain(m.Request.JobID + "/" + m.Request.TaskID)
			}
			_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", m.SequenceNumber, brief(m.MessageID, 64), since(deref(m.DeadSince)), brief(m.Reason, 40), what)
		}
	default:
		_, _ = fmt.Fprintln(w, "REASON\tCOUNT\tOLDEST\tNEWEST\tTHE NEWEST ONE")
		for _, g := range l.Reasons {
			_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", dash(brief(g.Reason, 40)), g.Count, since(g.Oldest), since(g.Newest), brief(g.Because, 72))
		}
	}
	if l.Total > 0 {
		_, _ = fmt.Fprintf(w, "%s in %s\n", counted(l.Total), l.Entity)
	}
	if l.Unreadable > 0 {
		_, _ = fmt.Fprintf(w, "and %d that the SDK cannot read\n", l.Unreadable)
	}
	return w.Flush()
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

type dlqShowCommand struct {
	Entity app.EntitySettings  `embed:""`
	Batch  app.AccountSettings `embed:"" group:"Batch (only to tell the client-request-id)"`

	ID     string `arg:"" help:"Message id, request id or sequence number."`
	Output string `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"Form of the output: text or json. Default text."`
}

// Help is shown behind the command's one-line help.
func (dlqShowCommand) Help() string {
	return `Prints all there is about a dead letter: why it is one, its request, its history and its body, by a look that changes nothing. Several may go by one id; all are shown. Exit code 1 if there is none.`
}

func (c dlqShowCommand) run(ctx context.Context, std streams, deps app.Deps) error {
	endpoint, err := c.Batch.Default(c.Entity)
	if err != nil {
		return err
	}
	var found []message
	if _, err := look(ctx, c.Entity, deps, func(s worker.Stored) bool { return named(s, c.ID) }, func(s worker.Stored) bool {
		found = append(found, newMessage(s, endpoint, true))
		return true
	}); err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("no dead letter %s in %s; list --each shows all", brief(c.ID, 128), c.Entity.Entity())
	}
	if c.Output == "json" {
		return writeJSON(std.out, found, "  ")
	}
	for i, m := range found {
		if i > 0 {
			_, _ = fmt.Fprintln(std.out) // print reports it
		}
		if err := m.print(std.out); err != nil {
			return err
		}
	}
	return nil
}

// print renders a message for people: one line for each thing, and the body last.
func (m message) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	say := func(what, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", what, value)
		}
	}
	say("message id", dash(plain(m.MessageID)))
	say("sequence number", fmt.Sprint(m.SequenceNumber))
	say("request id", plain(m.RequestID))
	say("client-request-id", m.clientRequestID())
	say("reason", dash(plain(m.Reason)))
	say("meaning", meaning(m.Reason))
	say("description", plain(m.Description))
	say("enqueued", when(m.EnqueuedAt))
	say("dead since", when(m.DeadSince))
	say("deliveries", fmt.Sprint(m.Deliveries))
	say("content type", plain(m.ContentType))
	say("subject", plain(m.Subject))
	say("correlation id", plain(m.CorrelationID))
	say("session", plain(m.SessionID))
	if m.Request != nil {
		say("job", m.Request.JobID)
		say("task", m.Request.TaskID)
		say("endpoint", plain(m.Request.Endpoint))
		say("asked by", plain(m.Request.RequestedBy))
		say("asked because", plain(m.Request.Reason))
	}
	say("request", plain(m.RequestError))
	for i, e := range m.Ledger {
		what := "ledger"
		if i > 0 {
			what = " "
		}
		say(what, stamp(deref(e.At))+"  "+plain(e.What))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Properties)) {
		if v := fmt.Sprint(m.Properties[name]); name != "bt-ledger" && v != m.Reason && v != m.Description {
			say("property "+plain(name), brief(v, 256))
		}
	}
	switch {
	case m.Body != nil:
		say("body", dash(plain(*m.Body)))
	case m.BodyBase64 != nil:
		say("body (base64)", *m.BodyBase64)
	default:
		say("body", "of a kind that holds no bytes")
	}
	return w.Flush()
}

func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return stamp(*t) + ", " + since(*t) + " ago"
}
