package app

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testKey      = "c2VjcmV0LWtleS1vZi10aGUtdGVzdA=="
	testEmulator = "Endpoint=sb://localhost;SharedAccessKeyName=Root;SharedAccessKey=" + testKey + ";UseDevelopmentEmulator=true;"
	testAccount  = "https://acme.westeurope.batch.azure.com"
)

// parse is a start with one command, as both commands of this module make it.
func parse(t *testing.T, env Environment, args ...string) (Settings, []string) {
	t.Helper()
	var grammar struct {
		Run struct {
			Settings Settings `embed:""`
		} `cmd:""`
	}
	var help strings.Builder
	_, err := Parse(&grammar, Command{Name: "test", Env: env, Stdout: &help}, append([]string{"run"}, args...))
	if err != nil {
		return grammar.Run.Settings, strings.Split(err.Error(), "\n")
	}
	return grammar.Run.Settings, nil
}

// valid is the least that a start needs.
var valid = Environment{"SERVICEBUS_NAMESPACE=example.servicebus.windows.net", "BATCH_ENDPOINT=" + testAccount}

// emulated is settings for an emulator on this machine and no admin server.
func emulated() Settings {
	s := Defaults()
	s.ServiceBus.ConnectionString = testEmulator
	s.Batch.Endpoints = []string{"http://localhost:5681"}
	s.Operation.Listen, s.Operation.Control = "", ControlOff
	return s
}
