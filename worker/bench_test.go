package worker_test

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkWorker measures the worker beside what it is made of. Each iteration is a round in which the sides take turns;
// a number is the median of the rounds.
//
//	UPDATE_README=1 go test ./worker -run '^$' -bench Worker -benchtime 9x -timeout 30m
//
// writes the README's table.
func BenchmarkWorker(b *testing.B) {
	measures := []struct {
		name string
		run  func(b *testing.B) []row
	}{
		{"pump", benchmarkPump}, {"calls", benchmarkCalls}, {"far", benchmarkFar}, {"alone", benchmarkAlone}, {"backlog", benchmarkBacklog},
	}
	collectAsDeployed(b)
	var rows []row
	complete := true
	for _, m := range measures {
		ran := false
		b.Run(m.name, func(b *testing.B) {
			rows = append(rows, m.run(b)...)
			ran = true
		})
		complete = complete && ran
	}
	if complete {
		updateReadme(b, rows)
	}
}

// collectAsDeployed has the processes of the benchmark collect garbage as the image has it, whichever side they are on.
func collectAsDeployed(b *testing.B) {
	b.Helper()
	const variable = "GOGC"
	image, err := os.ReadFile("../deploy/Dockerfile")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(image), "\nENV "+variable+"=")
	value, _, _ := strings.Cut(rest, "\n")
	percent, err := strconv.Atoi(value)
	if err != nil {
		b.Fatalf("deploy/Dockerfile has no %s: %v", variable, err)
	}
	b.Setenv(variable, value)
	before := debug.SetGCPercent(percent)
	b.Cleanup(func() { debug.SetGCPercent(before) })
}

// plenty is a concurrency at which the pump never waits for a slot.
const plenty = 256

// benchmarkPump measures the worker around a handler that does nothing.
func benchmarkPump(b *testing.B) []row {
	p, at := startServices(b)
	startSubject(b, at.Near, at.Batch, plenty, taking(0))
	startRawLoop(b, at.Near, plenty+plenty/4, nothing)
	startBareAMQP(b, at.Plain, 1000, 200)
	turns := compare(p, 20_000, "sdk", "worker", "amqp")
	report := reporter(b, turns, "sdk")
	ofAMQP := share(rate, turns["worker"], turns["amqp"])
	b.ReportMetric(ofAMQP, "of-amqp")
	return []row{
		report(rate, "msg/s", 1, "messages a second, handler that does nothing", "SDK loop", "≥ 0.95"),
		{"the same", the(rate, turns["worker"]), "bare go-amqp", the(rate, turns["amqp"]), ofAMQP, "≥ 0.75"},
		report(cpu, "cpu-us/msg", 1e-3, "µs of CPU for each message", "SDK loop", ""),
		report(allocs, "allocs/msg", 1, "allocations for each message", "SDK loop", ""),
	}
}

// benchmarkCalls measures all of the worker, with real HTTP to an account that answers at once.
func benchmarkCalls(b *testing.B) []row {
	p, at := startServices(b)
	startSubject(b, at.Near, at.Batch, plenty, calling(plenty))
	startRawLoop(b, at.Near, plenty, bareHTTP(b, at.Batch, plenty))
	report := reporter(b, compare(p, 10_000, "sdk", "worker"), "sdk")
	return []row{
		report(rate, "msg/s", 1, "messages a second, Batch calls answered at once", "SDK loop, net/http", "≥ 0.80"),
		report(cpu, "cpu-us/msg", 1e-3, "µs of CPU for each message", "SDK loop, net/http", "≤ 1.25"),
		report(allocs, "allocs/msg", 1, "allocations for each message", "SDK loop, net/http", ""),
	}
}

// benchmarkFar measures the case of production: calls that take their time, and a broker in another building.
func benchmarkFar(b *testing.B) []row {
	const concurrency, call = 100, 50 * time.Millisecond
	const ideal = concurrency * float64(time.Second) / float64(call)
	p, at := startServices(b)
	startSubject(b, at.Far, at.Batch, concurrency, taking(call))
	startRawLoop(b, at.Far, concurrency, sleeping(call))
	turns := compare(p, 4_000, "sdk", "worker")
	report := reporter(b, turns, "sdk")
	got := the(rate, turns["worker"])
	b.ReportMetric(got/ideal, "of-ideal")
	return []row{
		{fmt.Sprintf("messages a second, %d calls of %v at once, broker %v away", concurrency, call, roundTrip), got, "ideal", ideal, got / ideal, "≥ 0.95"},
		report(rate, "msg/s", 1, "the same", "SDK loop", ""),
	}
}

// benchmarkAlone measures how long a message takes from its arrival in an idle queue to its completion.
func benchmarkAlone(b *testing.B) (rows []row) {
	p, at := startServices(b)
	startSubject(b, at.Near, at.Batch, plenty, taking(0))
	startRawLoop(b, at.Near, plenty, nothing)
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, queue := range []string{"sdk", "worker"} {
			var some []time.Duration
			p.ask(&some, "alone", queue, 200)
			took[queue] = append(took[queue], some...)
		}
	}
	for _, percent := range []int{50, 99} {
		ms := func(queue string) float64 {
			slices.Sort(took[queue])
			return took[queue][len(took[queue])*percent/100].Seconds() * 1e3
		}
		b.ReportMetric(ms("worker"), fmt.Sprintf("p%d-ms", percent))
		b.ReportMetric(ms("sdk"), fmt.Sprintf("sdk-p%d-ms", percent))
		rows = append(rows, row{fmt.Sprintf("ms from an idle queue to the completion, p%d", percent),
			ms("worker"), "SDK loop", ms("sdk"), ms("worker") / ms("sdk"), ""})
	}
	return rows
}

// benchmarkBacklog measures what a worker has needed of memory after the first 5,000 of its messages.
func benchmarkBacklog(b *testing.B) (rows []row) {
	const worked = 5_000
	resident := map[int][]float64{}
	backlogs := []int{0, 10_000, 1_000_000}
	for b.Loop() {
		for _, waiting := range backlogs {
			resident[waiting] = append(resident[waiting], residentWith(b, worked, waiting))
		}
	}
	for _, waiting := range backlogs {
		none, most := median(resident[0]), median(resident[waiting])
		b.ReportMetric(most, fmt.Sprintf("MiB-at-%d", waiting))
		if waiting > 0 {
			rows = append(rows, row{"MiB of memory at most, with " + figures(float64(waiting)) + " messages waiting",
				most, "none waiting", none, most / none, "≤ 1.10"})
		}
	}
	return rows
}

// residentWith returns the peak, in MiB, of a process whose worker has worked off so many messages with others behind them.
func residentWith(b *testing.B, worked, waiting int) float64 {
	p, at := startServices(b)
	defer p.stop()
	var none any
	p.ask(&none, "stock", "worker", worked+waiting)
	w := startProcess(b, "worker", &none, "SERVICEBUS_CONNECTION_STRING="+at.Near, "BATCH_ENDPOINT="+at.Batch)
	defer w.stop()
	p.ask(&none, "until", "worker", worked)
	var bytes int64
	w.ask(&bytes, "resident")
	return float64(bytes) / (1 << 20)
}
