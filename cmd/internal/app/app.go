package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"batchterminator/batchapi"
	"batchterminator/cmd/internal/tracing"
	"batchterminator/handler"
	"batchterminator/metrics"
	"batchterminator/worker"
)

// Deps is what the process needs beside its settings; tests and the sandbox swap the network in it.
type Deps struct {
	Log *zap.Logger
	// Registry takes the process's series and must not hold any of them yet.
	Registry *prometheus.Registry
	// Version goes into the build_info series.
	Version string
	// LogLinesDropped counts the lines that Log could not write; nil where that is not known.
	LogLinesDropped func() int64
	// LogLevel is the level of Log, to be changed while the process runs; nil where it cannot be.
	LogLevel *zap.AtomicLevel
	// Dial replaces the Service Bus SDK's own dialling; nil in production.
	Dial func(context.Context) (net.Conn, error)
	// Transport returns the transport to a Batch endpoint; nil, or a nil result, takes package batchapi's own.
	Transport func(endpoint string) policy.Transporter
	// Tracer makes the spans of deliveries and Batch calls; nil for none.
	Tracer trace.Tracer
}

// App is the wired process. Use it once.
type App struct {
	listen    string
	log       *zap.Logger
	worker    *worker.Worker
	clients   map[string]*batchapi.Client
	endpoints int
	identity  *watchedIdentity
	scrapes   *scrapes
	lingers   time.Duration
	admin     http.Handler
	control   *control

	controlAddress string // as set

	mu        sync.Mutex
	addr      string // where the admin server listens, under mu; written by Run
	controlAt string // where the control server does, under mu; written by Run
}

// Build checks the settings and wires the process. Nothing is dialled, and no token is asked for.
func Build(s Settings, d Deps) (*App, error) {
	if d.Log == nil || d.Registry == nil {
		return nil, errors.New("app: log and registry are required")
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	list, _ := s.parseEndpoints() // Validate has reported its errors
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.canonical
	}
	credential, err := s.credential(list)
	if err != nil {
		return nil, err
	}
	identity := watchIdentity(credential)
	if credential != nil {
		credential = identity
	}
	m := metrics.New(d.Registry, d.Version, names)
	clients, err := s.clients(list, credential, d.Transport, d.steps(m))
	if err != nil {
		return nil, err
	}
	gates := worker.NewGates(names, s.Batch.Rate, m, d.Log)
	h, err := handler.New(s.handler(names[0], clients, gates))
	if err != nil {
		return nil, err
	}
	w, err := worker.New(s.worker(credential, d, h, gates, m))
	if err != nil {
		return nil, err
	}
	a := &App{listen: s.Operation.Listen, log: d.Log, worker: w, clients: clients, endpoints: len(list), identity: identity, scrapes: newScrapes(), lingers: s.Operation.Linger}
	a.controlAddress = s.Operation.Control
	a.control = newControl(w, gates, d.LogLevel, d.Log, a.Status)
	a.admin = newAdmin(d.Registry, a.scrapes, a.Health, a.Status)
	m.Follow(func() metrics.State { return state(w.Status(), a.Status(), w.Demand(), d.LogLinesDropped) })
	return a, nil
}

// state is what the series of state show of a process.
func state(s worker.Status, r Readiness, demand time.Duration, dropped func() int64) metrics.State {
	now := metrics.State{Attached: s.Attached, CredentialUsable: r.Checks.Credential.OK, Paused: s.Paused != nil, Demand: demand}
	if dropped != nil {
		now.LogLinesDropped = dropped()
	}
	return now
}

// steps are what each Batch call passes on its way.
func (d Deps) steps(m *metrics.Metrics) func(endpoint string) []policy.Policy {
	return func(endpoint string) (steps []policy.Policy) {
		if d.Tracer != nil {
			steps = append(steps, tracing.Attempts{Tracer: d.Tracer})
		}
		return append(steps, counter{endpoint, m, d.Tracer != nil})
	}
}

func (s *Settings) needsCredential(list []endpoint) bool { return len(s.hosts(list)) > 0 }

