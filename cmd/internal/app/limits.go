package app

import "time"

// Limits is what the settings come to in the worst case, for the line that a start logs.
type Limits struct {
	// Delivery is the longest time that one delivery is worked on: the budget and a last call that began just within it.
	Delivery time.Duration
	// Deliveries is the most times that one request is delivered while Batch fails and no gate stops it: the shortest waits,
	// which are half of the nominal ones, until its age or count ends it.
	Deliveries int
	// Held is the most messages under lock at once.
	Held int
}

// Limits returns the arithmetic of valid settings.
func (s *Settings) Limits() Limits {
	buffer := int(s.Worker.ReadyBuffer)
	if buffer < 0 {
		buffer = s.Worker.Concurrency / 4
	}
	return Limits{Delivery: s.Retry.Budget + longestCall, Deliveries: s.Retry.deliveries(), Held: s.Worker.Concurrency + buffer}
}

func (r RetrySettings) deliveries() int {
	n := 1
	for wait, age := r.RedeliveryInitial, time.Duration(0); r.MaxRedeliveries == 0 || n <= r.MaxRedeliveries; n++ {
		age += wait / 2
		if age > r.MaxAge {
			break
		}
		wait = min(2*wait, r.RedeliveryMax)
		if wait == r.RedeliveryMax && r.MaxRedeliveries == 0 {
			// From here on the waits are equal: no need to count them one by one.
			return n + 1 + int((r.MaxAge-age)/(wait/2))
		}
	}
	return n
}
