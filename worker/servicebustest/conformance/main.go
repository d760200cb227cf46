package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings are the command line.
type settings struct {
	pattern string
	timeout time.Duration
	verbose bool
	keep    bool
}

// run returns the exit code: 0 when the tests did what is expected of them, 1 when not, 2 when they could not run.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var s settings
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.pattern, "run", "", "only tests that match this regular expression; expectations of others are not held")
	flags.DurationVar(&s.timeout, "timeout", 9*time.Minute, "for all tests together")
	flags.BoolVar(&s.verbose, "v", false, "print the output of each test that fails, even where that is expected")
	flags.BoolVar(&s.keep, "keep", false, "keep the copy of the module and say where it is")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "conformance: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	ok, err := conform(ctx, s, stdout)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "conformance:", err)
		return 2
	}
	if !ok {
		return 1
	}
	return 0
}

// conform runs the tests and says whether they did as expected.
func conform(ctx context.Context, s settings, stdout io.Writer) (bool, error) {
	expected, err := parseExpectations(expectationsText)
	if err != nil {
		return false, err
	}
	work, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return false, fmt.Errorf("make a folder to work in: %w", err)
	}
	if s.keep {
		_, _ = fmt.Fprintln(stdout, "working in", work)
	} else {
		defer func() { _ = os.RemoveAll(work) }()
	}
	module, err := copyModule(ctx, work)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	start := time.Now()
	results, err := runPackages(ctx, module, work, s)
	if err != nil {
		return false, err
	}
	_, _ = fmt.Fprintf(stdout, "azservicebus %s, %v\n\n", module.version, time.Since(start).Round(time.Second))
	printGroups(stdout, results)
	surprises := compare(results, expected, s.pattern == "")
	printSurprises(stdout, surprises, results, s.verbose)
	return len(surprises) == 0, nil
}
