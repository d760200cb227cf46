package handler

// The first level of retry: attempts inside one delivery, while the lock is held. The second is redelivery.go.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Retry bounds the attempts inside one delivery. The zero value is not valid; [DefaultRetry] is.
type Retry struct {
	// Attempts is the most tries within one delivery, at least 1.
	Attempts int
	// Initial and Max bound the wait before the second and any later try. Each wait is uniform between 0 and the bound (full
	// jitter), which doubles from Initial to Max.
	Initial, Max time.Duration
	// Budget ends the tries of one delivery: no try starts after it.
	Budget time.Duration
	// MaxWait is the longest single wait that is worth holding a lock for. A longer one, Retry-After included, is left to
	// redelivery.
	MaxWait time.Duration
}

// DefaultRetry is the default of every field.
var DefaultRetry = Retry{Attempts: 4, Initial: time.Second, Max: 20 * time.Second, Budget: time.Minute, MaxWait: 15 * time.Second}

// Validate reports every field that is out of its bounds.
func (r Retry) Validate() error {
	var errs []error
	if r.Attempts < 1 {
		errs = append(errs, fmt.Errorf("attempts: %d; at least 1", r.Attempts))
	}
	if r.Initial <= 0 || r.Max < r.Initial {
		errs = append(errs, fmt.Errorf("retry waits: %v to %v; the first must be above 0 and not above the second", r.Initial, r.Max))
	}
	if r.Budget <= 0 || r.MaxWait < 0 {
		errs = append(errs, fmt.Errorf("retry budget %v and longest wait %v: the first must be above 0, the second not below", r.Budget, r.MaxWait))
	}
	return errors.Join(errs...)
}

// pace is the backoff.BackOff of one delivery: the library's exponential, with Retry-After as a floor and our three ends.
type pace struct {
	limits   Retry
	interval *backoff.ExponentialBackOff // made for the first wait: most requests need none
	start    time.Time
	tries    int
	floor    time.Duration // set by the last answer
}

func (r Retry) pace() *pace { return &pace{limits: r, start: time.Now()} }

// Reset implements [backoff.BackOff].
func (p *pace) Reset() { p.interval = nil }

// NextBackOff implements [backoff.BackOff].
func (p *pace) NextBackOff() time.Duration {
	if p.interval == nil {
		p.interval = p.limits.interval()
	}
	wait := max(p.interval.NextBackOff(), p.floor)
	if p.tries >= p.limits.Attempts || wait > p.limits.MaxWait || time.Since(p.start)+wait > p.limits.Budget {
		return backoff.Stop
	}
	return wait
}

// interval is the library's exponential, whose jitter is around its interval by a factor: half the bound ± 100 % is uniform from
// 0 to the bound.
func (r Retry) interval() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(r.Initial/2),
		backoff.WithMaxInterval(r.Max/2),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(1),
		backoff.WithMaxElapsedTime(0), // its default of 15 minutes outlives any lock; the budget ends the tries
	)
}

// errAgain keeps the library going; the real error and verdict are kept beside it, because on a cancelled context the
// library returns only the context's.
var errAgain = errors.New("try again")

// run makes attempts until one verdict stands, and returns that verdict and the last real error.
func (r Retry) run(ctx context.Context, c *call) (v verdict, last error) {
	p := r.pace()
	_ = backoff.Retry(func() error {
		// The library runs the first try even on a context that is already done.
		if ctx.Err() != nil {
			v = classifyCause(context.Cause(ctx))
			return nil
		}
		var err error
		if v, err = c.attempt(ctx); err != nil || !v.retry {
			last = err // a gate that refused has no error of its own
		}
		p.floor = c.result.RetryAfter
		if !c.refused {
			p.tries++ // waiting for a gate costs time, not tries
		}
		if v.retry {
			return errAgain
		}
		return nil
	}, backoff.WithContext(p, ctx))
	if v.retry && ctx.Err() != nil {
		// Cancelled while waiting for the next try.
		v = classifyCause(context.Cause(ctx))
	}
	return v, last
}
