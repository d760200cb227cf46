package handler

// The second level of retry: when a request that could not finish comes back, and when it is given up.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Redelivery is the schedule of later deliveries. The zero value is not valid; [DefaultRedelivery] is.
type Redelivery struct {
	// Initial and Max bound the wait: it doubles with each redelivery from Initial to Max, and is drawn from the upper half
	// of that, so that a burst does not come back as one.
	Initial, Max time.Duration
	// MaxAge ends a request that keeps failing, counted from its first enqueue. Each has a second delivery at least.
	MaxAge time.Duration
	// MaxCount ends a request after so many redeliveries; 0 means that only its age does.
	MaxCount int
}

// DefaultRedelivery is the default of every field.
var DefaultRedelivery = Redelivery{Initial: 30 * time.Second, Max: 15 * time.Minute, MaxAge: 24 * time.Hour}

// Validate reports every field that is out of its bounds.
func (p Redelivery) Validate() error {
	var errs []error
	if p.Initial <= 0 || p.Max < p.Initial {
		errs = append(errs, fmt.Errorf("redelivery waits: %v to %v; the first must be above 0 and not above the second", p.Initial, p.Max))
	}
	if p.MaxAge < p.Initial {
		errs = append(errs, fmt.Errorf("max age: %v; it must not be below the first redelivery wait of %v", p.MaxAge, p.Initial))
	}
	if p.MaxCount < 0 {
		errs = append(errs, fmt.Errorf("max redeliveries: %d; at least 0", p.MaxCount))
	}
	return errors.Join(errs...)
}

// Next returns how long the request waits for its next delivery, or gives it up: then ok is false and the returned
// result dead-letters it.
//
// accountDown says that the account's gate is closed. A request is never given up for its age or count then: an outage
// longer than the maximum age must not empty the queue into its dead-letter queue (promise P4). A drain costs no wait and
// no redelivery either. Only the sender's own time to live ends a request in any case.
func (p Redelivery) Next(m Message, r Result, accountDown bool) (wait time.Duration, result Result, ok bool) {
	now := time.Now()
	switch r.Outcome {
	case Draining:
	case Isolated:
		wait = r.RetryAfter
	default:
		wait = max(p.wait(m.Redeliveries), r.RetryAfter)
	}
	if !m.ExpiresAt.IsZero() && !now.Add(wait).Before(m.ExpiresAt) {
		return 0, r.GaveUp(Expired, "the message expires before the next delivery"), false
	}
	if accountDown || r.Outcome == Draining || r.Outcome == Isolated || r.Outcome.Decision() == Pause {
		return wait, r, true
	}
	// A request that has waited for its first delivery for so long, while no worker ran, has not been tried again yet.
	if (m.Redeliveries > 0 || m.Deliveries > 1) && !m.FirstEnqueued.IsZero() && now.Add(wait).Sub(m.FirstEnqueued) > p.MaxAge {
		return 0, r.GaveUp(RetriesExhausted, fmt.Sprintf("still %s after %v", r.Outcome, p.MaxAge)), false
	}
	if p.MaxCount > 0 && m.Redeliveries >= p.MaxCount {
		return 0, r.GaveUp(RetriesExhausted, fmt.Sprintf("still %s after %d redeliveries", r.Outcome, m.Redeliveries)), false
	}
	return wait, r, true
}

func (p Redelivery) wait(redeliveries int) time.Duration {
	bound := p.Initial
	for range redeliveries {
		if bound >= p.Max {
			break
		}
		bound *= 2
	}
	bound = min(bound, p.Max)
	return bound/2 + rand.N(bound/2+1)
}

// GaveUp is the result of a request that is given up; the last answer's detail stays behind the reason.
func (r Result) GaveUp(o Outcome, why string) Result {
	if r.Detail != "" {
		why += "; last: " + r.Detail
	}
	r.Outcome, r.Detail = o, why
	return r
}
