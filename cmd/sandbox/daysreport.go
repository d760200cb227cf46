package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchterminator/cmd/sandbox/verdict"
)

// days is the sum of many. Its JSON form is for machines: names stay.
type days struct {
	// Asked is how many seeds there are to be. Seeds is how many have a result. Passed ones kept every promise, those of PassedOther in the other build alone.
	// Nothing is known of those that stood still; the rest failed.
	Asked       int      `json:"asked"`
	Seeds       int      `json:"seeds"`
	Passed      int      `json:"passed"`
	PassedOther int      `json:"passedInOther"`
	StoodStill  []uint64 `json:"stoodStill"`
	Failed      []uint64 `json:"failed"`

	Hours    int            `json:"virtualHours"`
	Requests int            `json:"requests"`
	Messages int            `json:"messages"`
	Calls    int            `json:"batchCalls"`
	Faults   int            `json:"faults"`
	Workers  int            `json:"workers"`
	Kills    int            `json:"kills"`
	Seconds  float64        `json:"duration_seconds"`
	Struck   map[string]int `json:"faultsByName"`

	Lost           int `json:"lost"`
	DuplicatedEnds int `json:"duplicatedEnds"`
	Recovered      int `json:"recovered"`
	Burned         int `json:"burned"`
	Repeated       int `json:"repeated"`
	// Excused are the lost locks that a fault excuses.
	Excused verdict.Excused `json:"excused"`
	// Missed says for each promise that was broken by which seeds.
	Missed map[string][]uint64 `json:"missed"`
}

// mostStill is the share of seeds of which nothing may be known, in percent.
const mostStill = 2

func (d days) holds() bool {
	return len(d.Failed) == 0 && d.Seeds == d.Asked && d.Passed > 0 && len(d.StoodStill)*100 <= d.Asked*mostStill
}

// total adds up all results of the seeds asked for.
func (c daysCommand) total() (days, error) {
	d := days{Asked: c.Seeds, Struck: map[string]int{}, Missed: map[string][]uint64{}}
	for seed := c.From; seed < c.From+uint64(c.Seeds); seed++ {
		text, err := os.ReadFile(c.result(seed))
		if os.IsNotExist(err) {
			continue // stopped before its turn
		}
		var r dayResult
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err != nil {
			return d, fmt.Errorf("seed %d: %w", seed, err)
		}
		d.add(r)
	}
	return d, nil
}

func (d *days) add(r dayResult) {
	d.Seeds++
	d.Seconds += r.Seconds
	switch {
	case r.Standstill:
		d.StoodStill = append(d.StoodStill, r.Seed)
		return
	case !r.Holds():
		d.Failed = append(d.Failed, r.Seed)
	default:
		d.Passed++
		if r.Build != asItIs {
			d.PassedOther++
		}
	}
	d.Hours, d.Requests, d.Messages, d.Calls = d.Hours+r.Hours, d.Requests+r.Requests, d.Messages+r.Messages, d.Calls+r.Calls
	d.Faults, d.Workers, d.Kills = d.Faults+r.Faults, d.Workers+r.Workers, d.Kills+r.Kills
	d.Lost, d.DuplicatedEnds, d.Recovered = d.Lost+r.Lost, d.DuplicatedEnds+r.DuplicatedEnds, d.Recovered+r.Recovered
	d.Burned, d.Repeated = d.Burned+r.Burned, d.Repeated+r.Repeated
	d.Excused.Add(r.Excused)
	for name, n := range r.Struck {
		d.Struck[name] += n
	}
	if r.Problem != "" {
		d.Missed["end"] = append(d.Missed["end"], r.Seed)
	}
	for _, l := range r.Lines {
		if !l.Holds {
			d.Missed[l.ID] = append(d.Missed[l.ID], r.Seed)
		}
	}
}

func (d days) write(w io.Writer, form string) error {
	if form == "json" {
		if err := json.MarshalWrite(w, d, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
			return fmt.Errorf("report: %w", err)
		}
		_, err := fmt.Fprintln(w)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\n", args...) } // Flush reports the first error
	line("FAULT\tSTRUCK")
	for _, name := range slices.Sorted(maps.Keys(d.Struck)) {
		line("%s\t%d", name, d.Struck[name])
	}
	line("\n%d seeds: %d passed (%d of them in the other build alone), %d stood still, %d failed", d.Seeds, d.Passed, d.PassedOther, len(d.StoodStill), len(d.Failed))
	line("%d hours of production, %d requests in %d messages, %d Batch calls, %d faults, %d workers of which %d were killed, in %.0f s", d.Hours, d.Requests, d.Messages, d.Calls, d.Faults, d.Workers, d.Kills, d.Seconds)
	line("lost %d, duplicated ends %d, recovered %d, burned deliveries %d, calls repeated after success %d", d.Lost, d.DuplicatedEnds, d.Recovered, d.Burned, d.Repeated)
	line("deliveries lost with reason: %s", d.Excused)
	if d.Seeds < d.Asked {
		line("%d seeds have no result yet", d.Asked-d.Seeds)
	}
	for _, id := range slices.Sorted(maps.Keys(d.Missed)) {
		line("%s is missed by seed %s", id, strings.Trim(fmt.Sprint(d.Missed[id]), "[]"))
	}
	if len(d.StoodStill) > 0 {
		line("virtual time stood still in seed %s", strings.Trim(fmt.Sprint(d.StoodStill), "[]"))
	}
	return t.Flush()
}
