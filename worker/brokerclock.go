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
	// clockMemory is for how long at least a grant is compared with the later ones.
	clockMemory = time.Minute
)

// brokerClock tells how late the grants of one connection come, though the broker's clock may differ from ours: by a constant,
// so that the grant whose end seems farthest away came the soonest, and another is as much later as its end seems nearer. What
// is late has met a standstill of the process or of the network, and its lock may have ended. Its methods are safe for
// concurrent use; the zero value is ready.
type brokerClock struct {
	mu           sync.Mutex
	first        time.Time     // when the first grant came, under mu
	turned       time.Time     // when best began, under mu
	best, before time.Duration // the most that a lock seemed to have left: since turned, and in the time before that, under mu
}

// granted returns when a lock ends that was asked for at asked and of whose grant we hear now. It is on this machine's
// monotonic clock: from here on, a clock that is set does not matter.
func (b *brokerClock) granted(until *time.Time, asked, now time.Time) time.Time {
	late := now.Sub(asked) - pollLimit - guardMargin // no receive that nothing stopped lasts for longer
	if until == nil {
		return now.Add(shortestLock - max(late, 0))
	}
	left, behind := b.compare(*until, now)
	sure := shortestLock - max(late, behind, 0)
	if left > longestLock { // was not granted: then nothing is known but the least
		return now.Add(sure)
	}
	return now.Add(max(left, sure))
}

// compare returns how much a lock seems to have left, and how much less than that of the soonest grant it is. Our clock is as
// it was set at the first grant: one that is set later makes no grant late.
func (b *brokerClock) compare(until, now time.Time) (left, behind time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first.IsZero() {
		b.first, b.turned = now, now
		b.best = until.Sub(now)
		b.before = b.best
	}
	left = until.Sub(b.first.Add(now.Sub(b.first)))
	if now.Sub(b.turned) >= clockMemory { // what comes now may be late itself, which only an earlier one tells
		b.turned, b.best, b.before = now, left, b.best
	}
	b.best = max(b.best, left)
	return left, max(b.best, b.before) - left
}
