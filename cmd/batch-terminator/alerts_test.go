//go:build unix

package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// scene is a site with one worker under one fault, watched by Prometheus. Its name is the label environment of its series.
type scene struct {
	*site
	name, address, control string
	worker                 *replica
	prometheus             *prometheusServer
	log                    *os.File // read end of the worker's log, where the fault is about that
}

// alertFault is what has to fire the alerts, and what ends it.
type alertFault struct {
	alerts []string
	queue  servicebustest.QueueConfig
	env    []string
	// rate is how many requests a second are sent, from before the fault until its alerts have cleared.
	rate int
	// strike breaks something, and returns what mends it.
	strike func(t *testing.T, s *scene) (mend func())
}

// batchFails is a fault of every call to Batch.
func batchFails(f batchtest.Fault) func(*testing.T, *scene) func() {
	return func(_ *testing.T, s *scene) func() { return s.account.OnNext(f, batchtest.Keep()).Remove }
}

// quick has requests come back within seconds, so that there is traffic to fail.
var quick = []string{"RETRY_INITIAL=50ms", "RETRY_MAX=100ms", "REDELIVERY_INITIAL=1s", "REDELIVERY_MAX=5s"}

// alertFaults ties each alert to what fires it.
var alertFaults = map[string]alertFault{
	"requests are late":       {alerts: []string{"LateFast", "LateMedium", "LateSlow"}, strike: lateThenMany},
	"jobs are disabled":       {alerts: []string{"NothingFinishes"}, rate: 3, env: quick, strike: disabledJob},
	"the link is silent":      {alerts: []string{"Stuck"}, rate: 2, strike: silentLink},
	"a bad message":           {alerts: []string{"DeadLettering"}, strike: badMessage},
	"token refused":           {alerts: []string{"GateClosedAuth"}, rate: 3, env: quick, strike: batchFails(batchtest.Unauthorized())},
	"outage of Batch":         {alerts: []string{"GateClosedOutage"}, rate: 3, env: quick, strike: batchFails(batchtest.Status(500, "InternalError", batchtest.NoRetryAfter))},
	"Batch throttles":         {alerts: []string{"GateClosedThrottle"}, rate: 3, env: quick, strike: batchFails(batchtest.Status(429, "TooManyRequests", time.Second))},
	"Batch is slow":           {alerts: []string{"Saturated"}, rate: 10, env: []string{"CONCURRENCY=2"}, strike: batchFails(batchtest.Delay(time.Second))},
	"renewals are refused":    {alerts: []string{"LocksLost"}, rate: 3, strike: lostLocks},
	"Service Bus unreachable": {alerts: []string{"ReceiverDown"}, strike: unreachable},
	"links are detached":      {alerts: []string{"ReceiverRecycled"}, strike: detached},
	"Service Bus throttles":   {alerts: []string{"ServiceBusThrottled"}, rate: 3, strike: busyBroker},
	"poison for the SDK":      {alerts: []string{"Panics"}, queue: servicebustest.QueueConfig{MaxDeliveryCount: 2}, env: []string{"MAX_DELIVERY_COUNT=2"}, strike: poison},
	"the log is not read":     {alerts: []string{"LogLinesDropped"}, rate: 300, env: []string{"LOG_LEVEL=debug"}, strike: unreadLog},
	"the process is frozen":   {alerts: []string{"ScrapeDown"}, strike: frozen},
	"the process dies":        {alerts: []string{"CrashLoop"}, strike: dying},
	"somebody paused it":      {alerts: []string{"IntakePaused"}, strike: paused},
	"remote write fails":      {alerts: []string{"RemoteWriteFailing"}, strike: failingWrites},
}

func TestEachAlertHasAFaultThatFiresIt(t *testing.T) {
	t.Parallel()
	faults := map[string]string{}
	for name, f := range alertFaults {
		for _, alert := range f.alerts {
			faults["BatchTerminator"+alert] = name
		}
	}
	for _, r := range alertRules(t) {
		if faults[r.Alert] == "" {
			t.Errorf("%s has no fault that fires it", r.Alert)
		}
		delete(faults, r.Alert)
	}
	for alert, name := range faults {
		t.Errorf("%s: %s is no alert", name, alert)
	}
}

