package worker_test

// The whole stack in virtual time: the real Service Bus SDK, the embedded broker, the real HTTP client and the simulated
// Batch account in one bubble. Hours pass in milliseconds. What is asserted comes from the ledgers of the two doubles,
// never from the worker's own counters.

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"
	"batchterminator/handler"
	"batchterminator/metrics"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

const queueName = "terminate-requests"

// stack is everything between a publisher and a task.
type stack struct {
	bus     *servicebustest.Server
	queue   *servicebustest.Queue
	account *batchtest.Account
	logs    *observer.ObservedLogs

	config     worker.Config
	policy     handler.Config
	client     *batchapi.Client
	credential azcore.TokenCredential // of the client
	dial       func(context.Context) (net.Conn, error)
	network    atomic.Pointer[func(context.Context) (net.Conn, error)] // replaces dial while set
	registry   *prometheus.Registry                                    // of the last worker
	worker     *worker.Worker                                          // the last
	status     func() worker.Status                                    // of the last worker
	wrap       func(worker.Handler) worker.Handler                     // nil: the handler as it is
	stop       context.CancelFunc
	struck     chan struct{} // the worker has to die, see poisonous
	reports    chan worker.Report
}

type option func(*stack)

// inBubble runs test with a stack in a bubble of its own. A bubble that neither ends nor moves is ended by go test's -timeout,
// which names it.
func inBubble(t *testing.T, queue servicebustest.QueueConfig, test func(t *testing.T, s *stack), options ...option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStack(t, queue, options...)
		defer s.close(t)
		s.start(t)
		defer s.end() // for a test that fails, as in rig.start
		test(t, s)
		s.end()
		s.holds(t)
	})
}

func newStack(t *testing.T, queue servicebustest.QueueConfig, options ...option) *stack {
	bus, err := servicebustest.Start(servicebustest.WithQueue(queueName, queue))
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{bus: bus, queue: bus.Queue(queueName), account: batchtest.New(), config: worker.Defaults(), dial: bus.Dial, credential: token{}}
	s.account.AddJob("j", batchtest.JobActive)
	s.policy = handler.Config{Retry: handler.DefaultRetry}
	s.config.Concurrency = 8
	for _, o := range options {
		o(s)
	}
	s.client, err = batchapi.NewClient(s.account.Endpoint(), s.credential, &batchapi.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: s.account.Client()}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start begins a worker of its own, as a new replica or a restart would.
func (s *stack) start(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	s.logs = logs
	log := zap.New(core)
	s.registry = prometheus.NewRegistry()
	m := metrics.New(s.registry, "test", []string{s.client.Endpoint()})
	gates := worker.NewGates([]string{s.client.Endpoint()}, 0, m, log)
	policy := s.policy
	policy.Accounts = map[string]handler.Account{s.client.Endpoint(): s.client}
	policy.Default, policy.Gate = s.client.Endpoint(), gates
	h, err := handler.New(policy)
	if err != nil {
		t.Fatal(err)
	}
	config := s.config
	config.Handler, config.Gates, config.Metrics, config.Log = h, gates, m, log
	if s.wrap != nil {
		config.Handler = s.wrap(h)
	}
	config.ServiceBus = worker.ServiceBus{ConnectionString: s.bus.ConnectionString(), Queue: queueName, Dial: s.connect}
	w, err := worker.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	reports := make(chan worker.Report, 1)
	s.worker, s.status, s.stop, s.reports = w, w.Status, cancel, reports
	go func() { reports <- w.Run(ctx) }()
}

// connect is the network between the worker and the broker.
func (s *stack) connect(ctx context.Context) (net.Conn, error) {
	if other := s.network.Load(); other != nil {
		return (*other)(ctx)
	}
	return s.dial(ctx)
}

// end stops the worker as SIGTERM would and returns its report.
func (s *stack) end() worker.Report {
	s.stop()
	report := <-s.reports
	s.reports <- report
	return report
}

func (s *stack) close(t *testing.T) {
	s.client.CloseIdleConnections()
	s.account.Close()
	if err := s.bus.Close(); err != nil {
		t.Error(err)
	}
}

// task adds a running task and a request for it to the queue.
func (s *stack) task(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		s.account.AddTask("j", id, batchtest.TaskRunning)
		s.send(t, id, fmt.Sprintf(`{"jobId":"j","taskId":%q}`, id))
	}
}

