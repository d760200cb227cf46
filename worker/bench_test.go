package worker_test

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// benchConcurrency is enough for the pump never to wait for a slot.
const benchConcurrency = 256

// turn is what one side did in one turn.
type turn struct {
	rate   float64 // messages a second
	cpu    float64 // of this process, ns for each message
	allocs float64 // for each message
}

// take has one side consume n messages of its queue while the other sides wait at theirs.
func take(p *process, queue string, n int) turn {
	p.b.Helper()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := cpuTime()
	var took time.Duration
	p.ask(&took, "consume", queue, n)
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	return turn{
		rate: float64(n) / took.Seconds(), cpu: float64(cpu) / float64(n), allocs: float64(after.Mallocs-before.Mallocs) / float64(n),
	}
}

// compare has the sides take turns of n messages, so that whatever else the machine does meets all of them, once for each
// iteration and once before to warm up.
func compare(p *process, n int, queues ...string) map[string][]turn {
	p.b.Helper()
	for _, queue := range queues {
		take(p, queue, n)
	}
	turns := map[string][]turn{}
	for p.b.Loop() {
		for _, queue := range queues {
			turns[queue] = append(turns[queue], take(p, queue, n))
		}
	}
	return turns
}

// the returns the median of one measure.
func the(measure func(turn) float64, turns []turn) float64 {
	values := make([]float64, len(turns))
	for i, t := range turns {
		values[i] = measure(t)
	}
	return median(values)
}

func rate(t turn) float64   { return t.rate }
func cpu(t turn) float64    { return t.cpu }
func allocs(t turn) float64 { return t.allocs }

// share is the median of the worker's share in the other side's measure, round by round.
func share(measure func(turn) float64, ours, theirs []turn) float64 {
	values := make([]float64, len(ours))
	for i := range ours {
		values[i] = measure(ours[i]) / measure(theirs[i])
	}
	return median(values)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func mustStart(b *testing.B, connectionString, endpoint string, concurrency int, policy policyOf) {
	b.Helper()
	s, err := startWorker(connectionString, endpoint, concurrency, policy)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.end)
}

func BenchmarkPump(b *testing.B) {
	p, at := startServices(b)
	mustStart(b, at.Near, at.Batch, benchConcurrency, taking(0))
	startRawLoop(b, at.Near, benchConcurrency+benchConcurrency/4, nothing)
	startBareAMQP(b, at.Plain, 1000, 200)
	turns := compare(p, 20_000, "sdk", "worker", "amqp")
	b.ReportMetric(the(rate, turns["worker"]), "msg/s")
	b.ReportMetric(the(rate, turns["sdk"]), "sdk-msg/s")
	b.ReportMetric(the(rate, turns["amqp"]), "amqp-msg/s")
	b.ReportMetric(share(rate, turns["worker"], turns["sdk"]), "of-sdk")
	b.ReportMetric(share(rate, turns["worker"], turns["amqp"]), "of-amqp")
	b.ReportMetric(share(cpu, turns["worker"], turns["sdk"]), "cpu-of-sdk")
	b.ReportMetric(the(cpu, turns["worker"]), "cpu-ns/msg")
	b.ReportMetric(the(allocs, turns["worker"]), "allocs/msg")
	b.ReportMetric(the(allocs, turns["sdk"]), "sdk-allocs/msg")
}

func BenchmarkWhole(b *testing.B) {
	p, at := startServices(b)
	mustStart(b, at.Near, at.Batch, benchConcurrency, calling(benchConcurrency))
	startRawLoop(b, at.Near, benchConcurrency, bareHTTP(b, at.Batch, benchConcurrency))
	turns := compare(p, 10_000, "sdk", "worker")
	b.ReportMetric(the(rate, turns["worker"]), "msg/s")
	b.ReportMetric(the(rate, turns["sdk"]), "bare-msg/s")
	b.ReportMetric(share(rate, turns["worker"], turns["sdk"]), "of-bare")
	b.ReportMetric(share(cpu, turns["worker"], turns["sdk"]), "cpu-of-bare")
	b.ReportMetric(the(cpu, turns["worker"]), "cpu-ns/msg")
	b.ReportMetric(the(allocs, turns["worker"]), "allocs/msg")
	b.ReportMetric(the(allocs, turns["sdk"]), "bare-allocs/msg")
}

func BenchmarkFar(b *testing.B) {
	const concurrency, call = 100, 50 * time.Millisecond
	p, at := startServices(b)
	mustStart(b, at.Far, at.Batch, concurrency, taking(call))
	turns := compare(p, 4_000, "worker")
	b.ReportMetric(the(rate, turns["worker"]), "msg/s")
	b.ReportMetric(the(rate, turns["worker"])/(concurrency/call.Seconds()), "of-ideal")
}

func BenchmarkAlone(b *testing.B) {
	p, at := startServices(b)
	mustStart(b, at.Near, at.Batch, benchConcurrency, taking(0))
	startRawLoop(b, at.Near, benchConcurrency, nothing)
	took := map[string][]float64{}
	for b.Loop() {
		for _, queue := range []string{"sdk", "worker"} {
			var some []time.Duration
			p.ask(&some, "alone", queue, 200)
			for _, d := range some {
				took[queue] = append(took[queue], float64(d))
			}
		}
	}
	for queue, all := range took {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2]/1e3, queue+"-p50-us")
		b.ReportMetric(all[len(all)*99/100]/1e3, queue+"-p99-us")
	}
}

func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		for _, waiting := range []int{0, 10_000, 1_000_000} {
			p, at := startServices(b)
			var none any
			const worked = 5_000
			p.ask(&none, "stock", "worker", worked+waiting)
			w := startProcess(b, "worker", &none, "SERVICEBUS_CONNECTION_STRING="+at.Near, "BATCH_ENDPOINT="+at.Batch)
			p.ask(&none, "until", "worker", worked)
			var most int64
			w.ask(&most, "resident")
			b.Logf("%d waiting: %.1f MiB", waiting, float64(most)/(1<<20))
		}
	}
}
