package main

import (
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/go-json-experiment/json"
)

// target is an entry of Prometheus's HTTP service discovery.
type target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// serve opens the page that Prometheus finds the workers on, and counts the queue for it.
func (d *drill) serve() (stop func(), err error) {
	listener, err := net.Listen("tcp", d.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	d.Listen = listener.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /targets", d.targets)
	mux.HandleFunc("GET /metrics", d.counts)
	server := &http.Server{Handler: mux} //nolint:gosec // G112: serves the person who started it
	var owner sync.WaitGroup
	owner.Go(func() { _ = server.Serve(listener) }) // returns ErrServerClosed
	return func() {
		_ = server.Close()
		owner.Wait()
	}, nil
}

// targets lists the workers that have said where their metrics are, each as the replica it is.
func (d *drill) targets(w http.ResponseWriter, _ *http.Request) {
	list := []target{}
	for _, c := range d.fleet.all() {
		c.mu.Lock()
		if c.address != "" {
			list = append(list, target{[]string{c.address}, map[string]string{"replica": c.name}})
		}
		c.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.MarshalWrite(w, list) // Prometheus asks again
}

// counts says what Azure Monitor does of a queue: active holds the locked ones too.
func (d *drill) counts(w http.ResponseWriter, _ *http.Request) {
	n := d.queue.Counts()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = fmt.Fprintf(w, `# HELP sandbox_queue_messages Messages of the queue by state, as Azure Monitor counts them.
# TYPE sandbox_queue_messages gauge
sandbox_queue_messages{state="active"} %d
sandbox_queue_messages{state="dead-lettered"} %d
sandbox_queue_messages{state="scheduled"} %d
# HELP sandbox_queue_events_total Messages that came to the queue and were completed.
# TYPE sandbox_queue_events_total counter
sandbox_queue_events_total{event="incoming"} %d
sandbox_queue_events_total{event="completed"} %d
`, n.Active+n.Locked, n.DeadLettered, n.Scheduled, n.Accepted, n.Completed)
}
