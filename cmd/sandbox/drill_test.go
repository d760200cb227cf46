package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// Each fault is seen by who calls, and gone when it ends.
func TestDrillBreaksAndMends(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]string{
		"throttle":     "401 401 401 429",
		"outage":       "500 dropped 500 dropped",
		"auth":         "401 401 401 401",
		"unreachable":  "401 401 401 401",
		"bad-messages": "401 401 401 401",
	} {
		d, get := drillRig(t)
		faults, err := chosenDrill([]string{fault})
		if err != nil {
			t.Fatal(err)
		}
		faults[0].begin(d)
		if got := strings.Join([]string{get(), get(), get(), get()}, " "); got != want && fault != "auth" {
			t.Errorf("%s: %s, want %s", fault, got, want)
		}
		if fault == "bad-messages" != d.bad.Load() {
			t.Errorf("%s: bad messages are due: %t", fault, d.bad.Load())
		}
		d.ends()
		if got := get(); got != "401" || d.bad.Load() {
			t.Errorf("%s: ended, and still %s, bad messages %t", fault, got, d.bad.Load())
		}
	}
}

// drillRig is a drill without workers, and a call to its Batch without a token.
func drillRig(t *testing.T) (*drill, func() string) {
	bus, err := servicebustest.Start(servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bus.Close() })
	account := batchtest.New()
	t.Cleanup(account.Close)
	client := account.Client()
	return &drill{bus: bus, queue: bus.Queue(queueName), account: account, fleet: &fleet{}, ends: func() {}}, func() string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://contoso.westeurope.batch.azure.com/jobs/a/tasks/b/terminate", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return "dropped"
		}
		_ = resp.Body.Close()
		return resp.Status[:3]
	}
}

func TestDrillCutsAndRefusesServiceBus(t *testing.T) {
	t.Parallel()
	d, _ := drillRig(t)
	alive := func(when string, want bool) {
		nc, err := d.bus.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
		_, writeErr := nc.Write([]byte("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		n, _ := nc.Read(make([]byte, 4))
		if got := writeErr == nil && n > 0; got != want {
			t.Errorf("%s: answered: %t", when, got)
		}
	}
	faults, err := chosenDrill([]string{"unreachable"})
	if err != nil {
		t.Fatal(err)
	}
	alive("before", true)
	faults[0].begin(d)
	alive("during", false)
	d.ends()
	alive("after", true)
}

// What Prometheus reads.
func TestDrillCountsTheQueueAndListsTheWorkers(t *testing.T) {
	t.Parallel()
	d, _ := drillRig(t)
	if _, err := d.queue.Send(servicebustest.Message{ID: "1", Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	d.fleet.running = []*child{{name: "worker-001", address: "127.0.0.1:1"}, {name: "worker-002"}}
	for want, serve := range map[string]http.HandlerFunc{
		`sandbox_queue_messages{state="active"} 1`:                              d.counts,
		`[{"targets":["127.0.0.1:1"],"labels":{"replica":"worker-001"}}]`:       d.targets,
		"# TYPE sandbox_queue_events_total counter\nsandbox_queue_events_total": d.counts,
	} {
		w := httptest.NewRecorder()
		serve(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s\nwant %s", w.Body, want)
		}
	}
}

func TestBlindDrillTellsAtTheEnd(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := sandbox(t, "drill", "--blind", "--only", "auth,bad-messages", "--for", "1s", "--rest", "0s", "--replicas", "1", "--listen", "127.0.0.1:0")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	during, after, found := strings.Cut(stdout, "fault 2 ended")
	if !found || strings.Contains(during, "auth") || strings.Contains(during, "bad-messages") || strings.Count(during, " begins") != 2 {
		t.Errorf("it tells too much or too little:\n%s", stdout)
	}
	if !strings.Contains(after, "was auth: ") || !strings.Contains(after, "was bad-messages: ") {
		t.Errorf("it does not tell which fault was which:\n%s", stdout)
	}
}