func (s *stack) send(t *testing.T, id, body string) {
	t.Helper()
	if _, err := s.queue.Send(servicebustest.Message{ID: id, Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
}

// until lets time pass until the queue is as wished, or fails after the limit.
func (s *stack) until(t *testing.T, limit time.Duration, what string, reached func(servicebustest.Counts) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := s.queue.Wait(ctx, reached); err != nil {
		t.Fatalf("waiting for %s: %v\n%s", what, err, s.transcript())
	}
	synctest.Wait() // the worker hears of a settlement a moment after the queue's state changed
}

func empty(c servicebustest.Counts) bool { return c.Active+c.Locked+c.Scheduled+c.Deferred == 0 }

// transcript renders the worker's log for a failing test.
func (s *stack) transcript() string { return s.entries(30) }

// log renders all of it.
func (s *stack) log() string { return s.entries(s.logs.Len()) }

func (s *stack) entries(last int) string {
	var b strings.Builder
	entries := s.logs.All()
	for _, e := range entries[max(0, len(entries)-last):] {
		fmt.Fprintln(&b, e.Time.Format("15:04:05.000"), e.Level, e.Message, e.ContextMap())
	}
	return b.String()
}

// holds checks what must be true after every test: P1 nothing lost, P3 one identity, P6 no stray call, P10 one recorded
// outcome for each delivery.
func (s *stack) holds(t *testing.T) {
	t.Helper()
	c := s.queue.Counts()
	if c.Accepted != c.Active+c.Locked+c.Deferred+c.Scheduled+c.DeadLettered+c.Completed+c.Expired+c.Cancelled {
		t.Errorf("P1: %+v does not add up", c)
	}
	for _, call := range s.account.Strays() {
		t.Errorf("P6: stray call %s %s", call.Method, call.Path)
	}
	ids := map[string]string{}
	for _, call := range s.account.Calls() {
		id := call.Header.Get("client-request-id")
		task := call.JobID + "/" + call.TaskID
		if before, ok := ids[task]; ok && before != id {
			t.Errorf("P3: task %s was called as %s and as %s", task, before, id)
		}
		ids[task] = id
		if call.Header.Get("ocp-date") == "" || !call.Bearer {
			t.Errorf("P3, P6: call %s without date or token", call.Path)
		}
	}
}

// deliveries returns how often the ledger says that the message was delivered, and how many of those burned a count.
func (s *stack) deliveries(id string) (delivered, burned int) {
	for _, e := range s.queue.History(id) {
		switch e.Kind {
		case servicebustest.EventDelivered:
			delivered++
		case servicebustest.EventAbandoned, servicebustest.EventLockExpired:
			burned++
		}
	}
	return delivered, burned
}

// burned counts the deliveries of all messages that raised a delivery count (P5).
func (s *stack) burned() int {
	return s.events(servicebustest.EventAbandoned, servicebustest.EventLockExpired)
}

// events counts what the broker did with the queue's messages.
func (s *stack) events(kinds ...servicebustest.EventKind) (n int) {
	for _, m := range s.queue.Ledger() {
		for _, e := range m.Events {
			if slices.Contains(kinds, e.Kind) {
				n++
			}
		}
	}
	return n
}

// outcomes counts the outcomes that the worker logged.
func (s *stack) outcomes() map[string]int {
	counts := map[string]int{}
	for _, e := range s.logs.FilterMessage("delivery").All() {
		counts[fmt.Sprint(e.ContextMap()["outcome"])]++
	}
	return counts
}

// deadLetters returns "id: reason" of the dead-letter queue.
func (s *stack) deadLetters() []string {
	var all []string
	for _, m := range s.queue.DeadLettered() {
		all = append(all, m.ID+": "+m.Reason)
	}
	slices.Sort(all)
	return all
}

// token is a credential.
type token struct{}

func (token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "test-token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}
