package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/sandbox/verdict"
	"batchterminator/handler"
	"batchterminator/worker/servicebustest"
)

// A story is a demo of chosen faults, those of the drill, told slowly enough for a Prometheus to see it: requests arrive at a steady rate, the
// faults come one after the other with as much time between them as each lasts, and one worker lives through all of it.

// storyTick is how often requests are published.
const storyTick = 50 * time.Millisecond

// ordinary is what arrives in a story: what ends as completed unless it meets a fault.
func ordinary() []kind {
	return slices.DeleteFunc(steady(), func(k kind) bool { return k.deadLetter != "" })
}

// tell has a worker live through the story.
func (d *demo) tell(ctx context.Context, stderr io.Writer) error {
	say := func(format string, args ...any) {
		_, _ = fmt.Fprintf(stderr, time.Now().Format(time.TimeOnly)+"  "+format+"\n", args...) // who does not read cannot be told
	}
	return d.live(ctx, stderr, func(ctx context.Context, process *app.App) error {
		parts := 2*len(d.faults) + 1
		for process.AdminAddr() == "" {
			if sleepFor(ctx, storyTick); ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		say("%d requests over %v; metrics are at http://%s/metrics", len(d.requests), time.Duration(parts)*d.FaultFor, process.AdminAddr())
		for i := range parts {
			part := d.requests[i*len(d.requests)/parts : (i+1)*len(d.requests)/parts]
			if err := d.pass(ctx, i, part, say); err != nil {
				return err
			}
		}
		say("all are published; waiting for the last of them")
		if err := d.queue.Wait(ctx, allEnded); err != nil {
			return err
		}
		if d.Hold > 0 {
			say("all have ended; the metrics stay for %v", d.Hold)
			sleepFor(ctx, d.Hold)
		}
		return nil
	})
}

// pass publishes one part of the requests. In the odd parts something is broken.
func (d *demo) pass(ctx context.Context, i int, part []request, say func(string, ...any)) error {
	if i%2 == 0 {
		return d.publishOver(ctx, part)
	}
	fault := d.faults[i/2]
	say("%s: %s, for %v", fault.name, fault.means, d.FaultFor)
	breaker := &drill{bus: d.bus, queue: d.queue, account: d.account, ends: func() {}}
	begun := time.Now()
	fault.begin(breaker)
	if breaker.bad.Load() {
		spoil(part)
	}
	err := d.publishOver(ctx, part)
	breaker.ends()
	if fault.name == "unreachable" {
		for _, kind := range []verdict.Kind{verdict.Cut, verdict.Deaf} {
			d.struck.lasted(verdict.Fault{Kind: kind, At: begun, Until: time.Now(), Name: fault.name})
		}
	}
	c := d.queue.Counts()
	say("%s is over; %d messages wait", fault.name, c.Active+c.Locked+c.Scheduled)
	return err
}

// spoil makes every third request one that breaks the contract, but those for a task that others are for, too.
func spoil(requests []request) {
	bad := kinds[slices.IndexFunc(kinds, func(k kind) bool { return k.name == "malformed" })]
	for i := range requests {
		q := &requests[i]
		twin := i > 0 && requests[i-1].task == q.task || i+1 < len(requests) && requests[i+1].task == q.task
		if i%3 == 0 && q.kind.exists && !twin {
			q.kind, q.body, q.deadLetter = &bad, bad.body(q.task), handler.InvalidMessage.String()
		}
	}
}

// publishOver puts the requests into the queue evenly over the time that a fault lasts. It needs no connection, so that it
// goes on when there is none.
func (d *demo) publishOver(ctx context.Context, requests []request) error {
	tick := time.NewTicker(storyTick)
	defer tick.Stop()
	sent := 0
	for begun := time.Now(); ; {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		elapsed := min(time.Since(begun), d.FaultFor)
		due := int(float64(len(requests)) * elapsed.Seconds() / d.FaultFor.Seconds())
		for _, q := range requests[sent:due] {
			if _, err := d.queue.Send(servicebustest.Message{ID: q.id, Body: []byte(q.body)}); err != nil {
				return err
			}
		}
		if sent = due; elapsed == d.FaultFor {
			return nil
		}
	}
}

func allEnded(c servicebustest.Counts) bool { return c.Active+c.Locked+c.Scheduled+c.Deferred == 0 }
