package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchterminator/cmd/sandbox/verdict"
)

// chaosReport is the verdict on one run of chaos. Its JSON form is for machines: names stay.
type chaosReport struct {
	Seed     uint64         `json:"seed"`
	Requests int            `json:"requests"`
	Messages int            `json:"messages"`
	Faults   map[string]int `json:"faults"`
	Struck   int            `json:"faultsStruck"`
	Workers  int            `json:"workers"`
	Kills    int            `json:"kills"`

	Lost             int             `json:"lost"`
	BurnedDeliveries int             `json:"burnedDeliveries"`
	Excused          verdict.Excused `json:"excused"`
	DuplicatedEnds   int             `json:"duplicatedEnds"`
	Recovered        int             `json:"recovered"`
	BatchCalls       int             `json:"batchCalls"`
	RepeatedCalls    int             `json:"repeatedCalls"`

	EndToEndMedian  float64 `json:"endToEndMedian_seconds"`
	EndToEndP99     float64 `json:"endToEndP99_seconds"`
	EndToEndMax     float64 `json:"endToEndMax_seconds"`
	Recovery        float64 `json:"recovery_seconds"`
	QueueDrain      float64 `json:"queueDrain_seconds"`
	LongestStop     float64 `json:"longestStop_seconds"`
	Duration        float64 `json:"duration_seconds"`
	MostGoroutines  int     `json:"mostGoroutines"`
	MostResident    int     `json:"mostResidentBytes"`
	MostDescriptors int     `json:"mostFileDescriptors"`

	Idle     []survivor     `json:"idle"`
	Promises []verdict.Line `json:"promises"`
	// Stories tell of the first few requests that went wrong.
	Stories []string `json:"stories,omitempty"`
	// Problem says why the run ended early, "" when it did not.
	Problem string `json:"problem,omitempty"`
}

func (r chaosReport) holds() bool {
	return r.Problem == "" && !slices.ContainsFunc(r.Promises, func(p verdict.Line) bool { return !p.Holds })
}

// keep writes the report to a file, "" for none.
func (r chaosReport) keep(name string) error {
	if name == "" {
		return nil
	}
	text, err := json.Marshal(r, json.Deterministic(true))
	if err == nil {
		err = os.WriteFile(name, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return nil
}

func (r chaosReport) write(w io.Writer, form string) error {
	if form == "json" {
		if err := json.MarshalWrite(w, r, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("report: %w", err)
		}
		_, err := fmt.Fprintln(w)
		return err
	}
	return r.table(w)
}

func (r chaosReport) table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // Flush reports the first error
	line("\nseed %d: %d requests in %d messages, %d faults, %d workers of which %d were killed, in %.0f s", r.Seed, r.Requests, r.Messages, r.Struck, r.Workers, r.Kills, r.Duration)
	line("lost: %d, burned deliveries: %d, twins: %d, recovered: %d, Batch calls: %d, repeated after success: %d", r.Lost, r.BurnedDeliveries, r.DuplicatedEnds, r.Recovered, r.BatchCalls, r.RepeatedCalls)
	line("end to end: median %.3f s, p99 %.3f s, longest %.3f s", r.EndToEndMedian, r.EndToEndP99, r.EndToEndMax)
	line("after the last fault: full pace in %.1f s, queue empty %.1f s after the last request, longest stop %.1f s\n", r.Recovery, r.QueueDrain, r.LongestStop)
	line("FAULT\tSTRUCK")
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		line("%s\t%d", name, r.Faults[name])
	}
	line("\nIDLE WORKER\tCPU\tGOROUTINES\tHEAP\tFILES")
	for _, s := range r.Idle {
		line("%s\t%.1f %%\t%d\t%.1f MiB\t%d", s.Name, 100*s.CPU, s.Goroutines, float64(s.HeapBytes)/(1<<20), s.Descriptors)
	}
	line("\nPROMISE\t\t\tSEEN BY THE LEDGERS OF SERVICE BUS AND BATCH")
	for _, p := range r.Promises {
		line("%s\t%s\t%s\t%s", p.ID, map[bool]string{true: "holds", false: "BROKEN"}[p.Holds], p.Name, p.Detail)
	}
	for _, story := range r.Stories {
		line("\n%s", story)
	}
	switch {
	case r.Problem != "":
		line("\nThe run ended early: %s", r.Problem)
	case r.holds():
		line("\nAll promises hold.")
	}
	return t.Flush()
}

