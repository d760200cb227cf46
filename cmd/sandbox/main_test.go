package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain re-enters the test binary as the command, so that scripts see the real exit codes and streams.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"sandbox": main})
}

// leakChecked fails a run that leaves goroutines behind.
type leakChecked struct{ m *testing.M }

// claimRenewer is what the SDK leaves behind when a call begins while it tears a link down: it builds links that its
// client does not know of. They end with the connection, and this goroutine at the next renewal of its token.
const claimRenewer = "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/internal.(*Namespace).startNegotiateClaimRenewer.func3"

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(goleak.IgnoreAnyFunction(claimRenewer)); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func TestWrongArgumentsAreOneClearLine(t *testing.T) {
	t.Parallel()
	const free = " --amqp 127.0.0.1:0 --admin 127.0.0.1:0 --batch 127.0.0.1:0"
	for args, want := range map[string]string{
		"demo --requests 0":                               "--requests: 0; want 10 to 1000000",
		"demo --sabotage P99":                             `--sabotage: no way to break "P99"`,
		"chaos --for 1s":                                  "--for: 1s; want 5s or more",
		"chaos --rate 0":                                  "want --rate of 1 or more",
		"chaos --lock 1s":                                 "--lock: 1s; want 10s or more",
		"chaos --soak 1m":                                 "--soak: 1m0s; want the time of 4 rounds, of 2m0s each, or more",
		"days --directory x --seeds 0":                    "--seeds: 0; want 1 or more",
		"days --directory x --parallel 0":                 "--parallel: 0; want 1 to 64",
		"chaos --memory much":                             `--memory: "much"; want a number of MiB from 32`,
		"chaos --only kindness":                           `--only: ["kindness"] names no fault`,
		"chaos --logs /nowhere":                           "--logs: open /nowhere/storm.log",
		"drill --only sabotage":                           `--only: there is no fault "sabotage"`,
		"drill --for 1ms":                                 "want --for of 1s or more",
		"drill --rate 0":                                  "want --rate of 1 to 1000",
		"drill --lock 1s":                                 "--lock: 1s; want 10s to 5m",
		"drill --listen nowhere":                          "--listen: ",
		"drill --logs /nowhere --listen 127.0.0.1:0":      "--logs: open /nowhere",
		"demo --log-level loud":                           "log-level",
		"simulate --hours 0":                              "--hours: 0; want 1 to 1000",
		"serve" + free + " --amqp nowhere":                "choose another address with --amqp",
		"serve" + free + " --admin nowhere":               "choose another address with --admin",
		"serve" + free + " --tls nowhere":                 "choose another address with --tls",
		"serve" + free + " --batch nowhere":               "choose another address with --batch",
		"serve" + free + " --ca-file x":                   "--ca-file: there is nothing to trust without --tls",
		"serve" + free + " --tls 127.0.0.1:0 --ca-file .": "--ca-file: open .",
		"serve" + free + " --config missing.json":         "--config: open missing.json",
		"serve" + free + " --config main.go":              "--config: main.go:\nline ",
		"serve" + free + " --queue a$b":                   `'$' is not allowed`,
		"dance":                                           "dance",
	} {
		code, _, stderr := sandbox(t, strings.Fields(args)...)
		if code == 0 || !strings.Contains(stderr, want) || strings.Contains(stderr, "goroutine") {
			t.Errorf("%s: exit code %d, %q; want %q", args, code, stderr, want)
		}
	}
}
