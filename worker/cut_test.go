package worker

// Recovery under many callers, with the real SDK on TCP: its locks and its spinning goroutines know no virtual time. Here
// nothing is timed; conditions are waited for.

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"batchterminator/handler"
	"batchterminator/worker/servicebustest"
)

// eventually waits for a condition that nobody announces.
func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !reached() {
		if time.Now().After(deadline) {
			buffer := make([]byte, 1<<20)
			t.Fatalf("never: %s\n%s", what, buffer[:runtime.Stack(buffer, true)])
		}
		time.Sleep(20 * time.Millisecond) // no condition here has an event
	}
}

// goroutines counts all but those of the current client that wait for a call to make, as many as there ever were at once.
func goroutines() (n int) {
	buffer := make([]byte, 4<<20)
	for g := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		if !strings.Contains(g, "worker.(*client).enter.func1") || strings.Contains(g, "azservicebus") {
			n++
		}
	}
	return n
}

// settlements are completions that nobody answers.
type settlements struct {
	fault *servicebustest.Injection
	all   chan struct{} // closed with the n-th
}

func swallow(bus *servicebustest.Server, n int) *settlements {
	s := &settlements{all: make(chan struct{})}
	var mu sync.Mutex
	seen := 0
	s.fault = bus.OnNext(servicebustest.Settle, servicebustest.Swallow(), servicebustest.Keep(), servicebustest.When(func(c servicebustest.Call) bool {
		if c.Settlement != "complete" {
			return false // what the SDK gives back between two receives
		}
		mu.Lock()
		defer mu.Unlock()
		if seen++; seen == n {
			close(s.all)
		}
		return true
	}))
	return s
}

// Scorecard: A1, F12, R8, R9.
// P1, I10: two hundred times the connection is cut under a hundred settlements.
func TestTwoHundredCutsUnderAHundredSettlementsLeaveNothingBehind(t *testing.T) {
	const inFlight = 100
	cuts := 200
	if testing.Short() {
		cuts = 20
	}
	bus, err := servicebustest.Start(servicebustest.WithQueue(entity, servicebustest.QueueConfig{LockDuration: 5 * time.Minute}))
	if err != nil {
		t.Fatal(err)
	}
	address, err := bus.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	queue := bus.Queue(entity)
	w := onBroker(t, always(handler.Terminated), bus, func(c *Config) {
		c.Concurrency, c.ServiceBus.Dial = inFlight, nil
		c.ServiceBus.ConnectionString = "Endpoint=sb://" + address.String() + ";SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"
	})
	w.clients.settledIn = 0
	ctx, stop := context.WithCancel(t.Context())
	report := make(chan Report, 1)
	go func() { report <- w.Run(ctx) }()
	sent := 0
	round := func(cut bool) {
		held := swallow(bus, inFlight)
		for range inFlight {
			if _, err := queue.Send(servicebustest.Message{ID: fmt.Sprint(sent), Body: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		if cut {
			<-held.all
		}
		held.fault.Remove()
		if cut {
			bus.DropConnections()
		}
		if err := queue.Wait(t.Context(), func(c servicebustest.Counts) bool { return c.Completed == sent }); err != nil {
			t.Fatal(err)
		}
	}
	round(false)
	eventually(t, "rest", func() bool {
		_, open := w.drained.deliveries()
		return open == 0 && bus.Connections() == 1
	})
	before := goroutines()
	for range cuts {
		round(true)
	}
	endsOnce(t, queue, sent)
	eventually(t, "one connection again", func() bool { return bus.Connections() == 1 })
	eventually(t, "goroutines as before", func() bool { return goroutines() <= before })
	eventually(t, "an idle processor", func() bool {
		used, known := processorTime()
		time.Sleep(200 * time.Millisecond) // what is measured
		since, _ := processorTime()
		return !known || since-used < 10*time.Millisecond
	})
	stop()
	<-report
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}
