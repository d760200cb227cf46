package app

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"batchterminator/worker"
)

const namespaceLine = "--namespace (SERVICEBUS_NAMESPACE): want the host only, such as example.servicebus.windows.net"

func TestEachBadSettingHasOneLineThatNamesFlagAndVariable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		arg  string
		want string
	}{
		{"--namespace=sb://other.servicebus.windows.net/", namespaceLine + "; did you mean other.servicebus.windows.net?"},
		{"--namespace=other", namespaceLine + "; did you mean other.servicebus.windows.net?"},
		{"--namespace=other.servicebus.windows.net:5671", namespaceLine + "; did you mean other.servicebus.windows.net?"},
		{"--namespace=a b", namespaceLine},
		{"--namespace=" + testEmulator, namespaceLine + "; a connection string belongs into --connection-string (SERVICEBUS_CONNECTION_STRING)"},
		{"--connection-string=" + testEmulator, "--namespace (SERVICEBUS_NAMESPACE): --connection-string (SERVICEBUS_CONNECTION_STRING) is given too; only one of them may be"},
		{"--queue=two words", `--queue (SERVICEBUS_QUEUE): want 1 to 260 characters without spaces, '\', '?', '#' or '@', got "two words"`},
		{"--queue=q --topic=t --subscription=s", "--queue (SERVICEBUS_QUEUE): --topic (SERVICEBUS_TOPIC) is given too; only one of them may be"},
		{"--topic=t", "--topic (SERVICEBUS_TOPIC): needs --subscription (SERVICEBUS_SUBSCRIPTION) too"},
		{"--subscription=s", "--subscription (SERVICEBUS_SUBSCRIPTION): needs --topic (SERVICEBUS_TOPIC) too"},

		{"--batch-endpoint=http://acme.westeurope.batch.azure.com", `--batch-endpoint (BATCH_ENDPOINT): "http://acme.westeurope.batch.azure.com": must be https; http is for simulators on this machine, with UseDevelopmentEmulator=true in the connection string`},
		{"--batch-endpoint=http://localhost:5681", `--batch-endpoint (BATCH_ENDPOINT): "http://localhost:5681": must be https; http is for simulators on this machine, with UseDevelopmentEmulator=true in the connection string`},
		{"--batch-endpoint=" + testAccount + "/jobs", `--batch-endpoint (BATCH_ENDPOINT): "https://acme.westeurope.batch.azure.com/jobs": must be a scheme and a host only`},
		{"--batch-endpoint=https://user:" + testKey + "@acme.westeurope.batch.azure.com", "--batch-endpoint (BATCH_ENDPOINT): entry 1: must be a scheme and a host only"},
		{"--batch-endpoint=user:" + testKey + "@acme.westeurope.batch.azure.com", "--batch-endpoint (BATCH_ENDPOINT): entry 1: must be a scheme and a host only"},
		{"--batch-endpoint=https://example.com", `--batch-endpoint (BATCH_ENDPOINT): "https://example.com": host "example.com" is not {account}.{region} in a known Batch cloud; a token scope must be set for it`},
		{"--batch-endpoint=" + testAccount + ",https://ACME.westeurope.batch.azure.com/", `--batch-endpoint (BATCH_ENDPOINT): "https://ACME.westeurope.batch.azure.com/": given twice`},
		{"--rate=-0.5", "--rate (RATE): -0.5; want calls per second, 0 for no limit"},
		{"--rate=NaN", "--rate (RATE): NaN; want calls per second, 0 for no limit"},
		{"--rate=+Inf", "--rate (RATE): +Inf; want calls per second, 0 for no limit"},
		{"--rate=fast", `--rate (RATE): want a number, got "fast"`},
		{"--batch-api-version=latest", `--batch-api-version (BATCH_API_VERSION): want a version such as 2025-06-01, got "latest"`},
		{"--batch-scope=batch", `--batch-scope (BATCH_SCOPE): want https://<resource>/.default, got "batch"`},
		{"--on-not-found=ignore", `--on-not-found (ON_NOT_FOUND): want complete or dead-letter, got "ignore"`},
		{"--on-condition-not-met=", "--on-condition-not-met (ON_CONDITION_NOT_MET): empty; give a value, or leave it out"},

		{"--retry-attempts=0", "--retry-attempts (RETRY_ATTEMPTS): 0; want 1 to 20"},
		{"--retry-attempts=21", "--retry-attempts (RETRY_ATTEMPTS): 21; want 1 to 20"},
		{"--retry-initial=0s", "--retry-initial (RETRY_INITIAL): 0s; want at least 1ms"},
		{"--retry-max=999ms", "--retry-max (RETRY_MAX): 999ms; want at least --retry-initial, 1s"},
		{"--retry-budget=0s", "--retry-budget (RETRY_BUDGET): 0s; want more than 0s"},
		{"--max-in-process-wait=-1s", "--max-in-process-wait (MAX_IN_PROCESS_WAIT): -1s; want at least 0s"},
		{"--redelivery-initial=0s", "--redelivery-initial (REDELIVERY_INITIAL): 0s; want at least 1s"},
		{"--redelivery-max=29s", "--redelivery-max (REDELIVERY_MAX): 29s; want at least --redelivery-initial, 30s"},
		{"--max-age=29s", "--max-age (MAX_AGE): 29s; want at least --redelivery-initial, 30s"},
		{"--max-redeliveries=-1", "--max-redeliveries (MAX_REDELIVERIES): -1; want at least 0"},

		{"--concurrency=0", "--concurrency (CONCURRENCY): 0; want 1 to 1000"},
		{"--concurrency=1001", "--concurrency (CONCURRENCY): 1001; want 1 to 1000"},
		{"--concurrency=1e3", `--concurrency (CONCURRENCY): want a whole number, got "1e3"`},
		{"--ready-buffer=17", "--ready-buffer (READY_BUFFER): 17; want measured, or 0 to 16, a quarter of --concurrency"},
		{"--ready-buffer=-1", `--ready-buffer (READY_BUFFER): want measured or a number from 0, got "-1"`},
		{"--max-lock=59s", "--max-lock (MAX_LOCK): 59s; want at least 1m0s"},
		{"--max-lock=94s", "--max-lock (MAX_LOCK): 1m34s is shorter than one delivery may take: --retry-budget and one call are 1m35s"},
		{"--max-delivery-count=1", "--max-delivery-count (MAX_DELIVERY_COUNT): 1; want at least 2, or the death of a worker dead-letters what it holds"},
		{"--grace=6.9s", "--grace (GRACE): 6.9s; a drain needs at least 7s"},
		{"--grace", "--grace (GRACE): needs a value"},
		{"--grace=30", `--grace (GRACE): want a duration such as 500ms, 30s or 15m, got "30"`},

		{"--linger=-1s", "--linger (LINGER): -1s; want at least 0s"},
		{"--listen=9090", `--listen (LISTEN): want host:port or :port, got "9090"`},
		{"--listen=:metrics", `--listen (LISTEN): want host:port or :port, got ":metrics"`},
		{"--log-level=loud", `--log-level (LOG_LEVEL): want debug, info, warn or error, got "loud"`},
		{"--log-format=xml", `--log-format (LOG_FORMAT): want json or console, got "xml"`},
		{"--concurency=3", `unknown flag --concurency, did you mean "--concurrency"?`},
		{"--batch-endpoint=https://acme.chinaeast.batch.chinacloudapi.cn", "the Service Bus namespace and the Batch endpoints are in different Azure clouds; one process signs in to one cloud"},
	} {
		args := []string{c.arg}
		if strings.Contains(c.arg, " --") {
			args = strings.Fields(c.arg)
		}
		_, lines := parse(t, valid, args...)
		if diff := cmp.Diff([]string{c.want}, lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.arg, diff)
		}
	}
}

