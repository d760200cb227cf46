package worker

import (
	"sync"
	"time"
)

const (
	// Service Bus grants no less than shortestLock and no more than longestLock. A lock that has just been granted and seems
	// to end outside of that tells of two clocks that disagree.
	shortestLock = 5 * time.Second
	longestLock  = 5 * time.Minute
	// clockSlack is how far the two clocks may differ for a lock that seems longer to be taken for the longest.
	clockSlack = time.Minute
	// clockMemory is for how long at least a grant is compared with the later ones.
	clockMemory = time.Minute
)

// brokerClock tells how late the grants of one connection come, though the broker's clock may differ from ours: by a constant,
// so that the grant whose end seems farthest away came the soonest, and another is as much later as its end seems nearer. What
// is late has met a standstill of the process or of the network, and its lock may have ended. A grant for much longer than there
// are tells nothing of others: it may be one broken message. Its methods are safe for concurrent use; the zero value is ready.
type brokerClock struct {
	mu           sync.Mutex
	last         time.Time     // when the last grant came, under mu
	turned       time.Time     // when best began, under mu
	best, before time.Duration // the most that a lock seemed to have left: since turned, and in the time before that, under mu
}

// granted returns when a lock ends of whose grant we hear now, and which was given that long ago for all that the caller knows.
// The end is on this machine's monotonic clock: from here on, a clock that is set does not matter.
func (b *brokerClock) granted(until *time.Time, ago time.Duration, now time.Time) time.Time {
	if until == nil || until.Sub(now) > longestLock+clockSlack { // longer was not granted: then nothing is known but the least
		return now.Add(shortestLock - ago)
	}
	left := until.Sub(now)
	late := b.late(left, now)
	return now.Add(max(min(left, longestLock-late), shortestLock-max(ago, late)))
}

// late returns how much later than the soonest grant this one came, whose lock seems to have so much left.
func (b *brokerClock) late(left time.Duration, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last.IsZero() {
		b.last, b.turned, b.best, b.before = now, now, left, left
	}
	b.set(now.Round(0).Sub(b.last.Round(0)) - now.Sub(b.last)) // Round takes the monotonic reading away
	if now.Sub(b.turned) >= clockMemory {                      // what comes now may be late itself, which only an earlier one tells
		b.turned, b.best, b.before = now, left, b.best
	}
	b.last, b.best = now, max(b.best, left)
	return max(b.best, b.before) - left
}

// set has all that is remembered be by our clock as it is after having been set forward. Called with mu held.
func (b *brokerClock) set(forward time.Duration) {
	b.best -= forward
	b.before -= forward
}
