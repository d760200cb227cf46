package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// scoreRow is a row of testdata/scorecard.md: its id and, in its last column, what must hold or why it does not apply.
var scoreRow = regexp.MustCompile(`(?m)^\| ([A-Z][0-9]+) \| .+ \| (.+) \|$`)

// claim is how a test names the rows that it proves.
var claim = regexp.MustCompile(`^// Scorecard: ([A-Z][0-9]+(?:, [A-Z][0-9]+)*)\.$`)

// rows returns the scorecard's ids, and of each whether it applies.
func rows(t *testing.T, text string) map[string]bool {
	t.Helper()
	applies := map[string]bool{}
	for _, row := range scoreRow.FindAllStringSubmatch(text, -1) {
		if _, twice := applies[row[1]]; twice {
			t.Errorf("scorecard.md has %s twice", row[1])
		}
		applies[row[1]] = !strings.HasPrefix(row[2], "n/a: ")
	}
	return applies
}

// claims returns the rows that a file's tests name, and what is wrong with how it names them.
func claims(name string, source []byte) (named, wrong []string) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, []string{err.Error()}
	}
	above := map[*ast.Comment]bool{}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Doc == nil || f.Recv != nil || !isTest(f.Name.Name) || !strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, line := range f.Doc.List {
			above[line] = true
		}
	}
	for _, group := range file.Comments {
		for _, line := range group.List {
			if !strings.HasPrefix(line.Text, "// Scorecard:") {
				continue
			}
			ids := claim.FindStringSubmatch(line.Text)
			if ids == nil || !above[line] {
				wrong = append(wrong, files.Position(line.Pos()).String()+": want a line \"// Scorecard: A1, F2.\" directly above a test, got "+line.Text)
				continue
			}
			named = append(named, strings.Split(ids[1], ", ")...)
		}
	}
	return named, wrong
}

func isTest(name string) bool {
	return slices.ContainsFunc([]string{"Test", "Fuzz", "Benchmark"}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// missed returns what the names and the rows leave open.
func missed(applies map[string]bool, named map[string][]string) (gaps []string) {
	for _, id := range slices.Sorted(maps.Keys(applies)) {
		if applies[id] && len(named[id]) == 0 {
			gaps = append(gaps, "no test names "+id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(named)) {
		switch does, known := applies[id]; {
		case !known:
			gaps = append(gaps, strings.Join(named[id], ", ")+" names "+id+", which is no row")
		case !does:
			gaps = append(gaps, strings.Join(named[id], ", ")+" names "+id+", which does not apply")
		}
	}
	return gaps
}

// allClaims returns the files that name each row. The tests of a double prove nothing of the worker: theirs do not count.
func allClaims(t *testing.T) map[string][]string {
	t.Helper()
	named := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && slices.ContainsFunc(doubles, func(d string) bool { return path == filepath.Join(root, d) }) {
			return fs.SkipDir
		}
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		source, err := os.ReadFile(path)
		ids, wrong := claims(path, source)
		for _, w := range wrong {
			t.Error(w)
		}
		for _, id := range ids {
			named[id] = append(named[id], path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return named
}

func TestEachRowOfTheScorecardIsNamedByATest(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "testdata", "scorecard.md"))
	if err != nil {
		t.Fatal(err)
	}
	applies := rows(t, string(text))
	for kind, n := range map[string]int{"A": 15, "H": 11, "S": 10, "M": 12, "F": 20, "R": 31} {
		got := 0
		for id := range applies {
			if strings.HasPrefix(id, kind) {
				got++
			}
		}
		if got != n {
			t.Errorf("scorecard.md has %d rows %s, want %d", got, kind, n)
		}
	}
	for _, gap := range missed(applies, allClaims(t)) {
		t.Error(gap)
	}
}

func TestScorecardCheckCatchesWhatItIsFor(t *testing.T) {
	t.Parallel()
	applies := rows(t, "| Row | Done | Must hold |\n|---|---|---|\n| A1 | cut | back |\n| R24 | scaled | n/a: no rule |\n")
	for _, c := range []struct {
		name, source string
		wrong        int
		gaps         []string
	}{
		{"a_test.go", "// Why.\n//\n// Scorecard: A1.\nfunc TestCut(t *testing.T) {}", 0, nil},
		{"a_test.go", "// Scorecard: A1, A99.\nfunc FuzzCut(f *testing.F) {}", 0, []string{"A99"}},
		{"a_test.go", "// Scorecard: A1, R24.\nfunc BenchmarkCut(b *testing.B) {}", 0, []string{"R24"}},
		{"a_test.go", "func TestCut(t *testing.T) {}", 0, []string{"A1"}},
		{"a_test.go", "// Scorecard: A1.\n\nfunc TestCut(t *testing.T) {}", 1, []string{"A1"}},
		{"a_test.go", "// Scorecard: A1.\nfunc cut() {}", 1, []string{"A1"}},
		{"a_test.go", "// Scorecard: A1 A2\nfunc TestCut(t *testing.T) {}", 1, []string{"A1"}},
		{"a.go", "// Scorecard: A1.\nfunc TestCut() {}", 1, []string{"A1"}},
		{"a_test.go", "not Go", 1, []string{"A1"}},
	} {
		ids, wrong := claims(c.name, []byte("package a\n"+c.source+"\n"))
		named := map[string][]string{}
		for _, id := range ids {
			named[id] = append(named[id], c.name)
		}
		gaps := missed(applies, named)
		if len(wrong) != c.wrong || len(gaps) != len(c.gaps) || len(gaps) > 0 && !strings.Contains(gaps[0], c.gaps[0]) {
			t.Errorf("%s: %q, gaps %q; want %d wrong, gaps %q", c.source, wrong, gaps, c.wrong, c.gaps)
		}
	}
}

// Links in the scorecard are for people to follow: each is to a public thread, none twice in a row.
func TestReportedRowsLinkToTheirThreads(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "testdata", "scorecard.md"))
	if err != nil {
		t.Fatal(err)
	}
	thread := regexp.MustCompile(`\]\(https://github\.com/[\w.-]+/[\w.-]+/(issues|pull)/[0-9]+\)`)
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "| R") || strings.HasPrefix(line, "| Row") {
			continue
		}
		links := thread.FindAllString(line, -1)
		if len(links) == 0 || len(links) != strings.Count(line, "](") || len(slices.Compact(slices.Sorted(slices.Values(links)))) != len(links) {
			t.Errorf("links: %s", line)
		}
	}
}
