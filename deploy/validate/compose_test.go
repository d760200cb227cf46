package validate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const local = "../local"

// project loads files as docker compose config does.
func project(t *testing.T, env []string, files ...string) (*types.Project, error) {
	t.Helper()
	for i, file := range files {
		if !filepath.IsAbs(file) {
			files[i] = filepath.Join(local, file)
		}
	}
	options, err := cli.NewProjectOptions(files, cli.WithEnv(env), cli.WithProfiles([]string{"*"}), cli.WithWorkingDirectory(local))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

var accepted = []string{"ACCEPT_EULA=Y", "MSSQL_SA_PASSWORD=of-a-test"}

func TestComposeFilesAreRead(t *testing.T) {
	for name, c := range map[string]struct{ files, services []string }{
		"sandbox":  {[]string{"compose.yaml"}, []string{"grafana", "prometheus", "sandbox", "send", "worker"}},
		"emulator": {[]string{"compose.yaml", "emulator.yaml"}, []string{"grafana", "prometheus", "sandbox", "send", "servicebus", "sql", "worker"}},
	} {
		p, err := project(t, accepted, c.files...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := p.ServiceNames(); !slices.Equal(got, c.services) {
			t.Errorf("%s: services %v, want %v", name, got, c.services)
		}
		taken := map[string]string{}
		for _, s := range p.Services {
			for _, v := range s.Volumes {
				if v.Type != types.VolumeTypeBind {
					continue
				}
				// Docker would make a folder of a file that is not there.
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %s mounts %v", name, s.Name, err)
				}
			}
			for _, port := range s.Ports {
				if port.HostIP != "127.0.0.1" {
					t.Errorf("%s: port %s of %s is open to the network", name, port.Published, s.Name)
				}
				if other := taken[port.Published]; other != "" {
					t.Errorf("%s: %s and %s publish port %s", name, other, s.Name, port.Published)
				}
				taken[port.Published] = s.Name
			}
			if s.Build != nil {
				if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
					t.Errorf("%s: %s builds %v", name, s.Name, err)
				}
			}
		}
	}
}

func TestTheEmulatorTakesTheWorkersConnection(t *testing.T) {
	p, err := project(t, accepted, "compose.yaml", "emulator.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"worker", "send"} {
		environment := p.Services[name].Environment
		if got := environment["SERVICEBUS_CONNECTION_STRING"]; got == nil || !strings.HasPrefix(*got, "Endpoint=sb://servicebus;") {
			t.Errorf("%s is connected to %v", name, got)
		}
		if environment["BATCH_ENDPOINT"] == nil {
			t.Errorf("%s has lost its other settings", name)
		}
	}
}

func TestNobodyAcceptsTermsForTheUser(t *testing.T) {
	if _, err := project(t, nil, "compose.yaml", "emulator.yaml"); err == nil || !strings.Contains(err.Error(), "ACCEPT_EULA") {
		t.Errorf("without ACCEPT_EULA: %v", err)
	}
}

func TestMisspelledComposeFilesAreRefused(t *testing.T) {
	good, err := os.ReadFile(filepath.Join(local, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for is, becomes := range map[string]string{
		"stop_grace_period: 30s": "stop_grace: 30s", "cap_drop: [ALL]": "cap_drop: ALL", "depends_on: [prometheus]": "depends_on: [prometeus]",
		"restart: on-failure": "restart: [on-failure]", "network_mode: service:sandbox": "network_mode: service:sandpit",
	} {
		if !strings.Contains(string(good), is) {
			t.Errorf("compose.yaml has no %s", is)
		}
		file := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(good), is, becomes)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := project(t, nil, file); err == nil {
			t.Errorf("%q in place of %q is accepted", becomes, is)
		}
	}
}
