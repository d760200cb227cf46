package simulate

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/app"
	"batchterminator/cmd/sandbox/verdict"
	"batchterminator/worker/servicebustest"
)

const (
	queueName = app.DefaultQueue
	// endpoint leads to the account whatever it says. That of a machine's own simulator needs no credential.
	endpoint    = "http://localhost:5380"
	concurrency = 16
	// lockDuration is that of production.
	lockDuration = time.Minute
	// afterwards is how long the workers may need to finish what is left when nothing more arrives or breaks: a request that
	// met many failures waits for up to a quarter of an hour at a time, or as long as Batch asked for.
	afterwards = 24 * time.Hour
)

// Config is what a run depends on.
type Config struct {
	Seed  uint64
	Hours int
	// Log takes what the workers say; nil is silence.
	Log *zap.Logger
	// Tell is told of everything that happens, at its time; nil tells nobody.
	Tell func(at time.Duration, what string)
}

// Result is what a run came to.
type Result struct {
	Seed     uint64  `json:"seed"`
	Hours    int     `json:"hours"`
	Requests int     `json:"requests"`
	Messages int     `json:"messages"`
	Calls    int     `json:"batchCalls"`
	Faults   int     `json:"faults"`
	Workers  int     `json:"workers"`
	Kills    int     `json:"kills"`
	Seconds  float64 `json:"duration_seconds"`
	// Struck counts the faults by their names.
	Struck map[string]int `json:"faultsByName"`
	// Plan is the fingerprint of what the seed fixed, Course that of what every request went through.
	Plan   string `json:"plan"`
	Course string `json:"course"`
	verdict.Verdict
	// Problem says why the run ended early, "" when it did not.
	Problem string `json:"problem,omitempty"`
	// Standstill: it ended because of a limit of virtual time with this SDK, not of the worker; package comment.
	Standstill bool `json:"standstill,omitempty"`
}

// Holds tells whether the run ended as it should and every promise holds.
func (r Result) Holds() bool { return r.Problem == "" && r.Verdict.Holds() }

// simulation is one run.
type simulation struct {
	Config
	bus     *servicebustest.Server
	queue   *servicebustest.Queue
	account *batchtest.Account
	log     *zap.Logger
	fleet   fleet

	requests []verdict.Request // of the goroutine that plays, as bodies
	bodies   map[string]string // by task
	mu       sync.Mutex
	faults   []verdict.Fault // under mu
	undo     []func()        // ends of faults, in the order of their beginnings; of the goroutine that plays
}

// Run simulates. It ends early with ctx.
func Run(ctx context.Context, c Config) (result Result) {
	began := time.Now()
	s := &simulation{Config: c, log: c.Log}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	result = Result{Seed: c.Seed, Hours: c.Hours}
	cancelled := func() bool { return ctx.Err() != nil } // a channel from outside would keep the bubble's time from passing
	inside := result                                     // of the bubble, until it has ended
	err := inBubble(func(b *beat) { s.run(cancelled, b, &inside) })
	if still, ok := errors.AsType[*standstill](err); ok {
		result.Standstill = still.inSDK
	} else {
		result = inside
	}
	if err != nil {
		result.Problem = fmt.Sprintf("seed %d: %v", c.Seed, err)
	}
	result.Seconds = time.Since(began).Seconds()
	return result
}

func (s *simulation) run(cancelled func() bool, b *beat, result *Result) {
	bus, err := servicebustest.Start(servicebustest.WithQueue(queueName, servicebustest.QueueConfig{LockDuration: lockDuration, RequiresDuplicateDetection: s.Seed%3 == 0}))
	if err != nil {
		panic(err)
	}
	s.bus, s.queue = bus, bus.Queue(queueName)
	s.account = batchtest.New(batchtest.RememberCalls(1 << 24))
	s.fleet.simulation, s.bodies = s, map[string]string{}
	a := s.plan()
	result.Plan = fingerprint(a)

	ctx, end := context.WithCancel(context.Background())
	defer end()
	a.play(ctx, func(e entry) {
		if cancelled() {
			end()
		}
		b.at(fmt.Sprint(e.at, " ", e.what))
		if s.Tell != nil && e.what != "" {
			s.Tell(e.at, e.what)
		}
	})
	s.calm()
	result.Problem = s.finish(ctx)
	s.fleet.drainAll()
	s.judge(result)
	s.account.Close()
	if err := s.bus.Close(); err != nil && result.Problem == "" {
		result.Problem = err.Error()
	}
}

// plan draws all that is going to happen.
func (s *simulation) plan() agenda {
	length := time.Duration(s.Hours) * time.Hour
	var a agenda
	stream := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, n)) } // so that a change of one leaves the others
	s.fleet.plan(stream(1), &a, length)
	s.planArrivals(stream(2), &a, length)
	s.planFaults(stream(3), &a, length)
	a.add(length, "", func() {})
	return a
}

// finish waits until every message has ended, with at least one worker up.
func (s *simulation) finish(ctx context.Context) (problem string) {
	if len(s.fleet.live) == 0 {
		s.fleet.start()
	}
	ctx, cancel := context.WithTimeout(ctx, afterwards)
	defer cancel()
	if err := s.queue.Wait(ctx, func(c servicebustest.Counts) bool { return c.Active+c.Locked+c.Scheduled+c.Deferred == 0 }); err != nil {
		return fmt.Sprintf("not everything ended within %v after the last arrival: %v", afterwards, err)
	}
	return ""
}

func (s *simulation) judge(result *Result) {
	e := verdict.Evidence{Requests: s.requests, Faults: s.faults, Concurrency: concurrency, Grace: app.Defaults().Worker.Grace, Lock: lockDuration}
	for _, r := range s.fleet.all {
		n := r.recorded
		if !r.network.ended() {
			n = recorded(r.registry)
		} else {
			result.Kills++
		}
		e.Recorded += n
		e.Workers = append(e.Workers, r.life)
	}
	e.Read(s.queue, s.account)
	result.Verdict = verdict.Judge(e)
	result.Requests, result.Messages, result.Calls, result.Faults, result.Workers = len(s.requests), e.Counts.Accepted, e.CallCount, len(s.faults), len(e.Workers)
	result.Course = course(e)
	result.Struck = map[string]int{}
	for _, f := range s.faults {
		name, _, _ := strings.Cut(f.Name, ", ") // what it met is of no interest here
		result.Struck[name]++
	}
}

// fingerprint identifies what was planned.
func fingerprint(a agenda) string {
	h := fnv.New64a()
	for _, e := range a {
		_, _ = fmt.Fprintln(h, e.at, e.what)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// course identifies what every message went through, times and tokens apart.
func course(e verdict.Evidence) string {
	h := fnv.New64a()
	for _, m := range e.Ledger {
		_, _ = fmt.Fprint(h, m.MessageID)
		for _, event := range m.Events {
			_, _ = fmt.Fprint(h, " ", event.Kind)
		}
		_, _ = fmt.Fprintln(h)
	}
	return hex.EncodeToString(h.Sum(nil))
}
