package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"batchterminator/handler"
)

type outcomesCommand struct {
	Output string `short:"o" enum:"text,json,markdown" default:"text" placeholder:"FORMAT" help:"Form of the table: text, json, or markdown as in the README. Default text."`
}

// Help is shown behind the command's one-line help.
func (outcomesCommand) Help() string {
	return `Prints what the worker makes of every answer: each error code of Batch, each status without one, each failure without an answer, and what the worker decides by itself. RETRIED: the outcome stands only when the attempts within a delivery are spent. READ: the task is read first; if it has completed or is gone, that is the outcome.`
}

// outcomeRow is what -o json prints of each row.
type outcomeRow struct {
	Code     string `json:"code"`
	Status   string `json:"status"`
	Cause    string `json:"cause"`
	Outcome  string `json:"outcome"`
	Decision string `json:"decision"`
	Retried  bool   `json:"retried"`
	Read     bool   `json:"read"`
	Reason   string `json:"reason"`
}

func (c outcomesCommand) run(std streams) error {
	table := handler.Table()
	switch c.Output {
	case "json":
		rows := make([]outcomeRow, len(table))
		for i, r := range table {
			rows[i] = outcomeRow{Code: r.Code, Status: r.Status, Cause: r.Cause, Outcome: r.Outcome.String(),
				Decision: r.Outcome.Decision().String(), Retried: r.Retried, Read: r.Checked, Reason: r.Why}
		}
		encoder := json.NewEncoder(std.out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(rows)
	case "markdown":
		_, err := io.WriteString(std.out, markdown(table))
		return err
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "CODE\tSTATUS\tCAUSE\tOUTCOME\tDECISION\tRETRIED\tREAD\tREASON") // the writer reports at its flush
	for _, r := range table {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%v\t%v\t%s\t%s\t%s\n", dash(r.Code), dash(r.Status), dash(r.Cause), r.Outcome, r.Outcome.Decision(), yes(r.Retried), yes(r.Checked), r.Why)
	}
	return w.Flush()
}

// markdown renders the table short: what means the same for the same reason is one row, and what only follows its status
// is left out.
func markdown(table []handler.Row) string {
	var b strings.Builder
	b.WriteString("| Answer | Outcome | Tried again first | Why |\n|---|---|---|---|\n")
	table = slices.DeleteFunc(table, func(r handler.Row) bool { return r.ByStatus })
	for len(table) > 0 {
		n := slices.IndexFunc(table, func(r handler.Row) bool { return !together(r, table[0]) })
		if n < 0 {
			n = len(table)
		}
		fmt.Fprintf(&b, "| %s | `%v` | %s | %s |\n", answers(table[:n]), table[0].Outcome, before(table[0]), table[0].Why)
		table = table[n:]
	}
	return b.String()
}

func together(a, b handler.Row) bool {
	return a.Cause == b.Cause && a.Why == b.Why && a.Outcome == b.Outcome && (a.Code == "") == (b.Code == "") && (a.Code == "" || a.Status == b.Status)
}

// answers names what the rows of a group are for.
func answers(group []handler.Row) string {
	var names []string
	for _, r := range group {
		switch {
		case r.Code != "" && r.Status != "any":
			names = append(names, "`"+r.Code+"` with "+r.Status)
		case r.Code != "":
			names = append(names, "`"+r.Code+"`")
		case r.Status == "any":
			names = append(names, "any status")
		case r.Status != "":
			names = append(names, r.Status)
		}
	}
	text := strings.Join(names, " ")
	if cause := group[0].Cause; cause != "" {
		text = strings.TrimPrefix(text+", "+cause, ", ")
	}
	return text
}

// before says what is done before the outcome stands.
func before(r handler.Row) string {
	switch {
	case r.Retried:
		return "in process"
	case r.Checked:
		return "a read"
	}
	return ""
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
