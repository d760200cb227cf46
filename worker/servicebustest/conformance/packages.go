package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// packages are those with live tests; the others test serializers and the like, without a server.
var packages = []string{".", "./admin", "./internal"}

// status is how a test ended.
type status string

const (
	passed   status = "pass"
	failed   status = "fail"
	skipped  status = "skip"
	unending status = "did not end" // a panic or the time limit ended its package first
)

// result is one test, without subtests: a failed subtest fails its test.
type result struct {
	pkg, test string
	status    status
	output    string
	subtests  []result // those that did not pass
}

func (r result) name() string { return r.pkg + " " + r.test }

// runPackages runs every package at once and returns what became of its tests, by package and then in the order in
// which they began.
func runPackages(ctx context.Context, module sdkModule, work string, s settings) ([]result, error) {
	results := make([][]result, len(packages))
	errs := make([]error, len(packages))
	var running sync.WaitGroup
	for i, pkg := range packages {
		running.Go(func() { results[i], errs[i] = runPackage(ctx, module, filepath.Join(work, fmt.Sprint(i)), pkg, s) })
	}
	running.Wait()
	var all []result
	for i := range packages {
		if errs[i] != nil {
			return nil, errs[i]
		}
		all = append(all, results[i]...)
	}
	return all, nil
}

func runPackage(ctx context.Context, module sdkModule, work, pkg string, s settings) ([]result, error) {
	live, err := startEnvironment(work)
	if err != nil {
		return nil, err
	}
	defer func() { _ = live.close() }()
	args := []string{"test", "-json", "-count=1", "-timeout", s.timeout.String(), pkg}
	if s.pattern != "" {
		args = append(args, "-run", s.pattern)
	}
	test := exec.CommandContext(ctx, "go", args...) //nolint:gosec // G204: the pattern is the user's own
	test.Dir, test.Env = module.dir, live.environ
	var stdout, stderr bytes.Buffer
	test.Stdout, test.Stderr = &stdout, &stderr
	runErr := test.Run()
	results, err := parseEvents(pkg, &stdout)
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w after %v, in %s", pkg, ctx.Err(), s.timeout, underWay(results))
	case len(results) == 0 && runErr != nil:
		return nil, fmt.Errorf("%s did not run: %w\n%s", pkg, runErr, &stderr)
	}
	return results, nil
}

func underWay(results []result) string {
	for _, r := range results {
		if r.status == unending {
			return r.test
		}
	}
	return "no test"
}

// parseEvents reads what go test -json writes (documented at cmd/test2json).
func parseEvents(pkg string, stream *bytes.Buffer) ([]result, error) {
	var results []result
	index := make(map[string]int)
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var event struct{ Action, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil || event.Test == "" {
			continue // what a build prints is not JSON, and a package's own events say nothing more
		}
		test, subtest, isSubtest := strings.Cut(event.Test, "/")
		if _, known := index[test]; !known {
			index[test] = len(results)
			results = append(results, result{pkg: pkg, test: test, status: unending})
		}
		r := &results[index[test]]
		r.output += event.Output
		switch end := status(event.Action); {
		case end != passed && end != failed && end != skipped:
		case !isSubtest:
			r.status = end
		case end != passed:
			r.subtests = append(r.subtests, result{pkg: pkg, test: subtest, status: end})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: read the tests' events: %w", pkg, err)
	}
	return results, nil
}
