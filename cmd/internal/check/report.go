package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Status is how a check ended.
type Status string

// The ways a check ends.
const (
	Pass Status = "pass"
	Warn Status = "warn"
	Fail Status = "fail"
	Skip Status = "skip"
)

// Result is one check.
type Result struct {
	// Name is one of a closed set: scripts may go by it.
	Name string `json:"name"`
	// Target is what was looked at, where there may be several.
	Target string `json:"target,omitempty"`
	Status Status `json:"status"`
	// Detail says what was found, on one line.
	Detail string `json:"detail"`
	// Action says what to do; empty when there is nothing to do.
	Action string `json:"action,omitempty"`
}

// Report is all checks, in a fixed order.
type Report struct {
	// Status is the worst of the checks: fail, warn, or pass.
	Status Status   `json:"status"`
	Checks []Result `json:"checks"`
}

func newReport(results []Result) Report {
	r := Report{Status: Pass, Checks: results}
	for _, c := range results {
		switch {
		case c.Status == Fail:
			r.Status = Fail
		case c.Status == Warn && r.Status == Pass:
			r.Status = Warn
		}
	}
	return r
}

// WriteJSON writes the report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteText writes a line for each check, a second one with what to do where that is anything, and the sum.
func (r Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	sum := map[Status]int{}
	for _, c := range r.Checks {
		sum[c.Status]++
		detail := c.Detail
		if c.Target != "" {
			detail = c.Target + ": " + detail
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\n", strings.ToUpper(string(c.Status)), c.Name, detail) // the writer reports at its flush
		if c.Action != "" {
			_, _ = fmt.Fprintf(t, "\t\t→ %s\n", c.Action)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d passed, %d warned, %d failed, %d skipped\n", sum[Pass], sum[Warn], sum[Fail], sum[Skip])
	return err
}

// verdict is what a check found.
type verdict struct {
	status         Status
	detail, action string
}

func pass(format string, args ...any) verdict {
	return verdict{status: Pass, detail: fmt.Sprintf(format, args...)}
}
func warn(action, format string, args ...any) verdict {
	return verdict{Warn, fmt.Sprintf(format, args...), action}
}
func fail(action, format string, args ...any) verdict {
	return verdict{Fail, fmt.Sprintf(format, args...), action}
}

// maxText bounds a detail, some of which is a stranger's.
const maxText = 600

// oneLine makes printable ASCII of a text that may be a stranger's. The text of a credential chain has a line for each link.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' || r == '\t' }), " ")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	if len(s) > maxText {
		s = s[:maxText-3] + "..."
	}
	return s
}