// report judges a round that ended with err.
func (c *chaos) report(err error) chaosReport {
	r := c.judge()
	if err != nil {
		r.Problem = err.Error()
	}
	return r
}

// judge has the run judged by the ledgers, and adds what only the outside of a process shows.
func (c *chaos) judge() chaosReport {
	e := c.evidence()
	v := verdict.Judge(e)
	recovery := e.Recovery(c.storm.struck.last, c.Rate, 0.9)
	r := chaosReport{
		Seed: c.Seed, Requests: c.accepted, Messages: e.Counts.Accepted, Faults: c.storm.struck.names, Workers: len(e.Workers),
		Lost: v.Lost, BurnedDeliveries: v.Burned, Excused: v.Excused, DuplicatedEnds: v.DuplicatedEnds, Recovered: v.Recovered,
		BatchCalls: e.CallCount, RepeatedCalls: v.Repeated,
		EndToEndMedian: v.Pace.Median.Seconds(), EndToEndP99: v.Pace.P99.Seconds(), EndToEndMax: v.Pace.Max.Seconds(),
		Recovery: recovery.Seconds(), Duration: time.Since(c.begun).Seconds(),
		MostGoroutines: c.watch.most.goroutines, MostResident: c.watch.most.resident, MostDescriptors: c.watch.most.descriptors,
		Idle: c.survivors, Stories: v.Stories,
	}
	for _, n := range r.Faults {
		r.Struck += n
	}
	if !c.drained.IsZero() {
		r.QueueDrain = c.drained.Sub(c.loadEnded).Seconds()
	}
	for _, w := range e.Workers {
		if w.Stopped.IsZero() {
			r.Kills++
			continue
		}
		r.LongestStop = max(r.LongestStop, w.Ended.Sub(w.Stopped).Seconds())
	}
	r.Promises = append(v.Lines, c.bounded(), c.live(recovery), c.quiet())
	return r
}

// evidence is what the two services and the fleet have written down.
func (c *chaos) evidence() verdict.Evidence {
	e := verdict.Evidence{Workers: c.fleet.alive(), Faults: c.storm.struck.faults, Concurrency: c.Concurrency, Grace: c.Grace, Lock: c.Lock, Recorded: c.fleet.records() - c.before}
	for _, q := range c.requests[:c.accepted] {
		e.Requests = append(e.Requests, q.expected())
	}
	e.Read(c.queue, c.account)
	return e
}

// A worker's goroutines: those of the machinery, and for each call that may be under way at once those of the connection
// that is kept for the next one, of the settlement behind it, and while it lasts of the delivery.
func idleGoroutines(concurrency int) int { return 100 + 4*concurrency }
func mostGoroutines(concurrency int) int { return 100 + 8*concurrency }

func (c *chaos) bounded() verdict.Line {
	most, allowed := c.watch.most, mostGoroutines(c.Concurrency)
	return verdict.Line{
		ID: "I7", Name: "bounded", Holds: most.goroutines <= allowed && (c.memory == 0 || most.resident <= c.memory),
		Detail: fmt.Sprintf("at most %d goroutines of %d allowed, %.0f MiB resident, %d open files in one worker", most.goroutines, allowed, float64(most.resident)/(1<<20), most.descriptors),
	}
}

func (c *chaos) live(recovery time.Duration) verdict.Line {
	l := verdict.Line{ID: "I9", Name: "the pace comes back, by itself", Holds: recovery <= c.patience() && len(c.fleet.problems) == 0,
		Detail: fmt.Sprintf("nine tenths of the offered rate %.1f s after the last fault, %v allowed", recovery.Seconds(), c.patience())}
	if n := len(c.fleet.problems); n > 0 {
		l.Detail += fmt.Sprintf("; %d workers in trouble, first: %s", n, c.fleet.problems[0])
	}
	return l
}

// idleShare is the most of a processor that a worker with nothing to do may take.
const idleShare = 0.05

func (c *chaos) quiet() verdict.Line {
	l := verdict.Line{ID: "I10", Name: "an idle worker is idle", Holds: len(c.survivors) > 0}
	for _, s := range c.survivors {
		l.Holds = l.Holds && s.CPU < idleShare && s.Goroutines <= idleGoroutines(c.Concurrency)
		l.Detail = fmt.Sprintf("%s%s: %.1f %% of a processor, %d goroutines; ", l.Detail, s.Name, 100*s.CPU, s.Goroutines)
	}
	return l
}
