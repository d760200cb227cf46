package main

import (
	"bufio"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/app"
	"batchterminator/worker/servicebustest"
)

// What the Bicep files say, as far as the worker has a say in it. deploy/azure/check looks at everything else.

func azureFile(t *testing.T, name string) string { return string(deployFile(t, "azure/"+name)) }

// one returns what the group of the pattern matches, which has to be in the text once.
func one(t *testing.T, text, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1)
	if len(found) != 1 {
		t.Fatalf("%d of %s; want one", len(found), pattern)
	}
	return found[0][1]
}

// bicep evaluates the expressions that variables have: defaults of main.bicep, and stand-ins for what others return.
type bicep map[string]string

func defaultsOfBicep(t *testing.T) bicep {
	t.Helper()
	b := bicep{
		"workerClientId": "8c0e3d1e-6a5b-4f5e-9c37-1d2f3a4b5c6d", "serviceBusHost": "acme.servicebus.windows.net",
		"batchEndpoint": "https://acme.westeurope.batch.azure.com", "port": one(t, azureFile(t, "modules/app.bicep"), `(?m)^var port = (\d+)$`),
	}
	for _, m := range regexp.MustCompile(`(?m)^param (\w+) \w+ = (?:'([^'$]*)'|(\d+|true|false))$`).FindAllStringSubmatch(azureFile(t, "main.bicep"), -1) {
		b[m[1]] = m[2] + m[3]
	}
	return b
}

func (b bicep) value(t *testing.T, expression string) string {
	t.Helper()
	look := func(name string) string {
		v, ok := b[name]
		if !ok {
			t.Fatalf("%s is not known here", name)
		}
		return v
	}
	if m := regexp.MustCompile(`^(?:string\((\w+)\)|(\w+))$`).FindStringSubmatch(expression); m != nil {
		return look(m[1] + m[2])
	}
	text, open := strings.CutPrefix(expression, "'")
	text, closed := strings.CutSuffix(text, "'")
	if !open || !closed {
		t.Fatalf("%s is no expression that is understood here", expression)
	}
	return regexp.MustCompile(`\$\{(\w+)\}`).ReplaceAllStringFunc(text, func(s string) string { return look(s[2 : len(s)-1]) })
}

// environment is the worker's, with every default.
func (b bicep) environment(t *testing.T) map[string]string {
	t.Helper()
	_, list, _ := strings.Cut(azureFile(t, "modules/app.bicep"), "var env = concat([")
	list, _, _ = strings.Cut(list, "]")
	env := map[string]string{}
	for _, m := range regexp.MustCompile(`\{ name: '(\w+)', value: (.+?) \}`).FindAllStringSubmatch(list, -1) {
		env[m[1]] = b.value(t, m[2])
	}
	if len(env) < 8 {
		t.Fatalf("only %q found", env)
	}
	return env
}

func TestAzureRunsTheWorkerAsItIs(t *testing.T) {
	t.Parallel()
	b, text := defaultsOfBicep(t), azureFile(t, "modules/app.bicep")
	paths := map[string]string{}
	for _, m := range regexp.MustCompile(`\{ type: '(\w+)', httpGet: \{ path: '([^']+)', port: port, scheme: 'HTTP' \}`).FindAllStringSubmatch(text, -1) {
		paths[m[1]] = m[2]
	}
	grace := time.Duration(wholeNumber(t, b.value(t, one(t, text, `terminationGracePeriodSeconds: (\w+)`)))) * time.Second
	placement{
		env: b.environment(t), grace: grace, port: wholeNumber(t, b["port"]),
		probes: []string{paths["Startup"], paths["Liveness"], paths["Readiness"]},
	}.check(t)
	if paths["Startup"] != "/healthz" || paths["Liveness"] != "/healthz" || paths["Readiness"] != "/readyz" {
		t.Errorf("probes ask %q: a restart cures no outage", paths)
	}
	args := regexp.MustCompile(`args: \['(\w+)'\]`).FindAllStringSubmatch(text, -1)
	if len(args) != 2 || args[0][1] != "check" || args[1][1] != "run" || command([]string{"check"}) != name+" check" {
		t.Errorf("the commands are %q", args)
	}
	if b["checkBeforeStart"] != "false" || !strings.Contains(text, "initContainers: checkBeforeStart ? [") {
		t.Error("no replica starts during an outage, which a worker waits out")
	}
	if one(t, text, `string\(gracePeriodSeconds - (\d+)\)`) != "10" || !strings.Contains(azureFile(t, "main.bicep"), "@minValue(30)\n@maxValue(600)\nparam gracePeriodSeconds") {
		t.Error("the agent has no time left to send what it has")
	}
}

