package servicebustest_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain also is the broker of the benchmarks, in a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv(brokerVariable) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := serveBench(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
