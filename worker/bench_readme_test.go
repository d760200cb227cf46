package worker_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// row is a line of the README's table: what the worker does, what something else does, and the one over the other.
type row struct {
	what    string
	ours    float64
	against string
	theirs  float64
	ratio   float64
	target  string // of the ratio, "" for none
}

func (r row) String() string {
	return fmt.Sprintf("| %s | %s | %s: %s | %.2f | %s |\n", r.what, figures(r.ours), r.against, figures(r.theirs), r.ratio, r.target)
}

// figures writes a number with at least three figures, and thousands with a comma.
func figures(f float64) string {
	switch {
	case f < 10:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case f < 100:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	s := strconv.FormatFloat(f, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// updateReadme writes the table between its marks, where UPDATE_README asks for it.
func updateReadme(b *testing.B, rows []row) {
	b.Helper()
	if os.Getenv("UPDATE_README") == "" {
		return
	}
	const name, begin, end = "../README.md", "<!-- benchmarks: ", "<!-- end of benchmarks -->"
	text, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(text), begin)
	mark, rest, marked := strings.Cut(rest, " -->\n")
	_, after, ended := strings.Cut(rest, end)
	if !begun || !marked || !ended {
		b.Fatalf("%s has no place for the benchmarks", name)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%s, %s/%s, %d cores for the worker and the services together:\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	table.WriteString("| | Worker | Beside | Ratio | Target |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		table.WriteString(r.String())
	}
	text = []byte(before + begin + mark + " -->\n" + table.String() + end + after)
	if err := os.WriteFile(name, text, 0o644); err != nil {
		b.Fatal(err)
	}
}
