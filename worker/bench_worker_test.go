package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"batchterminator/batchapi"
	"batchterminator/handler"
	"batchterminator/metrics"
	"batchterminator/worker"
)

// subject is the worker as production runs it: metrics are kept, and each delivery's line is written, to nowhere.
type subject struct {
	stop  context.CancelFunc
	ended chan worker.Report
}

// policyOf makes the handler of a worker with these gates.
type policyOf func(endpoint string, gates *worker.Gates) (worker.Handler, error)

func startWorker(connectionString, endpoint string, concurrency int, policy policyOf) (*subject, error) {
	config := worker.Defaults()
	config.ServiceBus = worker.ServiceBus{ConnectionString: connectionString, Queue: "worker"}
	config.Concurrency = concurrency
	config.Metrics = metrics.New(prometheus.NewRegistry(), "benchmark", []string{endpoint})
	config.Log = quietly()
	config.Gates = worker.NewGates([]string{endpoint}, 0, config.Metrics, config.Log)
	var err error
	if config.Handler, err = policy(endpoint, config.Gates); err != nil {
		return nil, err
	}
	w, err := worker.New(config)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &subject{stop: stop, ended: make(chan worker.Report, 1)}
	go func() { s.ended <- w.Run(ctx) }()
	return s, nil
}

// startSubject starts a worker that ends with the benchmark.
func startSubject(b *testing.B, connectionString, endpoint string, concurrency int, policy policyOf) {
	b.Helper()
	s, err := startWorker(connectionString, endpoint, concurrency, policy)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.end)
}

func (s *subject) end() {
	s.stop()
	<-s.ended
}

// quietly encodes every line as production does and drops it.
func quietly() *zap.Logger {
	config := zap.NewProductionEncoderConfig()
	config.TimeKey, config.EncodeTime, config.EncodeDuration = "time", zapcore.RFC3339NanoTimeEncoder, zapcore.StringDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(config), zapcore.Lock(zapcore.AddSync(io.Discard)), zapcore.InfoLevel))
}

// taking is a policy that takes its time and succeeds: what is left is the worker alone.
func taking(d time.Duration) policyOf {
	return func(endpoint string, _ *worker.Gates) (worker.Handler, error) { return pause{endpoint, d}, nil }
}

type pause struct {
	endpoint string
	d        time.Duration
}

func (p pause) Handle(context.Context, handler.Message) handler.Result {
	if p.d > 0 {
		time.Sleep(p.d)
	}
	return handler.Result{Outcome: handler.Terminated, Attempts: 1, Status: 204, Request: handler.Request{Endpoint: p.endpoint, JobID: "nightly", TaskID: "frame"}}
}

// calling is the policy of production over real HTTP.
func calling(concurrency int) policyOf {
	return func(endpoint string, gates *worker.Gates) (worker.Handler, error) {
		client, err := batchapi.NewClient(endpoint, nil, &batchapi.ClientOptions{AllowLoopbackHTTP: true, MaxConnsPerHost: concurrency})
		if err != nil {
			return nil, err
		}
		return handler.New(handler.Config{
			Accounts: map[string]handler.Account{client.Endpoint(): client}, Default: client.Endpoint(), Gate: gates, Retry: handler.DefaultRetry,
		})
	}
}

// serveWorker is a worker in a process of its own, so that its memory can be told from that of everything else. It tells
// how much it has ever had in memory, in bytes.
func serveWorker() error {
	s, err := startWorker(os.Getenv("SERVICEBUS_CONNECTION_STRING"), os.Getenv("BATCH_ENDPOINT"), plenty, calling(plenty))
	if err != nil {
		return err
	}
	defer s.end()
	return serveLines(os.Stdin, os.Stdout, "ready", func([]string) (any, error) { return mostResident() })
}

// mostResident reads the high-water mark of this process (proc_pid_status(5)): that of getrusage would begin with the
// parent's.
func mostResident() (bytes int64, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(status), "VmHWM:")
	if !ok {
		return 0, errors.New("no VmHWM in /proc/self/status")
	}
	if _, err := fmt.Sscan(rest, &bytes); err != nil {
		return 0, err
	}
	return bytes << 10, nil
}