func wholeNumber(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// check says whether the queue of the Bicep files fits the worker of the Bicep files: without a warning.
func TestAzureQueueFitsTheWorker(t *testing.T) {
	t.Parallel()
	text, b := azureFile(t, "modules/queue.bicep"), defaultsOfBicep(t)
	setting := func(name string) string { return one(t, text, `(?m)^    `+name+`: '?([\w.]+)'?`) }
	minutes := func(iso string) time.Duration {
		return time.Duration(wholeNumber(t, one(t, iso, `^PT(\d+)M$`))) * time.Minute
	}
	queue := servicebustest.QueueConfig{
		LockDuration: minutes(setting("lockDuration")), MaxDeliveryCount: wholeNumber(t, b.value(t, setting("maxDeliveryCount"))),
		RequiresDuplicateDetection: setting("requiresDuplicateDetection") == "true", DuplicateDetectionWindow: minutes(setting("duplicateDetectionHistoryTimeWindow")),
		DeadLetterOnExpiration: setting("deadLetteringOnMessageExpiration") == "true", RequiresSession: setting("requiresSession") == "true",
	}
	if b["queueName"] != app.DefaultQueue {
		t.Errorf("queue %s, by default %s", b["queueName"], app.DefaultQueue)
	}
	bus := servicebustest.New(t, servicebustest.WithQueue(b["queueName"], queue))
	account := batchtest.New()
	t.Cleanup(account.Close)
	env := app.Environment{"SERVICEBUS_CONNECTION_STRING=" + bus.ConnectionString()}
	stand := map[string]string{"BATCH_ENDPOINT": "http://localhost:5380", "LISTEN": "127.0.0.1:0"}
	for name, value := range b.environment(t) {
		if name != "SERVICEBUS_NAMESPACE" {
			env = append(env, name+"="+cmp.Or(stand[name], value))
		}
	}
	var r recorded
	deps := app.Deps{Dial: bus.Dial, Transport: func(string) policy.Transporter { return account.Client() }}
	if code := runWith(t.Context(), []string{"check", "--strict"}, env, r.streams(""), deps); code != exitOK {
		t.Errorf("exit code %d: %s\n%s", code, r.err.String(), r.out.String())
	}
}

func TestAzureFillsInTheWholeAgentConfiguration(t *testing.T) {
	t.Parallel()
	text := azureFile(t, "modules/app.bicep")
	agent := string(deployFile(t, "prometheus/agent.yml"))
	places := regexp.MustCompile(`(?m)^[^#\n]*(__[A-Z_]+__)`).FindAllStringSubmatch(agent, -1)
	if len(places) < 3 {
		t.Fatalf("%q", places)
	}
	for _, p := range places {
		if !strings.Contains(text, "'"+p[1]+"'") {
			t.Errorf("nobody fills in %s", p[1])
		}
	}
	port := defaultsOfBicep(t)["port"]
	for _, want := range []string{`"127.0.0.1:` + port + `"`, `"127.0.0.1:9091"`, "cloud: AzurePublic"} {
		if !strings.Contains(agent, want) {
			t.Errorf("agent.yml has no %s", want)
		}
	}
	if !strings.Contains(text, "--web.listen-address=127.0.0.1:9091 ") || !strings.Contains(text, "http://127.0.0.1:"+port+"/healthz;") {
		t.Error("the agent's script has other ports")
	}
}

// Rule groups of Azure Monitor take ISO 8601 durations, which alerts.bicep makes with a prefix and capital letters.
func TestAzureCanMapEveryRule(t *testing.T) {
	t.Parallel()
	rules := string(deployFile(t, "prometheus/rules.yml"))
	alerts := strings.Count(rules, "- alert: ")
	if alerts == 0 {
		t.Fatal("no alerts are found")
	}
	for _, m := range regexp.MustCompile(`(?m)^ +for: (\S+)$`).FindAllStringSubmatch(rules, -1) {
		if !regexp.MustCompile(`^\d+[mh]$`).MatchString(m[1]) {
			t.Errorf("for: %s is not in minutes or hours", m[1])
		}
	}
	if n := len(regexp.MustCompile(`(?m)^ +severity: (page|ticket)$`).FindAllString(rules, -1)); n != alerts {
		t.Errorf("%d alerts, %d severities", alerts, n)
	}
}

func TestTheRunbookHasASectionForEachAlertOfAzureMonitor(t *testing.T) {
	t.Parallel()
	_, list, _ := strings.Cut(azureFile(t, "modules/alerts.bicep"), "\nvar platform = [")
	list, _, _ = strings.Cut(list, "\n]\n")
	_, section, _ := strings.Cut(string(deployFile(t, "RUNBOOK.md")), "\n## Alerts of Azure Monitor\n")
	names := regexp.MustCompile(`(?m)^    name: '([a-z-]+)'$`).FindAllStringSubmatch(list, -1)
	if len(names) == 0 || len(names) != strings.Count(section, "\n### ") {
		t.Errorf("%d alerts, %d sections", len(names), strings.Count(section, "\n### "))
	}
	for _, m := range names {
		_, text, _ := strings.Cut(section, "\n### "+m[1]+"\n")
		text, _, _ = strings.Cut(text, "\n### ")
		for _, part := range []string{"**Meaning.**", "**First look.**", "**What to do.**", "**Verify.**"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: the section lacks %s", m[1], part)
			}
		}
	}
}

