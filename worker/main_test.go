package worker_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// roleVariable in the environment makes the test binary one of the other processes of the benchmarks.
const roleVariable = "WORKER_BENCHMARK_ROLE"

var roles = map[string]func() error{"services": serveServices, "worker": serveWorker}

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleVariable)]
	if !ok {
		goleak.VerifyTestMain(m)
		return
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
