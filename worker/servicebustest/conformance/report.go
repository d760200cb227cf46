package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// printGroups prints how many tests of each group passed, failed and were skipped.
func printGroups(w io.Writer, results []result) {
	type counts map[status]int
	byGroup := make(map[string]counts)
	total := make(counts)
	for _, r := range results {
		name := groupOf(r)
		if byGroup[name] == nil {
			byGroup[name] = make(counts)
		}
		byGroup[name][r.status]++
		if name != withoutServer {
			total[r.status]++
		}
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, n counts) {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t\n", name, n[passed], n[failed]+n[unending], n[skipped])
	}
	_, _ = fmt.Fprintln(table, "group\tpassed\tfailed\tskipped\t")
	for _, g := range groups {
		if n, ran := byGroup[g.name]; ran {
			row(g.name, n)
		}
	}
	row("live tests together", total)
	row(withoutServer, byGroup[withoutServer])
	_ = table.Flush()
}

// printSurprises prints what is not as expected, with what the tests themselves said.
func printSurprises(w io.Writer, surprises []surprise, results []result, verbose bool) {
	slices.SortFunc(surprises, func(a, b surprise) int { return strings.Compare(a.name, b.name) })
	for _, r := range results {
		surprising := slices.ContainsFunc(surprises, func(s surprise) bool { return s.name == r.name() })
		if (surprising || verbose) && (r.status == failed || r.status == unending) {
			_, _ = fmt.Fprintf(w, "\n--- %s\n%s", r.name(), tail(r.output, 40))
		}
	}
	if len(surprises) == 0 {
		_, _ = fmt.Fprintln(w, "\nAs expected.")
		return
	}
	_, _ = fmt.Fprintln(w, "\nNot as expected; mend the broker, or say why in expectations.txt:")
	for _, s := range surprises {
		_, _ = fmt.Fprintf(w, "  %s: %s\n", s.name, s.what)
	}
}

// tail returns the last lines of s: the assertion that failed is among them, and the start is the SDK's log.
func tail(s string, lines int) string {
	all := strings.SplitAfter(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "")
}