// The script runs in the agent's container, where the platform's signal reaches it and the worker at once.
func TestAzureAgentOutlivesTheDrain(t *testing.T) {
	t.Parallel()
	text := azureFile(t, "modules/app.bicep")
	_, script, _ := strings.Cut(text, "var agentScript = replace('''")
	script, _, found := strings.Cut(script, "'''")
	if !found {
		t.Fatal("no script")
	}
	for name, c := range map[string]struct{ answers, asked int }{"a drain of 3 s": {3, 4}, "a drain without end": {100, 5}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := runAgent(t, strings.ReplaceAll(script, "__SECONDS__", "5"), c.answers)
			asked := 0
			for _, l := range lines {
				if l == "asked" {
					asked++
				}
			}
			if asked != c.asked || len(lines) == 0 || lines[len(lines)-1] != "agent ended" {
				t.Errorf("%q", lines)
			}
		})
	}
}

// runAgent runs the script with stand-ins for what it calls, sends it the stop signal once its agent runs, and returns what the
// stand-ins said. The worker answers so many times.
func runAgent(t *testing.T, script string, answers int) (lines []string) {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string]string{
		"prometheus": `trap 'echo agent ended; exit 0' TERM; echo started; i=0; while [ $i -lt 600 ]; do i=$((i+1)); /bin/sleep 0.05; done`,
		"wget":       `echo asked; n=$(cat asked 2>/dev/null || echo 0); echo $((n+1)) >asked; [ "$n" -lt ` + strconv.Itoa(answers) + ` ]`,
		"sleep":      `:`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + dir + ":/usr/bin:/bin"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		if scanner.Text() == "started" {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			continue
		}
		lines = append(lines, scanner.Text())
	}
	_ = cmd.Wait() // the status is that of the agent, or of the signal
	return lines
}
