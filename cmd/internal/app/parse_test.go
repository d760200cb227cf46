package app

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"batchterminator/handler"
	"batchterminator/worker"
)

func TestFlagWinsOverVariableOverDefault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  string
		args []string
		want int
	}{
		{"", nil, 64},
		{"CONCURRENCY=7", nil, 7},
		{"CONCURRENCY=7", []string{"--concurrency=9"}, 9},
		{"CONCURRENCY=", nil, 64}, // platforms set a variable to nothing to mean "not set"
	} {
		s, lines := parse(t, append(Environment{c.env}, valid...), c.args...)
		if lines != nil || s.Worker.Concurrency != c.want {
			t.Errorf("%q %q: concurrency %d, want %d; %q", c.env, c.args, s.Worker.Concurrency, c.want, lines)
		}
	}
}

// A script whose variable is not set: what would be dropped in silence may be a condition, or an account.
func TestWhatIsGivenEmptyIsRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--batch-scope="}, {"--batch-scope", ""}} {
		if _, lines := parse(t, valid, args...); !cmp.Equal(lines, []string{"--batch-scope (BATCH_SCOPE): empty; give a value, or leave it out"}) {
			t.Errorf("%q: %q", args, lines)
		}
	}
}

func TestFlagHidesAWrongVariable(t *testing.T) {
	t.Parallel()
	s, lines := parse(t, append(Environment{"GRACE=soon"}, valid...), "--grace=1m")
	if lines != nil || s.Worker.Grace != time.Minute {
		t.Errorf("grace %v, %q", s.Worker.Grace, lines)
	}
}

func TestProcessEnvironmentIsNotConsulted(t *testing.T) {
	t.Setenv("CONCURRENCY", "7")
	if s, lines := parse(t, valid); lines != nil || s.Worker.Concurrency != 64 {
		t.Errorf("concurrency %d, %q", s.Worker.Concurrency, lines)
	}
}