// hosts are the hosts that see a token.
func (s *Settings) hosts(list []endpoint) (hosts []string) {
	if s.ServiceBus.Namespace != "" {
		hosts = append(hosts, s.ServiceBus.Namespace)
	}
	for _, e := range list {
		if !e.loopback {
			hosts = append(hosts, e.host())
		}
	}
	return hosts
}

// credential returns the one credential for Service Bus and Batch, nil when neither needs it.
func (s *Settings) credential(list []endpoint) (azcore.TokenCredential, error) {
	if !s.needsCredential(list) {
		return nil, nil
	}
	return newCredential(s.hosts(list))
}

func (s *Settings) handler(first string, clients map[string]*batchapi.Client, gates *worker.Gates) handler.Config {
	accounts := make(map[string]handler.Account, len(clients))
	for name, client := range clients {
		accounts[name] = client
	}
	return handler.Config{
		Accounts: accounts, Default: first, Gate: gates, Retry: s.Retry.retry(),
		NotFoundDeadLetters:      s.Batch.OnNotFound == "dead-letter",
		ConditionNotMetCompletes: s.Batch.OnConditionNotMet == "complete",
	}
}

func (s *Settings) worker(credential azcore.TokenCredential, d Deps, h *handler.Handler, gates *worker.Gates, m *metrics.Metrics) worker.Config {
	c := worker.Defaults()
	c.ServiceBus = s.serviceBus(credential, d)
	c.Handler, c.Gates, c.Metrics, c.Log, c.Tracer = h, gates, m, d.Log, d.Tracer
	c.Concurrency, c.ReadyBuffer = s.Worker.Concurrency, int(s.Worker.ReadyBuffer)
	c.MaxLock, c.MaxDeliveryCount, c.Grace = s.Worker.MaxLock, s.Worker.MaxDeliveryCount, s.Worker.Grace
	c.Redelivery = s.Retry.redelivery()
	return c
}

func (r RetrySettings) retry() handler.Retry {
	return handler.Retry{Attempts: r.Attempts, Initial: r.Initial, Max: r.Max, Budget: r.Budget, MaxWait: r.MaxInProcessWait}
}

func (r RetrySettings) redelivery() handler.Redelivery {
	return handler.Redelivery{Initial: r.RedeliveryInitial, Max: r.RedeliveryMax, MaxAge: r.MaxAge, MaxCount: r.MaxRedeliveries}
}

// farewell bounds the end of the admin server; it is part of the time that package worker leaves at the end of the grace, but
// after a wait for a scrape: that leaves time for this, for the last spans and for the log.
const farewell = 500 * time.Millisecond

// Run serves and works until ctx ends, drains, and returns how that went. Its errors are that the admin address cannot be
// bound, before any work, and worker.ErrStuck.
func (a *App) Run(ctx context.Context) (worker.Report, error) {
	stop, err := a.serve()
	if err != nil {
		return worker.Report{}, err
	}
	defer stop()
	stopControl := a.serveControl()
	report := a.worker.Run(ctx)
	stopControl()
	for _, client := range a.clients {
		client.CloseIdleConnections()
	}
	a.scrapes.await(min(a.lingers, report.Spare-farewell-tracing.Farewell-sinkFarewell))
	return report, report.Stuck
}

// serve starts the admin server, if there is to be one. The returned function ends it and waits.
func (a *App) serve() (stop func(), err error) {
	if a.listen == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", a.listen)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting("listen", "LISTEN"), err)
	}
	a.mu.Lock()
	a.addr = listener.Addr().String()
	a.mu.Unlock()
	a.log.Info("serving metrics and health", zap.String("address", listener.Addr().String()))
	server := newServer(a.admin, a.log)
	var owner sync.WaitGroup
	owner.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the server of metrics and health ended", zap.Error(err))
		}
	})
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		defer cancel()
		if err := cmp.Or(server.Shutdown(ctx), server.Close()); err != nil {
			a.log.Debug("the server of metrics and health ended with a request under way", zap.Error(err))
		}
		owner.Wait()
	}, nil
}

// AdminAddr returns where /metrics, /healthz and /readyz are served, "" before Run has bound it.
func (a *App) AdminAddr() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addr
}

// Handler serves /metrics, /healthz and /readyz, for who brings a server of their own.
func (a *App) Handler() http.Handler { return a.admin }
