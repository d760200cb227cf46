package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// vitals are what a process takes of its machine, by its own /metrics.
type vitals struct {
	goroutines, heap, resident, descriptors int
	cpu                                     float64 // seconds
}

// errNotReady: the process has not said yet where its metrics are.
var errNotReady = errors.New("no metrics yet")

// scrape asks one worker.
func (c *child) scrape(ctx context.Context) (vitals, error) {
	c.mu.Lock()
	address := c.address
	c.mu.Unlock()
	if address == "" {
		return vitals{}, errNotReady
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return vitals{}, fmt.Errorf("metrics of %s: %w", c.name, err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return vitals{}, fmt.Errorf("metrics of %s: %w", c.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return vitals{}, fmt.Errorf("metrics of %s: %w", c.name, err)
	}
	return vitals{
		goroutines: int(value(families["go_goroutines"])), heap: int(value(families["go_memstats_heap_inuse_bytes"])),
		resident: int(value(families["process_resident_memory_bytes"])), descriptors: int(value(families["process_open_fds"])),
		cpu: value(families["process_cpu_seconds_total"]),
	}, nil
}

// value is the family's only one, 0 where the system does not tell.
func value(f *dto.MetricFamily) float64 {
	if len(f.GetMetric()) == 0 {
		return 0
	}
	m := f.GetMetric()[0]
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}

// worst is the larger of each but the time, which only grows.
func (v vitals) worst(other vitals) vitals {
	return vitals{
		goroutines: max(v.goroutines, other.goroutines), heap: max(v.heap, other.heap),
		resident: max(v.resident, other.resident), descriptors: max(v.descriptors, other.descriptors), cpu: max(v.cpu, other.cpu),
	}
}