func TestEverySettingHasAVariableOfItsOwnName(t *testing.T) {
	t.Parallel()
	env := Environment{
		"RATE=2.5", "BATCH_API_VERSION=2024-07-01.20.0", "BATCH_SCOPE=https://example.com//.default",
		"ON_NOT_FOUND=dead-letter", "ON_CONDITION_NOT_MET=complete", "RETRY_ATTEMPTS=2", "RETRY_INITIAL=2s", "RETRY_MAX=3s", "RETRY_BUDGET=4s",
		"MAX_IN_PROCESS_WAIT=5s", "REDELIVERY_INITIAL=6s", "REDELIVERY_MAX=7s", "MAX_AGE=8h", "MAX_REDELIVERIES=9", "CONCURRENCY=40",
		"READY_BUFFER=10", "MAX_LOCK=11m", "MAX_DELIVERY_COUNT=12", "GRACE=13s", "LISTEN=127.0.0.1:0", "LINGER=14s", "CONTROL=[::1]:1", "LOG_LEVEL=debug", "LOG_FORMAT=console",
		"SERVICEBUS_TOPIC=t", "SERVICEBUS_SUBSCRIPTION=s", "SERVICEBUS_NAMESPACE=n.servicebus.windows.net",
		"BATCH_ENDPOINT=" + testAccount + ",https://other.westeurope.batch.azure.com",
	}
	got, lines := parse(t, env)
	if lines != nil {
		t.Fatalf("refused: %q", lines)
	}
	want := Settings{
		ServiceBus:   ServiceBusSettings{Namespace: "n.servicebus.windows.net", Topic: "t"},
		Subscription: "s",
		Batch: BatchSettings{
			Endpoints: []string{testAccount, "https://other.westeurope.batch.azure.com"}, Rate: 2.5, APIVersion: "2024-07-01.20.0",
			Scope: "https://example.com//.default", OnNotFound: "dead-letter", OnConditionNotMet: "complete",
		},
		Retry: RetrySettings{
			Attempts: 2, Initial: 2 * time.Second, Max: 3 * time.Second, Budget: 4 * time.Second, MaxInProcessWait: 5 * time.Second,
			RedeliveryInitial: 6 * time.Second, RedeliveryMax: 7 * time.Second, MaxAge: 8 * time.Hour, MaxRedeliveries: 9,
		},
		Worker:    WorkerSettings{Concurrency: 40, ReadyBuffer: 10, MaxLock: 11 * time.Minute, MaxDeliveryCount: 12, Grace: 13 * time.Second},
		Operation: OperationSettings{Listen: "127.0.0.1:0", Linger: 14 * time.Second, Control: "[::1]:1", LogSettings: LogSettings{LogLevel: "debug", LogFormat: "console"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEverySettingReachesItsPackage(t *testing.T) {
	t.Parallel()
	s, lines := parse(t, append(Environment{
		"ON_NOT_FOUND=dead-letter", "ON_CONDITION_NOT_MET=complete", "RETRY_ATTEMPTS=2", "RETRY_INITIAL=2s", "RETRY_MAX=3s", "RETRY_BUDGET=4s",
		"MAX_IN_PROCESS_WAIT=5s", "REDELIVERY_INITIAL=6s", "REDELIVERY_MAX=7s", "MAX_AGE=8h", "MAX_REDELIVERIES=9", "CONCURRENCY=40",
		"READY_BUFFER=10", "MAX_LOCK=11m", "MAX_DELIVERY_COUNT=12", "GRACE=13s", "SERVICEBUS_TOPIC=t", "SERVICEBUS_SUBSCRIPTION=s",
		"BATCH_API_VERSION=2024-07-01.20.0", "BATCH_SCOPE=https://example.com//.default",
	}, valid...))
	if lines != nil {
		t.Fatalf("refused: %q", lines)
	}
	policy := s.handler(testAccount, nil, nil)
	policy.Accounts, policy.Gate = nil, nil
	wantPolicy := handler.Config{
		Default: testAccount, NotFoundDeadLetters: true, ConditionNotMetCompletes: true,
		Retry: handler.Retry{Attempts: 2, Initial: 2 * time.Second, Max: 3 * time.Second, Budget: 4 * time.Second, MaxWait: 5 * time.Second},
	}
	if diff := cmp.Diff(wantPolicy, policy); diff != "" {
		t.Errorf("handler (-want +got):\n%s", diff)
	}
	mechanism := s.worker(nil, Deps{}, nil, nil, nil)
	mechanism.Handler = nil
	wantMechanism := worker.Config{
		ServiceBus:  worker.ServiceBus{Namespace: "example.servicebus.windows.net", Topic: "t", Subscription: "s"},
		Concurrency: 40, ReadyBuffer: 10, MaxHeldBytes: worker.Defaults().MaxHeldBytes, MaxLock: 11 * time.Minute, MaxDeliveryCount: 12, Grace: 13 * time.Second,
		Redelivery: handler.Redelivery{Initial: 6 * time.Second, Max: 7 * time.Second, MaxAge: 8 * time.Hour, MaxCount: 9},
	}
	if diff := cmp.Diff(wantMechanism, mechanism); diff != "" {
		t.Errorf("worker (-want +got):\n%s", diff)
	}
	calls := s.clientOptions(false)
	if calls.APIVersion != "2024-07-01.20.0" || calls.Scope != "https://example.com//.default" || calls.MaxConnsPerHost != 40 || calls.AllowLoopbackHTTP {
		t.Errorf("batchapi: %+v", calls)
	}
}

func TestDefaultsAreDesigned(t *testing.T) {
	t.Parallel()
	s := Defaults()
	if got := s.Retry.retry(); got != handler.DefaultRetry {
		t.Errorf("retry %+v, want %+v", got, handler.DefaultRetry)
	}
	if got := s.ServiceBus.Entity(); got != DefaultQueue {
		t.Errorf("entity %q", got)
	}
	if s.Worker.ReadyBuffer != worker.Measured {
		t.Errorf("ready buffer %v", s.Worker.ReadyBuffer)
	}
	if s.Operation.Listen != ":9090" || s.Operation.LogLevel != "info" || s.Operation.LogFormat != "json" || s.Batch.Rate != 0 {
		t.Errorf("%+v %+v", s.Operation, s.Batch)
	}
}

func TestHelpIsNoProblem(t *testing.T) {
	t.Parallel()
	var grammar struct {
		Run struct {
			Settings Settings `embed:""`
		} `cmd:""`
	}
	var help strings.Builder
	_, err := Parse(&grammar, Command{Name: "test", Env: Environment{"GRACE=soon"}, Stdout: &help}, []string{"run", "--help"})
	if !errors.Is(err, ErrHelp) || !strings.Contains(help.String(), "$SERVICEBUS_CONNECTION_STRING") {
		t.Errorf("error %v, help:\n%s", err, help.String())
	}
}

func TestOnlyNearMissesOfLongNamesAreTypos(t *testing.T) {
	t.Parallel()
	known := []string{"RATE", "GRACE", "LISTEN", "CONCURRENCY", "BATCH_ENDPOINT", "LOG_LEVEL"}
	for _, c := range []struct {
		name string
		typo bool
	}{
		{"CONCURENCY", true}, {"CONCURRENCYY", true}, {"CONCURRENYC", true}, {"concurrency", true}, {"BATCH_ENDPOINTS", true}, {"LOGLEVEL", true}, {"BATCH-ENDPOINT", true},
		{"CONCURRENCY", false}, {"DATE", false}, {"TRACE", false}, {"RATES", false}, {"CONCUR", false}, {"BATCH_ACCOUNT", false}, {"", false}, {"PATH", false}, {"LOG_LEVELXY", false},
	} {
		if got := Environment.typos(Environment{c.name + "=1"}, known); (len(got) == 1) != c.typo {
			t.Errorf("%q: %v, want a typo: %v", c.name, got, c.typo)
		}
	}
}

func TestSecretNeverShowsInFormattedOutput(t *testing.T) {
	t.Parallel()
	s := emulated()
	js, err := s.ServiceBus.ConnectionString.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %s %q", s, s, s.ServiceBus.ConnectionString, s.ServiceBus.ConnectionString), string(js)} {
		if strings.Contains(shown, testKey) || !strings.Contains(shown, "REDACTED") {
			t.Errorf("shown: %s", shown)
		}
	}
}
