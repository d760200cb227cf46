package simulate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"batchterminator/worker/servicebustest"
)

const (
	// hourly is how many requests an hour brings on average, bursts apart.
	hourly = 80
	// bursts come so many hours apart on average, each of up to burst requests at once: a job that is cancelled.
	burstEvery = 6 * time.Hour
	burst      = 300
	// twice is how often an upstream system sends a request again, in percent.
	twice = 4
)

// planArrivals draws the requests of all hours: few at night, most in the early afternoon.
func (s *simulation) planArrivals(r *rand.Rand, a *agenda, length time.Duration) {
	a.add(0, "", s.prepareJobs)
	n := 0
	arrive := func(at time.Duration) {
		n++
		k, task, seed := draw(r), fmt.Sprintf("task-%05d", n), r.Uint64()
		again, later := r.IntN(100) < twice, exponential(r, 10*time.Minute)
		sameID := r.IntN(2) == 0
		a.add(at, "", func() { s.arrive(k, task, "", rand.New(rand.NewPCG(seed, 0))) })
		switch {
		case !again || k.once || at+later >= length:
		case sameID:
			a.add(at+later, "", func() { s.send(k, task, "", s.bodies[task]) })
		default:
			a.add(at+later, "", func() { s.send(k, task, "-again", s.bodies[task]) })
		}
	}
	for at := time.Duration(0); at < length; at += exponential(r, time.Hour/hourly) {
		if r.Float64() < rhythm(at) {
			arrive(at)
		}
	}
	for at := exponential(r, burstEvery); at < length; at += exponential(r, burstEvery) {
		for range 1 + r.IntN(burst) {
			arrive(at)
		}
	}
}

// rhythm is how busy the hour is, from 0.2 at night to 1.8.
func rhythm(at time.Duration) float64 {
	const busiest = 14
	return (1 + 0.8*math.Cos(2*math.Pi*(at.Hours()-busiest)/24)) / 1.8
}

// arrive makes the task as the request is to find it, and sends the request.
func (s *simulation) arrive(k *kind, task, suffix string, r *rand.Rand) {
	if k.prepare != nil {
		k.prepare(s, r, task)
	}
	body := plain(k.inJob(), task)
	if k.body != nil {
		body = k.body(s, r, task)
	}
	s.bodies[task] = body
	s.send(k, task, suffix, body)
}

// send puts the message into the queue and the expectation into the plan. Duplicate detection may drop one that came
// already.
func (s *simulation) send(k *kind, task, suffix, body string) {
	id := "request-" + task + suffix
	before := s.queue.Counts().Accepted
	m := servicebustest.Message{ID: id, Body: []byte(body), ContentType: k.contentType, TTL: k.ttl}
	if _, err := s.queue.Send(m); err != nil {
		panic(fmt.Sprintf("send %s: %v", id, err))
	}
	if s.queue.Counts().Accepted == before {
		return
	}
	expected := k.expect
	expected.ID, expected.Job, expected.Task = id, k.inJob(), task
	s.requests = append(s.requests, expected)
}
