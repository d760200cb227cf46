package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/sandbox/verdict"
	"batchterminator/worker/servicebustest"
)

// storm breaks things, one after the other. The faults are those of stormfaults.go.
type storm struct {
	bus     *servicebustest.Server
	account *batchtest.Account
	fleet   *fleet
	// order draws the faults, random their particulars: what a fault meets depends on the moment, which comes next does not.
	order, random *rand.Rand

	faults    []stormFault    // to draw from
	every     time.Duration   // between two of them
	blackouts time.Duration   // between two of them, 0 for none
	replicas  int             // to come back to
	lock      time.Duration   // of the queue
	armed     []armed         // by the goroutine of blow, and heal after it
	ctx       context.Context // ends lasting faults early
	lasting   sync.WaitGroup  // faults that take themselves back
	struck    damage
}

// damage is what was broken.
type damage struct {
	mu     sync.Mutex
	faults []verdict.Fault // under mu
	names  map[string]int  // under mu
	last   time.Time       // when something was broken or mended last, under mu
	log    io.Writer       // one line for each, under mu
}

func (d *damage) note(f verdict.Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults, d.last = append(d.faults, f), time.Now()
}

// say writes a line to the log, for who wants to know what a lock was lost to.
func (d *damage) say(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = fmt.Fprintf(d.log, "%s %s\n", time.Now().UTC().Format(time.RFC3339Nano), line)
}

func (d *damage) tally(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[name]++
	d.last = time.Now()
}

func (d *damage) add(name string, f verdict.Fault) {
	d.note(f)
	d.tally(name)
}

// armed is a fault that waits for its operation.
type armed struct {
	name   string
	fired  func() int
	remove func()
}

// newOrder is the source of the order of faults.
func newOrder(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 2)) }

// blow strikes every so often, until ctx ends or the time is up.
func (s *storm) blow(ctx context.Context, total time.Duration) {
	begun, dark := time.Now(), time.Now()
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for time.Since(begun) < total {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.blackouts > 0 && time.Since(dark) >= s.blackouts {
			dark = time.Now()
			s.blackout("blackout")
		}
		f := s.faults[s.order.IntN(len(s.faults))]
		s.struck.say("drawn: " + f.name)
		f.strike(s, f.name)
	}
}

// chosen are the faults with these names, all if there are none.
func chosen(names []string) []stormFault {
	return slices.DeleteFunc(stormFaults(), func(f stormFault) bool { return len(names) > 0 && !slices.Contains(names, f.name) })
}

// stormNames are the faults that --only takes.
func stormNames() (names []string) {
	for _, f := range stormFaults() {
		names = append(names, f.name)
	}
	return names
}

// weighted lists each fault as often as it is to be drawn.
func weighted(faults []stormFault) (all []stormFault) {
	for _, f := range faults {
		for range f.weight {
			all = append(all, f)
		}
	}
	return all
}

// cut does something that ends connections or links.
func (s *storm) cut(name string, do func()) {
	f := verdict.Fault{Kind: verdict.Cut, At: time.Now(), Name: name}
	do()
	f.Until = time.Now()
	s.struck.add(name, f)
}

// during breaks something for a while, in which locks may be lost.
func (s *storm) during(name string, d time.Duration, begin, end func()) {
	s.lasts(verdict.Fault{Kind: verdict.Deaf, Name: name}, d, begin, end)
}

// lasts is during for any kind of fault.
func (s *storm) lasts(f verdict.Fault, d time.Duration, begin, end func()) {
	f.At = time.Now()
	begin()
	s.lasting.Go(func() {
		sleepFor(s.ctx, d)
		end()
		f.Until = time.Now()
		s.struck.add(f.Name, f)
	})
}

// dark has every connection swallow what either side sends. No network lets one live on after that: bytes are missing.
func (s *storm) dark(name string, d time.Duration) {
	s.during(name, d, func() { s.bus.MuteConnections(true) }, func() { s.bus.ResetConnections() })
}

// blackout is the total loss of the network.
func (s *storm) blackout(name string) {
	const d = 10 * time.Second
	s.batch(name+" of Batch", batchtest.OutageFor(d, 0))
	refused := s.bus.OnNext(servicebustest.Connect, servicebustest.Swallow(), servicebustest.Keep())
	s.during(name, d, func() { s.bus.MuteConnections(true) }, func() {
		refused.Remove()
		s.bus.ResetConnections()
	})
}

// sleepFor returns early when ctx ends.
func sleepFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// on arms a fault of Service Bus. made says what it excuses once it strikes.
func (s *storm) on(name string, op servicebustest.Op, f servicebustest.Fault, made func(servicebustest.Call) verdict.Fault, opts ...servicebustest.FaultOption) {
	noted := servicebustest.When(func(c servicebustest.Call) bool { // the last condition: asked only when it strikes
		f := made(c)
		f.Name = name
		s.struck.note(f)
		return true
	})
	i := s.bus.OnNext(op, f, append(opts, noted)...)
	s.armed = append(s.armed, armed{name, i.Fired, i.Remove})
}

// batch arms a fault of Batch; it excuses nothing.
func (s *storm) batch(name string, f batchtest.Fault, opts ...batchtest.FaultOption) {
	r := s.account.OnNext(f, opts...)
	s.armed = append(s.armed, armed{name, r.Met, r.Remove})
}

// heal takes everything back, once blow has returned.
func (s *storm) heal() {
	s.lasting.Wait()
	for _, a := range s.armed {
		a.remove()
		if a.fired() > 0 {
			s.struck.names[a.name]++
		}
	}
}

func passing(servicebustest.Call) verdict.Fault { return verdict.Fault{At: time.Now()} }

func cutting(servicebustest.Call) verdict.Fault {
	return verdict.Fault{Kind: verdict.Cut, At: time.Now()}
}
