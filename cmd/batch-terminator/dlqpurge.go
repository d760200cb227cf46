package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/internal/console"
	"batchterminator/worker"
)

type dlqPurgeCommand struct {
	Entity app.EntitySettings `embed:""`
	Only   selection          `embed:"" group:"Which ones (all that is given has to fit)"`
	All    bool               `group:"Which ones (all that is given has to fit)" help:"All of them, where nothing else is given."`

	Yes    bool    `help:"Do not ask. Needed where nobody is at a terminal."`
	DryRun bool    `help:"Say how many would be deleted, and change nothing."`
	Rate   float64 `default:"0" help:"At most so many a second, 0 for no limit."`
	Max    *int    `placeholder:"N" help:"At most so many, 1 or more. Default no limit."`
	Output string  `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"Form of the summary: text or json. Default text."`
}

// Help is shown behind the command's one-line help.
func (dlqPurgeCommand) Help() string {
	return `Deletes dead letters for good; export them first if anybody may ask. It counts, asks, and deletes only those that it counted. Exit codes: 0 all done, 1 some are left or the answer was no, 2 wrong settings.

Example:

  batch-terminator dlq purge --reason=invalid_message --older-than=720h`
}

func (c dlqPurgeCommand) run(ctx context.Context, std streams, deps app.Deps) error {
	if err := c.check(std); err != nil {
		return err
	}
	report := errandReport{Entity: c.Entity.Entity(), DryRun: c.DryRun, out: std.out, json: c.Output == "json"}
	match, most := report.all.of(c.Only.match()), deref(c.Max)
	if c.DryRun || !c.Yes {
		asked := map[letter]bool{}
		walk, err := look(ctx, c.Entity, deps, match, func(s worker.Stored) bool {
			report.Found++
			asked[letterOf(s)] = true
			return most == 0 || report.Found < most
		})
		report.Discarded, report.Unreadable = report.Found, walk.Unreadable
		if err != nil || c.DryRun {
			return report.end(ctx, err)
		}
		if report.Found == 0 {
			return report.end(ctx, nil)
		}
		if err := ask(ctx, std, fmt.Sprintf("Delete %s of %s for good? Answer yes to go on: ", counted(report.Found), report.Entity)); err != nil {
			return err
		}
		match = func(s worker.Stored) bool { return asked[letterOf(s)] }
	}
	letters, err := c.Entity.DeadLetters("", false, deps)
	if err != nil {
		return err
	}
	defer letters.Close()
	progress := newErrandProgress(std.err, "deleting")
	report.Tally, err = letters.Run(ctx, worker.Errand{Match: match, Rate: c.Rate, Max: most, Progress: progress.set,
		Decide: func(context.Context, worker.Stored) (worker.Action, error) { return worker.Discard, nil }})
	progress.end()
	return report.end(ctx, err)
}

// letter names a dead letter: a queue that is made anew begins to count again.
type letter struct {
	sequence, enqueued int64
}

func letterOf(s worker.Stored) letter { return letter{s.SequenceNumber, s.EnqueuedAt.UnixNano()} }

func (c dlqPurgeCommand) check(std streams) error {
	if err := cmp.Or(c.Only.checkChoice(c.All), checkRate(c.Rate), atLeastOne("--max", c.Max)); err != nil {
		return err
	}
	if !c.Yes && !c.DryRun && !console.IsTerminal(std.in) {
		return usageError{errors.New("nobody is at a terminal to be asked: --yes deletes without asking, --dry-run only counts")}
	}
	return nil
}

// ask returns nil if the answer is yes. Its read cannot be interrupted; the process is about to end then.
func ask(ctx context.Context, std streams, question string) error {
	_, _ = fmt.Fprint(std.err, question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(std.in).ReadString('\n') // its end is an answer too
		answer <- strings.TrimSpace(line)
	}()
	select {
	case line := <-answer:
		if line == "yes" {
			return nil
		}
	case <-ctx.Done():
	}
	return errors.New("nothing was deleted")
}
