package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchterminator/cmd/sandbox/verdict"
	"batchterminator/handler"
)

// report is the verdict on one demo. Its JSON form is for machines: names stay.
type report struct {
	Requests         int            `json:"requests"`
	Outcomes         map[string]int `json:"outcomes"`
	DeadLettered     int            `json:"deadLettered"`
	BatchCalls       int            `json:"batchCalls"`
	Lost             int            `json:"lost"`
	BurnedDeliveries int            `json:"burnedDeliveries"`
	LostOnTheWire    int            `json:"lostOnTheWire"`
	MaxInFlight      int            `json:"maxInFlight"`
	MaxLocked        int            `json:"maxLocked"`
	Seconds          float64        `json:"duration_seconds"`
	PerSecond        float64        `json:"requestsPerSecond"`
	Promises         []verdict.Line `json:"promises"`
	// Problem says why the demo ended early, "" when it did not.
	Problem string `json:"problem,omitempty"`
}

func (r report) holds() bool {
	return r.Problem == "" && !slices.ContainsFunc(r.Promises, func(p verdict.Line) bool { return !p.Holds })
}

func (r report) write(w io.Writer, form string) error {
	if form == "json" {
		if err := json.MarshalWrite(w, r, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("report: %w", err)
		}
		_, err := fmt.Fprintln(w)
		return err
	}
	return r.table(w)
}

func (r report) table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // Flush reports the first error
	line("\n%d requests in %.1f s (%.0f a second), %d Batch calls, %d dead-lettered\n", r.Requests, r.Seconds, r.PerSecond, r.BatchCalls, r.DeadLettered)
	line("OUTCOME\tDELIVERIES\tWORKER DID\tMEANING")
	for _, o := range r.sorted() {
		line("%s\t%d\t%s\t%s", o, r.Outcomes[o.String()], did(o), o.Meaning())
	}
	line("")
	promiseLines(line, r.Promises)
	switch {
	case r.Problem != "":
		line("\nThe demo ended early: %s", r.Problem)
	case r.holds():
		line("\nAll promises hold.")
	}
	return t.Flush()
}

func promiseLines(line func(string, ...any), promises []verdict.Line) {
	line("PROMISE\t\t\tSEEN BY THE LEDGERS OF SERVICE BUS AND BATCH")
	for _, p := range promises {
		line("%s\t%s\t%s\t%s", p.ID, map[bool]string{true: "holds", false: "BROKEN"}[p.Holds], p.Name, p.Detail)
	}
}

// sorted returns the outcomes that happened, most frequent first.
func (r report) sorted() []handler.Outcome {
	var seen []handler.Outcome
	for _, o := range handler.Outcomes() {
		if r.Outcomes[o.String()] > 0 {
			seen = append(seen, o)
		}
	}
	slices.SortStableFunc(seen, func(a, b handler.Outcome) int { return cmp.Compare(r.Outcomes[b.String()], r.Outcomes[a.String()]) })
	return seen
}

// did says in a few words what the worker does on the decision.
func did(o handler.Outcome) string {
	return map[handler.Decision]string{
		handler.Complete: "completed", handler.DeadLetter: "dead-lettered", handler.Redeliver: "scheduled for later",
		handler.Pause: "paused, scheduled for later", handler.Leave: "left to the next delivery",
	}[o.Decision()]
}
