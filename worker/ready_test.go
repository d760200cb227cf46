package worker

import (
	"testing"
	"time"
)

// About two round trips of work, at most a quarter of the concurrency, one while nothing is measured.
func TestReadyBufferHoldsTwoRoundTripsOfWork(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		concurrency, fixed int
		call, trip         time.Duration
		want               int
	}{
		"fixed":                          {100, 7, 50 * ms, 5 * ms, 7},
		"none on request":                {100, 0, 50 * ms, 5 * ms, 0},
		"nothing measured":               {100, Measured, 0, 0, 1},
		"the measured optimum":           {100, Measured, 50 * ms, 5 * ms, 20},
		"rounded up":                     {100, Measured, 51 * ms, 5 * ms, 20},
		"slow calls":                     {100, Measured, 2000 * ms, 5 * ms, 1},
		"no trip measured yet":           {100, Measured, 50 * ms, 0, 1},
		"fast calls":                     {100, Measured, ms, 50 * ms, 25},
		"too small for one":              {3, Measured, ms, 50 * ms, 0},
		"too small and nothing measured": {1, Measured, 0, 0, 0},
	} {
		r := &ready{concurrency: c.concurrency, fixed: c.fixed}
		if c.call > 0 {
			r.observe(c.call)
		}
		if c.trip > 0 {
			r.observeTrip(c.trip)
		}
		equal(t, name, r.size(), c.want)
	}
}

func TestReadyBufferFollowsWhatCallsTake(t *testing.T) {
	t.Parallel()
	r := &ready{concurrency: 100, fixed: Measured}
	r.observe(time.Second)
	r.observeTrip(5 * time.Millisecond)
	for range 100 {
		r.observe(50 * time.Millisecond)
	}
	if n := r.size(); n < 18 || n > 20 {
		t.Errorf("%d after calls became fast; want about 20", n)
	}
}