func TestWrongValuesOfVariablesAreAllReported(t *testing.T) {
	t.Parallel()
	env := append(Environment{"GRACE=soon", "RATE=fast", "MAX_AGE=1s", "READY_BUFFER=some", "BATCH_ENDPOINTS=x", "LOG_LEVL=info"}, valid...)
	_, lines := parse(t, env)
	want := []string{
		"BATCH_ENDPOINTS: unknown environment variable; did you mean BATCH_ENDPOINT?",
		"LOG_LEVL: unknown environment variable; did you mean LOG_LEVEL?",
		`--rate (RATE): want a number, got "fast"`,
		`--ready-buffer (READY_BUFFER): want measured or a number from 0, got "some"`,
		`--grace (GRACE): want a duration such as 500ms, 30s or 15m, got "soon"`,
		"--max-age (MAX_AGE): 1s; want at least --redelivery-initial, 30s",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConnectionStringProblemsNeverRepeatIt(t *testing.T) {
	t.Parallel()
	const line = "--connection-string (SERVICEBUS_CONNECTION_STRING): "
	for _, c := range []struct{ value, want string }{
		{"SharedAccessKey=" + testKey, line + "no Endpoint=sb://<namespace>/"},
		{"Endpoint=sb://localhost;SharedAccessKey=" + testKey, line + "not one of Service Bus; want Endpoint, SharedAccessKeyName and SharedAccessKey, or SharedAccessSignature"},
		{testEmulator + "EntityPath=orders", line + `it is for the entity "orders"; name that with --queue (SERVICEBUS_QUEUE) or --topic (SERVICEBUS_TOPIC)`},
	} {
		_, lines := parse(t, Environment{"SERVICEBUS_CONNECTION_STRING=" + c.value, "BATCH_ENDPOINT=" + testAccount})
		if diff := cmp.Diff([]string{c.want}, lines); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if strings.Contains(strings.Join(lines, "\n"), testKey) {
			t.Errorf("the key is repeated: %q", lines)
		}
	}
}

// The packages below have the last word. What is refused here must be refused there, and what is accepted here accepted
// there, or a start would fail in words that name no flag.
func TestBoundsAreThoseOfThePackagesBelow(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]struct{ last, beyond func(*Settings) }{
		"grace":       {func(s *Settings) { s.Worker.Grace = leastGrace }, func(s *Settings) { s.Worker.Grace = leastGrace - 1 }},
		"concurrency": {func(s *Settings) { s.Worker.Concurrency = 1000 }, func(s *Settings) { s.Worker.Concurrency = 1001 }},
		"buffer":      {func(s *Settings) { s.Worker.ReadyBuffer = 16 }, func(s *Settings) { s.Worker.ReadyBuffer = 17 }},
		"lock":        {func(s *Settings) { s.Retry.Budget, s.Worker.MaxLock = time.Second, time.Minute }, func(s *Settings) { s.Worker.MaxLock = time.Minute - 1 }},
		"deliveries":  {func(s *Settings) { s.Worker.MaxDeliveryCount = 2 }, func(s *Settings) { s.Worker.MaxDeliveryCount = 1 }},
		"attempts":    {func(s *Settings) { s.Retry.Attempts = 1 }, func(s *Settings) { s.Retry.Attempts = 0 }},
		"waits":       {func(s *Settings) { s.Retry.Max = s.Retry.Initial }, func(s *Settings) { s.Retry.Max = s.Retry.Initial - 1 }},
		"budget":      {func(s *Settings) { s.Retry.Budget = 1 }, func(s *Settings) { s.Retry.Budget = 0 }},
		"wait":        {func(s *Settings) { s.Retry.MaxInProcessWait = 0 }, func(s *Settings) { s.Retry.MaxInProcessWait = -1 }},
		"redelivery":  {func(s *Settings) { s.Retry.RedeliveryMax = s.Retry.RedeliveryInitial }, func(s *Settings) { s.Retry.RedeliveryMax = s.Retry.RedeliveryInitial - 1 }},
		"age":         {func(s *Settings) { s.Retry.MaxAge = s.Retry.RedeliveryInitial }, func(s *Settings) { s.Retry.MaxAge = s.Retry.RedeliveryInitial - 1 }},
		"count":       {func(s *Settings) { s.Retry.MaxRedeliveries = 1 }, func(s *Settings) { s.Retry.MaxRedeliveries = -1 }},
	} {
		s := emulated()
		set.last(&s)
		if _, err := Build(s, Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()}); err != nil {
			t.Errorf("%s: the last value allowed is refused: %v", name, err)
		}
		s = emulated()
		set.beyond(&s)
		if s.Validate() == nil {
			t.Errorf("%s: the first value beyond is accepted here", name)
		}
		c := s.worker(nil, Deps{}, nil, nil, nil)
		if c.Validate() == nil && s.Retry.retry().Validate() == nil {
			t.Errorf("%s: the packages below would accept what is refused here", name)
		}
	}
}

func TestDefaultsAreThoseOfThePackagesBelow(t *testing.T) {
	t.Parallel()
	s := Defaults()
	got := s.worker(nil, Deps{}, nil, nil, nil)
	got.ServiceBus, got.Handler = worker.ServiceBus{}, nil
	if diff := cmp.Diff(worker.Defaults(), got, cmp.AllowUnexported(worker.ServiceBus{})); diff != "" {
		t.Errorf("(-package worker +ours):\n%s", diff)
	}
}
