package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"batchterminator/cmd/sandbox/verdict"
)

// judge has the run judged, and reports it.
func (d *demo) judge() report {
	counted := outcomes(d.registries)
	e := verdict.Evidence{Workers: d.workers, Faults: d.struck.all(), Concurrency: d.Concurrency, Grace: d.settings.Worker.Grace, Lock: lockDuration}
	for _, n := range counted {
		e.Recorded += n
	}
	for _, q := range d.requests {
		e.Requests = append(e.Requests, q.expected())
	}
	e.Read(d.queue, d.account)
	v := verdict.Judge(e)
	return report{
		Requests: len(d.requests), Outcomes: counted, DeadLettered: e.Counts.DeadLettered, BatchCalls: e.CallCount,
		Lost: v.Lost, BurnedDeliveries: v.Burned, LostOnTheWire: v.Excused.OnTheWire, MaxInFlight: e.MaxInFlight, MaxLocked: v.MaxLocked,
		Seconds: d.took.Seconds(), PerSecond: float64(len(d.requests)) / d.took.Seconds(), Promises: v.Lines,
	}
}

// expected is what the verdict is to hold the request to.
func (q request) expected() verdict.Request {
	r := verdict.Request{ID: q.id, Job: demoJob, Task: q.task, Completes: q.kind.exists && q.deadLetter == "", Hostile: q.kind.hostile}
	if q.deadLetter != "" {
		r.DeadLetter = []string{q.deadLetter}
	}
	return r
}

// outcomes sums deliveries_total over the workers.
func outcomes(registries []*prometheus.Registry) map[string]int {
	sum := map[string]int{}
	for _, r := range registries {
		families, _ := r.Gather() // an error leaves families out, which P10 then notices
		for _, f := range families {
			if f.GetName() != "batch_terminator_deliveries_total" {
				continue
			}
			for _, m := range f.GetMetric() {
				if n := int(m.GetCounter().GetValue()); n > 0 {
					sum[m.GetLabel()[0].GetValue()] += n
				}
			}
		}
	}
	return sum
}
