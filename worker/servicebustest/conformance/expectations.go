package main

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed expectations.txt
var expectationsText string

// expectation says that a test does not pass, and why. The test may be a subtest, as go test names it.
type expectation struct {
	status status
	reason string
}

// parseExpectations reads lines of the form "package Test[/subtest] status: reason". Empty lines and those that begin
// with # are comments.
func parseExpectations(text string) (map[string]expectation, error) {
	expected := make(map[string]expectation)
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		head, reason, _ := strings.Cut(line, ": ")
		fields := strings.Fields(head)
		if len(fields) != 3 || strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("expectations.txt:%d: want \"package test status: reason\", got %q", i+1, line)
		}
		name, want := fields[0]+" "+fields[1], status(fields[2])
		if want != failed && want != skipped {
			return nil, fmt.Errorf("expectations.txt:%d: status %q is neither fail nor skip", i+1, want)
		}
		if _, twice := expected[name]; twice {
			return nil, fmt.Errorf("expectations.txt:%d: %s is there twice", i+1, name)
		}
		expected[name] = expectation{status: want, reason: reason}
	}
	return expected, nil
}

// surprise is a test that did not do as expected.
type surprise struct{ name, what string }

// compare holds results against expectations. A skipped subtest is held like a test of its own; a failed one fails
// its test, which is what the expectation names. Whether every expectation must have met its test is for the caller:
// not after a run of some tests.
func compare(results []result, expected map[string]expectation, all bool) []surprise {
	var surprises []surprise
	met := make(map[string]bool)
	hold := func(r result) {
		want, listed := expected[r.name()]
		met[r.name()] = true
		switch {
		case listed && want.status == r.status:
		case listed:
			surprises = append(surprises, surprise{r.name(), fmt.Sprintf("%s, expected %s (%s)", r.status, want.status, want.reason)})
		case r.status != passed:
			surprises = append(surprises, surprise{r.name(), string(r.status)})
		}
	}
	for _, r := range results {
		hold(r)
		for _, sub := range r.subtests {
			if sub.status == skipped {
				hold(result{pkg: r.pkg, test: r.test + "/" + sub.test, status: skipped})
			}
		}
	}
	for name, want := range expected {
		if all && !met[name] {
			surprises = append(surprises, surprise{name, "not there, expected " + string(want.status)})
		}
	}
	return surprises
}
