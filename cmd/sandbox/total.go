package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
)

type totalCommand struct {
	Reports []string `arg:"" help:"Files that sandbox chaos --report has written."`
}

func (c totalCommand) run(stdout io.Writer) error {
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\t\n", args...) } // Flush reports the first error
	line("SEED\tREQUESTS\tMESSAGES\tFAULTS\tKILLS\tLOST\tDOUBLE ENDS\tREPEATED CALLS\tPER MILLION\tBURNED\tRECOVERY\tLONGEST STOP")
	row := func(name string, r chaosReport, doubles int) {
		line("%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%d\t%.1f s\t%.1f s", name, r.Requests, r.Messages, r.Struck, r.Kills, r.Lost, doubles,
			r.RepeatedCalls, 1e6*float64(r.RepeatedCalls)/float64(max(r.BatchCalls, 1)), r.BurnedDeliveries, r.Recovery, r.LongestStop)
	}
	var sum chaosReport
	doubles, broken := 0, 0
	for _, name := range c.Reports {
		text, err := os.ReadFile(name) //nolint:gosec // G304: the operator names the files
		if err != nil {
			return fmt.Errorf("total: %w", err)
		}
		var r chaosReport
		if err := json.Unmarshal(text, &r, json.RejectUnknownMembers(true)); err != nil {
			return fmt.Errorf("total: %s: %w", name, err)
		}
		row(fmt.Sprint(r.Seed), r, r.doubleEnds())
		doubles += r.doubleEnds()
		if !r.holds() {
			broken++
		}
		sum.sum(r)
	}
	row("all", sum, doubles)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("total: %w", err)
	}
	if broken > 0 {
		return errBroken
	}
	return nil
}

// doubleEnds is 0 when every message ended once, or with a reason to end twice: the line of I2 says so.
func (r chaosReport) doubleEnds() int {
	for _, l := range r.Promises {
		if l.ID == "I2" && !l.Holds {
			return 1
		}
	}
	return 0
}

// sum adds what a total shows.
func (r *chaosReport) sum(o chaosReport) {
	r.Lost, r.Kills, r.LongestStop = r.Lost+o.Lost, r.Kills+o.Kills, max(r.LongestStop, o.LongestStop)
	r.add(o)
}
