package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchterminator/handler"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A table that sends a newcomer to a file that has moved is worse than none.
func TestReadmeNamesFilesThatExist(t *testing.T) {
	t.Parallel()
	folder := "." // a name without a folder stands in that of the name before it
	paths := regexp.MustCompile("`([a-z/]*[a-z_]+\\.go|[a-z]+/[a-z/]+)`").FindAllStringSubmatch(readme(t), -1)
	if len(paths) < 30 {
		t.Fatalf("%d paths found in README.md; the pattern no longer fits", len(paths))
	}
	for _, p := range paths {
		name := p[1]
		if dir := filepath.Dir(name); dir != "." {
			folder = dir
		} else {
			name = filepath.Join(folder, name)
		}
		if _, err := os.Stat(filepath.Join("../..", name)); err != nil {
			t.Errorf("README.md names %s: %v", p[1], err)
		}
	}
}

func TestReadmeListsEachOutcomeUnderItsDecision(t *testing.T) {
	t.Parallel()
	rows := map[handler.Decision]string{
		handler.Complete: "complete", handler.DeadLetter: "dead-letter", handler.Redeliver: "bring back later",
		handler.Pause: "pause the account, bring back later", handler.Leave: "leave to the next delivery",
	}
	for decision, row := range rows {
		var names []string
		for _, o := range handler.Outcomes() {
			if o.Decision() == decision {
				names = append(names, "`"+o.String()+"`")
			}
		}
		if want := "| " + row + " | " + strings.Join(names, " ") + " |"; !strings.Contains(readme(t), want) {
			t.Errorf("README.md lacks the row\n%s", want)
		}
	}
}

// The README's copy of the table is the program's own output. UPDATE_README=1 go test rewrites it.
func TestReadmeHasTheOutcomesTable(t *testing.T) {
	t.Parallel()
	var r recorded
	if code := run(t.Context(), []string{"outcomes", "-o", "markdown"}, nil, strings.NewReader(""), &r.out, &r.err); code != exitOK {
		t.Fatalf("exit code %d: %s", code, r.err.String())
	}
	text := readme(t)
	_, rest, begun := strings.Cut(text, "<!-- outcomes: ")
	_, rest, marked := strings.Cut(rest, " -->\n")
	got, _, ended := strings.Cut(rest, "<!-- end of outcomes -->")
	if !begun || !marked || !ended {
		t.Fatal("README.md has no place for the outcomes")
	}
	if got == r.out.String() {
		return
	}
	if os.Getenv("UPDATE_README") == "" {
		t.Fatalf("README.md's outcomes are not the program's (-program +README):\n%s", cmp.Diff(r.out.String(), got))
	}
	text = strings.Replace(text, " -->\n"+got+"<!-- end of outcomes -->", " -->\n"+r.out.String()+"<!-- end of outcomes -->", 1)
	if err := os.WriteFile("../../README.md", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
