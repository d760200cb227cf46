package worker_test

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// turn is what one side did in one turn.
type turn struct {
	rate   float64 // messages a second
	cpu    float64 // of this process, ns for each message
	allocs float64 // for each message
}

// The measures of a turn.
func rate(t turn) float64   { return t.rate }
func cpu(t turn) float64    { return t.cpu }
func allocs(t turn) float64 { return t.allocs }

// compare has the sides take turns of n messages, so that whatever else the machine does meets all of them: once for each
// iteration, and once before to warm up.
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

// the returns the median of one measure.
func the(measure func(turn) float64, turns []turn) float64 {
	values := make([]float64, len(turns))
	for i, t := range turns {
		values[i] = measure(t)
	}
	return median(values)
}

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

// reporter returns a function that reports one measure of the worker beside that of another side, and makes its row.
func reporter(b *testing.B, turns map[string][]turn, side string) func(measure func(turn) float64, unit string, factor float64, what, against, target string) row {
	return func(measure func(turn) float64, unit string, factor float64, what, against, target string) row {
		ours, theirs := the(measure, turns["worker"])*factor, the(measure, turns[side])*factor
		ratio := share(measure, turns["worker"], turns[side])
		b.ReportMetric(ours, unit)
		b.ReportMetric(theirs, side+"-"+unit)
		b.ReportMetric(ratio, unit+"-ratio")
		return row{what, ours, against, theirs, ratio, target}
	}
}