// A real Prometheus, real workers as processes of their own, and every alert: it has to fire under its fault and to clear after
// it, at a sixtieth of production's times.
func TestEachAlertFiresUnderItsFaultAndClearsAfterIt(t *testing.T) {
	if os.Getenv("ALERTS") == "" {
		t.Skip("takes two minutes: ALERTS=1 go test ./cmd/batch-terminator -run AlertFires -parallel 20")
	}
	program := prometheusTool(t, "prometheus")
	scenes, addresses := map[string]*scene{}, map[string]string{}
	for name, f := range alertFaults {
		s := &scene{name: name, address: freeAddress(t), control: freeAddress(t)}
		s.site = newSite(t, f.queue, append([]string{"LISTEN=" + s.address, "CONTROL=" + s.control}, f.env...)...)
		scenes[name], addresses[name] = s, s.address
	}
	p := startPrometheus(t, program, addresses)
	t.Run("faults", func(t *testing.T) {
		for name, f := range alertFaults {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := scenes[name]
				s.prometheus = p
				s.play(t, f)
			})
		}
	})
}

// play runs the worker, and the fault once Prometheus knows what the counters were before it.
func (s *scene) play(t *testing.T, f alertFault) {
	if s.name == "the log is not read" {
		s.startUnread(t)
	} else {
		s.worker = s.start(t)
	}
	defer s.explain(t)
	s.settled(t, f.alerts)
	if f.rate > 0 {
		defer s.load(t, f.rate)()
	}
	begun := time.Now()
	mend := f.strike(t, s)
	for _, alert := range f.alerts {
		s.prometheus.await(t, alert+" to fire", func() bool { return s.prometheus.firing(t.Context(), "BatchTerminator"+alert, s.name) })
		t.Logf("%s fires after %v", alert, time.Since(begun).Round(time.Second))
	}
	mend()
	begun = time.Now()
	for _, alert := range f.alerts {
		s.prometheus.await(t, alert+" to clear", func() bool { return !s.prometheus.firing(t.Context(), "BatchTerminator"+alert, s.name) })
		t.Logf("%s is over after %v", alert, time.Since(begun).Round(time.Second))
	}
}

// explain logs what Prometheus and the worker know, if the test has failed.
func (s *scene) explain(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		return
	}
	series, err := s.prometheus.ask(context.WithoutCancel(t.Context()), "/api/v1/query?query="+
		url.QueryEscape(fmt.Sprintf(`{__name__=~"batch_terminator_.*|ALERTS|up", __name__!~".*_bucket|.*_sum", environment=%q} != 0`, s.name)))
	t.Logf("Prometheus knows %s %v", strings.ReplaceAll(string(series), `{"metric":`, "\n"), err)
	_ = s.worker.Process.Kill()
	_ = s.worker.Wait() // which says that it was killed
	log := s.worker.log.String()
	t.Logf("the worker's log ends with\n%s", log[max(0, len(log)-20_000):])
}

// settled waits until the worker has been scraped while connected, and the alerts have forgotten that it was not.
func (s *scene) settled(t *testing.T, alerts []string) {
	s.prometheus.await(t, "the worker to be scraped", func() bool {
		return len(s.prometheus.query(t.Context(), fmt.Sprintf(`batch_terminator_receiver_attached{environment=%q} == 1`, s.name))) > 0
	})
	for _, alert := range alerts {
		s.prometheus.await(t, "no "+alert, func() bool { return !s.prometheus.firing(t.Context(), "BatchTerminator"+alert, s.name) })
	}
}

// load sends good requests at a steady rate until it is stopped.
func (s *scene) load(t *testing.T, perSecond int) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var owner sync.WaitGroup
	owner.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(min(perSecond, 20)))
		defer tick.Stop()
		for n := 0; ; {
			select {
			case <-tick.C:
			case <-done:
				return
			}
			for range max(1, perSecond/20) {
				n++
				s.request(t, fmt.Sprintf("load-%d-%d", perSecond, n))
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		owner.Wait()
	})
}

// request is send for any goroutine.
func (s *scene) request(t *testing.T, id string) {
	s.account.AddTask("j", id, batchtest.TaskRunning)
	if _, err := s.queue.Send(servicebustest.Message{ID: id, Body: fmt.Appendf(nil, `{"jobId":"j","taskId":%q}`, id)}); err != nil {
		t.Error(err)
	}
}
