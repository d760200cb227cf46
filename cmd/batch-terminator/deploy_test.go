package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"

	"batchterminator/cmd/internal/app"
)

// placement is what a file of deploy/ says of one worker process.
type placement struct {
	env    map[string]string
	grace  time.Duration // from the stop signal until the platform kills
	port   int           // where the platform looks
	probes []string      // the paths that it asks for
}

// platformVariables are read by the runtime or by the Azure SDK, and are no settings of ours.
var platformVariables = []string{"GOMEMLIMIT", "AZURE_CLIENT_ID"}

// check holds the file to what the worker does: it would start with these variables, knows each of them, drains within the
// grace, and answers on the port and under the paths.
func (d placement) check(t *testing.T) {
	t.Helper()
	known := settingVariables(t)
	var environment app.Environment
	for _, name := range slices.Sorted(maps.Keys(d.env)) {
		if !slices.Contains(known, name) && !slices.Contains(platformVariables, name) {
			t.Errorf("%s is no setting of run", name)
		}
		environment = append(environment, name+"="+d.env[name])
	}
	var cli commandLine
	if _, err := app.Parse(&cli, app.Command{Name: name, Env: environment, Stdout: io.Discard}, []string{"run"}); err != nil {
		t.Fatal(err)
	}
	s := cli.Run.Settings
	process, err := app.Build(s, app.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if s.Worker.Grace != d.grace {
		t.Errorf("the platform kills after %v, the worker counts on %v", d.grace, s.Worker.Grace)
	}
	if want := app.Defaults().Operation.Listen; s.Operation.Listen != want || d.port != 9090 || want != ":9090" {
		t.Errorf("the platform looks at port %d, the worker listens on %s", d.port, s.Operation.Listen)
	}
	if got, want := s.Operation.Control, app.Defaults().Operation.Control; got != want {
		t.Errorf("the worker is controlled over %s, not %s", got, want)
	}
	if len(d.probes) == 0 {
		t.Error("nothing is probed")
	}
	for _, path := range d.probes {
		answer := httptest.NewRecorder()
		process.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if answer.Code != http.StatusOK && answer.Code != http.StatusServiceUnavailable {
			t.Errorf("%s answers %d", path, answer.Code)
		}
	}
}

// settingVariables are those that run --help names.
func settingVariables(t *testing.T) (names []string) {
	t.Helper()
	var r recorded
	if code := run(t.Context(), []string{"run", "--help"}, nil, strings.NewReader(""), &r.out, &r.err); code != exitOK {
		t.Fatalf("run --help: exit code %d: %s", code, r.err.String())
	}
	for _, match := range regexp.MustCompile(`\$([A-Z][A-Z_]+)`).FindAllStringSubmatch(r.out.String(), -1) {
		names = append(names, match[1])
	}
	if len(names) < 20 {
		t.Fatalf("run --help names only %q", names)
	}
	return names
}

func deployFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fromYAML reads a file into a value as encoding/json would, which folds case.
func fromYAML(t *testing.T, name string, into any) {
	t.Helper()
	var value any
	err := yaml.Unmarshal(deployFile(t, name), &value)
	if err == nil {
		var text []byte
		if text, err = json.Marshal(value); err == nil {
			err = json.Unmarshal(text, into)
		}
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

type probe struct{ HTTPGet struct{ Path string } }

func TestKubernetesRunsTheWorkerAsItIs(t *testing.T) {
	t.Parallel()
	var d struct {
		Spec struct {
			Template struct {
				Spec struct {
					TerminationGracePeriodSeconds int
					SecurityContext               struct{ RunAsUser int }
					Containers                    []struct {
						Args                                        []string
						Env                                         []struct{ Name, Value string }
						Ports                                       []struct{ ContainerPort int }
						StartupProbe, LivenessProbe, ReadinessProbe probe
					}
				}
			}
		}
	}
	fromYAML(t, "kubernetes/base/deployment.yaml", &d)
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	env := map[string]string{}
	for line := range strings.Lines(string(deployFile(t, "kubernetes/production/settings.env"))) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			env[name] = value
		}
	}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	placement{
		env: env, grace: time.Duration(pod.TerminationGracePeriodSeconds) * time.Second, port: c.Ports[0].ContainerPort,
		probes: []string{c.StartupProbe.HTTPGet.Path, c.LivenessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path},
	}.check(t)
	if !slices.Equal(c.Args, []string{"run"}) {
		t.Errorf("args are %q", c.Args)
	}
	if c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Errorf("liveness asks %s and readiness %s: a restart cures no outage", c.LivenessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path)
	}
	if want := imageUser(t); strconv.Itoa(pod.SecurityContext.RunAsUser) != want {
		t.Errorf("the pod runs as %d, the image as %s", pod.SecurityContext.RunAsUser, want)
	}
}

func TestComposeRunsTheWorkerAsItIs(t *testing.T) {
	t.Parallel()
	var d struct {
		Services map[string]struct {
			Command         []string
			Environment     map[string]string
			StopGracePeriod string `json:"stop_grace_period"`
			Ports           []string
		}
	}
	fromYAML(t, "local/compose.yaml", &d)
	worker := d.Services["worker"]
	grace, err := time.ParseDuration(worker.StopGracePeriod)
	if err != nil {
		t.Fatal(err)
	}
	port := 0
	if slices.Contains(d.Services["sandbox"].Ports, "127.0.0.1:9090:9090") { // the worker shares its network
		port = 9090
	}
	placement{env: worker.Environment, grace: grace, port: port, probes: []string{"/readyz"}}.check(t)
	if !slices.Equal(worker.Command, []string{"run"}) {
		t.Errorf("the command is %q", worker.Command)
	}
	if !maps.Equal(worker.Environment, d.Services["send"].Environment) {
		t.Error("send is not connected as the worker is")
	}
}

func TestImageStartsTheWorker(t *testing.T) {
	t.Parallel()
	text := string(deployFile(t, "Dockerfile"))
	for _, want := range []string{"-X main.version=$VERSION -X main.revision=$REVISION", "./cmd/batch-terminator", "CGO_ENABLED=0", "-trimpath",
		"\nFROM scratch\n", "\nENV GOGC=400\n", "\nEXPOSE 9090\n", "\nENTRYPOINT [\"/batch-terminator\"]\nCMD [\"run\"]\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
	if user := imageUser(t); user != "65532" {
		t.Errorf("the image runs as %s", user)
	}
	// The sandbox's is built alike.
	base := regexp.MustCompile(`(?m)^ARG GO_IMAGE=.*$`).FindString(text)
	if base == "" || !strings.Contains(string(deployFile(t, "local/sandbox.Dockerfile")), base) {
		t.Errorf("the two Dockerfiles are not both built with %q", base)
	}
}

func imageUser(t *testing.T) string {
	t.Helper()
	user := regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`).FindSubmatch(deployFile(t, "Dockerfile"))
	if user == nil || !bytes.Equal(user[1], user[2]) {
		t.Fatal("the Dockerfile names no user by number")
	}
	return string(user[1])
}
