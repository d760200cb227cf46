package worker

import (
	"math"
	"sync/atomic"
	"time"
)

// refillTrips is how many round trips of work the ready buffer holds. One is too few, since a refill is itself one.
const refillTrips = 2

// ready sizes the ready buffer: about two round trips to the broker of work, at most a quarter of the concurrency. With
// calls of a second nobody has to wait under lock for long; with calls of 20 ms the handlers never run dry.
// Its methods are safe for concurrent use; averages of concurrent observers may lose one, which does not matter.
type ready struct {
	concurrency int
	fixed       int // the size when it is not to be measured, else negative

	call atomic.Int64 // moving average of a call, ns
	trip atomic.Int64 // moving average of a settlement's round trip, ns
}

func (r *ready) observe(call time.Duration)  { average(&r.call, call) }
func (r *ready) observeTrip(d time.Duration) { average(&r.trip, d) }

// average moves by a sixteenth towards d.
func average(a *atomic.Int64, d time.Duration) {
	old := a.Load()
	if old == 0 {
		old = int64(d)
	}
	a.Store(old + (int64(d)-old)/16)
}

func (r *ready) size() int {
	if r.fixed >= 0 {
		return r.fixed
	}
	most := r.concurrency / 4
	call, trip := float64(r.call.Load()), float64(r.trip.Load())
	if call <= 0 {
		return min(1, most)
	}
	return max(min(1, most), min(most, int(math.Ceil(float64(r.concurrency)*refillTrips*trip/call))))
}
