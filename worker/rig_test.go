package worker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"batchterminator/handler"
	"batchterminator/metrics"
)

// message returns a request message as a queue would hold it.
func message(id string, sequence int64) *azservicebus.ReceivedMessage {
	enqueued := time.Now()
	return &azservicebus.ReceivedMessage{MessageID: id, SequenceNumber: &sequence, EnqueuedTime: &enqueued, Body: []byte(`{"jobId":"j","taskId":"` + id + `"}`)}
}

func messages(n int) []*azservicebus.ReceivedMessage {
	all := make([]*azservicebus.ReceivedMessage, n)
	for i := range all {
		all[i] = message("m"+strconv.Itoa(i), int64(i+1))
	}
	return all
}

// decisions is a Handler made of a function.
type decisions func(ctx context.Context, m handler.Message) handler.Result

func (f decisions) Handle(ctx context.Context, m handler.Message) handler.Result { return f(ctx, m) }

func always(o handler.Outcome) decisions {
	return func(context.Context, handler.Message) handler.Result {
		return handler.Result{Outcome: o, Attempts: 1, Request: handler.Request{Endpoint: account}}
	}
}

// rig runs a worker over a scripted queue inside the caller's bubble.
type rig struct {
	*Worker
	queue    *scripted
	logs     *observer.ObservedLogs
	registry *prometheus.Registry
	stop     context.CancelFunc
	report   chan Report
}

func run(t *testing.T, queue *scripted, h Handler, adjust ...func(*Config)) *rig {
	t.Helper()
	r := newRig(queue, h, adjust...)
	r.start(t)
	return r
}

// newRig is a worker that does not run yet.
func newRig(queue *scripted, h Handler, adjust ...func(*Config)) *rig {
	core, logs := observer.New(zap.DebugLevel)
	registry := prometheus.NewRegistry()
	m := metrics.New(registry, "test", []string{account})
	config := Defaults()
	config.Handler, config.Metrics, config.Log = h, m, zap.New(core)
	config.Concurrency, config.ReadyBuffer = 4, 0
	for _, change := range adjust {
		change(&config)
	}
	if config.Gates == nil {
		config.Gates = NewGates([]string{account}, 0, m, config.Log)
	}
	return &rig{Worker: assemble(config, queue.connect), queue: queue, logs: logs, registry: registry, report: make(chan Report, 1)}
}

func (r *rig) start(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.report <- r.Run(ctx)
	}()
	t.Cleanup(func() { // for a test that fails: what is left in a bubble panics, and takes the other tests with it
		cancel()
		<-ended
	})
}

// end stops the worker and returns its report.
func (r *rig) end() Report {
	r.stop()
	return <-r.report
}

// outcomes returns the outcome of each delivery that was logged, in order.
func (r *rig) outcomes() []string {
	var all []string
	for _, entry := range r.logs.FilterMessage("delivery").All() {
		all = append(all, fmt.Sprint(entry.ContextMap()["outcome"]))
	}
	return all
}

func denied() error { return &amqp.Error{Condition: amqp.ErrCondUnauthorizedAccess} }

// metric returns the sum of a series over its labels that contain all of the given values.
func (r *rig) metric(t *testing.T, name string, values ...string) (sum float64) {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "batch_terminator_"+name {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			if !slices.ContainsFunc(values, func(v string) bool { return !slices.Contains(labels, v) }) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}
