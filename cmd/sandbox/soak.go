package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"time"

	"batchterminator/cmd/sandbox/verdict"
)

// leastRounds are needed to tell what grows: the first one is left out, and a line and its error take three.
const leastRounds = 4

// soak keeps the same workers for hours. The ledgers of the two services are kept in memory until a round is judged, so each
// round has services of its own, at the same addresses: to the workers they are restarted. The report is the sum of all
// rounds, or that of the first which broke a promise.
func (c chaosCommand) soak(ctx context.Context, memory int, stderr io.Writer) (chaosReport, error) {
	if len(c.Only) == 0 {
		c.Only = bloodless()
	}
	log, err := c.stormLog()
	if err != nil {
		return chaosReport{}, err
	}
	defer func() { _ = log.Close() }()
	sum, trend, at := chaosReport{Seed: c.Seed}, trend{}, anywhere
	crew := &fleet{logs: c.Logs}
	defer crew.close(false)
	for round, begun := 0, time.Now(); round < leastRounds || time.Since(begun) < c.Soak; round++ {
		c.Seed++
		run := &chaos{begun: time.Now(), chaosCommand: c, memory: memory, fleet: crew,
			requests: planFrom(sum.Requests, steady(), int(c.Rate*c.For.Seconds()), c.Seed)}
		r, err := run.round(ctx, log, stderr, at)
		if err != nil {
			return r, err
		}
		at = run.at
		_, _ = fmt.Fprintf(stderr, "round %d: %d requests, %d faults, lost %d, burned %d\n", round+1, r.Requests, r.Struck, r.Lost, r.BurnedDeliveries)
		if !r.holds() {
			return r, nil
		}
		sum.add(r)
		if round > 0 { // what the first one brings about stays: connections, the heap at its size
			trend.note(time.Since(begun), run.survivors)
		}
	}
	sum.Promises = append(sum.Promises, trend.lines()...)
	return sum, nil
}

// bloodless are the faults that end no process and freeze none.
func bloodless() (names []string) {
	deadly := map[string]bool{}
	for _, f := range processFaults() {
		deadly[f.name] = true
	}
	for _, f := range stormFaults() {
		if !deadly[f.name] {
			names = append(names, f.name)
		}
	}
	return names
}

// round plays one round for workers that go on afterwards; the first one starts them.
func (c *chaos) round(ctx context.Context, log, stderr io.Writer, at places) (chaosReport, error) {
	stop, err := c.serve(log, at)
	if err != nil {
		return chaosReport{}, err
	}
	defer stop()
	if c.fleet.started == 0 {
		c.fleet.env = c.environment()
		if err := c.fleet.fill(c.Replicas); err != nil {
			return chaosReport{}, err
		}
	}
	c.before = c.fleet.records()
	return c.report(c.play(ctx, log, stderr)), nil
}

// add adds a round that kept every promise.
func (r *chaosReport) add(o chaosReport) {
	r.Requests, r.Messages, r.Struck, r.Workers = r.Requests+o.Requests, r.Messages+o.Messages, r.Struck+o.Struck, o.Workers
	if r.Faults == nil {
		r.Faults = map[string]int{}
	}
	for name, n := range o.Faults {
		r.Faults[name] += n
	}
	r.BurnedDeliveries, r.DuplicatedEnds, r.Recovered = r.BurnedDeliveries+o.BurnedDeliveries, r.DuplicatedEnds+o.DuplicatedEnds, r.Recovered+o.Recovered
	r.BatchCalls, r.RepeatedCalls, r.Duration = r.BatchCalls+o.BatchCalls, r.RepeatedCalls+o.RepeatedCalls, r.Duration+o.Duration
	r.EndToEndMedian, r.EndToEndP99, r.EndToEndMax = o.EndToEndMedian, max(r.EndToEndP99, o.EndToEndP99), max(r.EndToEndMax, o.EndToEndMax)
	r.Recovery, r.QueueDrain = max(r.Recovery, o.Recovery), max(r.QueueDrain, o.QueueDrain)
	r.MostGoroutines, r.MostResident, r.MostDescriptors = max(r.MostGoroutines, o.MostGoroutines), max(r.MostResident, o.MostResident), max(r.MostDescriptors, o.MostDescriptors)
	r.Idle, r.Promises = o.Idle, o.Promises
}

// trend is what idle workers take, after one round and the next.
type trend struct{ heap, goroutines, descriptors series }

// series holds one number of each worker over the hours.
type series map[string][]point

type point struct{ hours, value float64 }

func (s *series) note(worker string, at time.Duration, value int) {
	if *s == nil {
		*s = series{}
	}
	(*s)[worker] = append((*s)[worker], point{at.Hours(), float64(value)})
}

func (t *trend) note(at time.Duration, workers []survivor) {
	for _, w := range workers {
		t.heap.note(w.Name, at, w.HeapBytes)
		t.goroutines.note(w.Name, at, w.Goroutines)
		t.descriptors.note(w.Name, at, w.Descriptors)
	}
}

// lines hold unless a number grows by more than it may, and by more than its own noise: twice the standard error of the slope.
func (t *trend) lines() []verdict.Line {
	const mebibyte = 1 << 20
	return []verdict.Line{
		t.heap.line("the heap does not grow", mebibyte, "MiB", mebibyte),
		t.goroutines.line("goroutines do not grow", 0, "goroutines", 1),
		t.descriptors.line("open files do not grow", 0, "files", 1),
	}
}

func (s series) line(name string, perHour float64, unit string, size float64) verdict.Line {
	l := verdict.Line{ID: "L3", Name: name, Holds: len(s) > 0}
	for _, worker := range slices.Sorted(maps.Keys(s)) {
		slope, noise := grows(s[worker])
		l.Holds = l.Holds && slope-noise <= perHour
		l.Detail += fmt.Sprintf("%s: %+.2f ± %.2f %s an hour over %d rounds; ", worker, slope/size, noise/size, unit, len(s[worker]))
	}
	return l
}

// grows fits a line (least squares), and returns its slope and twice the standard error of that; without three points nothing
// can be told.
func grows(points []point) (slope, noise float64) {
	n := float64(len(points))
	if n < 3 {
		return 0, math.Inf(1)
	}
	var x, y, xx, xy float64
	for _, p := range points {
		x, y = x+p.hours/n, y+p.value/n
	}
	for _, p := range points {
		xx, xy = xx+(p.hours-x)*(p.hours-x), xy+(p.hours-x)*(p.value-y)
	}
	slope = xy / xx
	var rest float64
	for _, p := range points {
		off := p.value - y - slope*(p.hours-x)
		rest += off * off
	}
	return slope, 2 * math.Sqrt(rest/(n-2)/xx)
}
