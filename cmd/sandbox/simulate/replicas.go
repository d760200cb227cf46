package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/prometheus/client_golang/prometheus"

	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/sandbox/verdict"
)

// connectionString has a signature instead of a key. With a key the SDK renews its claims every two hours, on three
// goroutines that wait for each other under a mutex: let the broker be slow or dark just then, and virtual time stands.
const connectionString app.Secret = "Endpoint=sb://localhost;SharedAccessSignature=SharedAccessSignature sr=localhost&sig=c2lnbmVk&se=4102444800&skn=simulated;UseDevelopmentEmulator=true"

// replica is one worker process.
type replica struct {
	life     verdict.Worker
	registry *prometheus.Registry
	network  *network
	stop     context.CancelFunc
	ended    chan struct{} // closed when nothing of it runs any more; life is complete then
	recorded int           // outcomes, when it was killed
}

// fleet is all replicas. Its fields belong to the goroutine that plays the agenda, but for what belongs to replicas.
type fleet struct {
	simulation *simulation
	live       []*replica
	all        []*replica
	draining   sync.WaitGroup
}

// start brings one more worker up, wired as in production but for its network.
func (f *fleet) start() {
	s := f.simulation
	r := &replica{registry: prometheus.NewRegistry(), network: &network{conns: map[net.Conn]bool{}}, ended: make(chan struct{})}
	settings := app.Defaults()
	settings.ServiceBus.ConnectionString = connectionString
	settings.Batch.Endpoints = []string{endpoint}
	settings.Worker.Concurrency = concurrency
	settings.Operation.Listen, settings.Operation.Control = "", app.ControlOff
	process, err := app.Build(settings, app.Deps{
		Log: s.log, Registry: r.registry, Version: "simulated",
		Dial:      func(ctx context.Context) (net.Conn, error) { return r.network.dial(ctx, s.bus.Dial) },
		Transport: func(string) policy.Transporter { return r.network.client(s.account.Client()) },
	})
	if err != nil {
		panic(fmt.Sprintf("settings of the simulation: %v", err))
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	r.life.Started = time.Now()
	go func() {
		defer close(r.ended)
		report, err := process.Run(ctx)
		if r.network.ended() {
			return // nobody heard of it
		}
		r.life.Ended = time.Now()
		r.life.Said = fmt.Sprintf("%d finished, %d handed back, %d left", report.Finished, report.HandedBack, report.Left)
		if err != nil {
			r.life.Said = err.Error()
		}
	}()
	f.live, f.all = append(f.live, r), append(f.all, r)
}

// client has the connections of an HTTP client go over the network.
func (n *network) client(c *http.Client) *http.Client {
	t := c.Transport.(*http.Transport) //nolint:forcetypeassert // batchtest: a real HTTP client
	next := t.DialContext
	dial := func(ctx context.Context, kind, address string) (net.Conn, error) {
		return n.dial(ctx, func(ctx context.Context) (net.Conn, error) { return next(ctx, kind, address) })
	}
	t.DialContext, t.DialTLSContext = dial, dial
	return c
}

// drain stops the oldest worker as a deployment does, and goes on meanwhile.
func (f *fleet) drain() {
	if len(f.live) == 0 {
		return
	}
	r := f.live[0]
	f.live = f.live[1:]
	r.life.Stopped = time.Now()
	r.stop()
	f.draining.Go(func() { <-r.ended })
}

// kill ends the oldest worker as the kernel does.
func (f *fleet) kill() {
	if len(f.live) == 0 {
		return
	}
	r := f.live[0]
	f.live = f.live[1:]
	select {
	case <-r.ended: // by itself, which is for the verdict to see
		r.life.Stopped = time.Now()
		return
	default:
	}
	r.life.Ended = time.Now()
	r.recorded = recorded(r.registry)
	r.network.end()
	r.stop()
	f.draining.Go(func() { <-r.ended })
}

func (f *fleet) drainAll() {
	for len(f.live) > 0 {
		f.drain()
	}
	f.draining.Wait()
}

// recorded sums the outcomes that a worker has counted.
func recorded(registry *prometheus.Registry) (n int) {
	families, _ := registry.Gather() // an error leaves families out, which P10 then notices
	for _, family := range families {
		if family.GetName() == "batch_terminator_deliveries_total" {
			for _, m := range family.GetMetric() {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

// plan draws when workers come and go: between one and three of them, deployments, kills, and what an autoscaler does.
func (f *fleet) plan(r *rand.Rand, a *agenda, length time.Duration) {
	const (
		between  = 90 * time.Minute
		restarts = time.Minute // at most, until the platform has another one up
	)
	for range 1 + r.IntN(3) {
		a.add(0, "a worker starts", f.start)
	}
	for at := exponential(r, between); at < length; at += exponential(r, between) {
		back := at + time.Second + time.Duration(r.Int64N(int64(restarts)))
		switch r.IntN(4) {
		case 0: // a deployment: the new one comes first
			a.add(at, "a worker starts, another one is drained", func() { f.start(); f.drain() })
		case 1:
			a.add(at, "a worker is drained", f.drain)
			a.add(back, "a worker starts", f.start)
		case 2:
			a.add(at, "a worker is killed", f.kill)
			a.add(back, "a worker starts", f.start)
		case 3: // scaled out and in again
			a.add(at, "a worker more", f.start)
			a.add(at+exponential(r, 20*time.Minute), "a worker fewer", f.drain)
		}
	}
}

func exponential(r *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(mean))
}
