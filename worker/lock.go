package worker

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"batchterminator/handler"
)

const (
	// renewLimit bounds one renewal, so that one that hangs delays no other.
	renewLimit = 5 * time.Second
	// renewAgain is the wait after a renewal that failed for another reason than a lost lock.
	renewAgain = time.Second
)

// lock keeps the lock of one message while its work is under way, and is the context of that work. It costs a timer, no
// goroutine, until a renewal is due, which is never for most messages.
type lock struct {
	context.Context // ends with the work, or ends it; renewals end with it
	cancel          context.CancelCauseFunc
	worker          *Worker
	delivery        *delivery
	deadline        time.Time // no renewal after it

	mu      sync.Mutex
	timer   *time.Timer    // the next renewal, under mu
	dueAt   time.Time      // when the renewal was due that has not been granted yet, under mu
	expires time.Time      // as granted last, under mu
	stopped bool           // under mu
	lost    bool           // under mu; fixed after stop
	vain    int            // renewals in a row without an answer, by the one under way
	renewal sync.WaitGroup // the renewal under way
}

// Operations is the most Service Bus operations of a delivery that is worked on for so long, while Service Bus works: its
// receive, a renewal at half of each lock, of the shortest that there are, and a copy and a settlement in the end.
func Operations(delivery time.Duration) int { return 3 + int(delivery/(shortestLock/2)) }

// hold starts to keep d's lock, whose context ends with handler.ErrLockLost once that cannot be done. Who works on the
// delivery calls stop when the work has its outcome. The context is nobody's child: to be one of so many costs more than
// the call of the SDK. See underway.interrupt.
func (w *Worker) hold(d *delivery) *lock {
	l := &d.lock
	l.worker, l.delivery = w, d
	l.Context, l.cancel = context.WithCancelCause(context.Background())
	l.deadline = d.received.Add(w.config.MaxLock)
	l.mu.Lock() // the timer may fire before it is assigned
	defer l.mu.Unlock()
	l.expires = d.lockEnds
	l.timer = time.AfterFunc(l.due(d.received), l.renew)
	return l
}

// lockKey is where a delivery's context carries its lock.
type lockKey struct{}

// Value implements context.Context.
func (l *lock) Value(key any) any {
	if key == (lockKey{}) {
		return l
	}
	return l.Context.Value(key)
}

// stillHeld is the last look before a call. The context of a delivery ends with its lock, but after a standstill of the
// whole process what was due meanwhile comes in any order, a call before the end of its lock.
func stillHeld(ctx context.Context) bool {
	l, ok := ctx.Value(lockKey{}).(*lock)
	if !ok {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.expires) {
		return true
	}
	if !l.stopped {
		l.lose("the lock expired before it could be renewed: the process stood still")
	}
	return false
}

// due is when to renew next: at 50 to 60 % of what remains, so that messages received together do not renew together.
// Called with mu held.
func (l *lock) due(now time.Time) time.Duration {
	left := max(l.expires.Sub(now), 0)
	wait := left/2 + rand.N(left/10+1)
	l.dueAt = l.expires.Add(wait - left)
	return wait
}

// renew runs on its own goroutine, started by the timer.
func (l *lock) renew() {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	l.renewal.Add(1)
	// Past the expiry the message may be someone else's: an answer that is late by then comes too late for the work.
	limit := min(renewLimit, time.Until(l.expires))
	l.mu.Unlock()
	defer l.renewal.Done()

	expires, err := l.ask(limit)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch {
	case l.stopped:
		return
	case err == nil:
		l.worker.metrics.Renewal("ok")
		l.worker.metrics.RenewalLateness(now.Sub(l.dueAt))
		l.expires = expires
		if !now.Before(l.deadline) {
			l.lose("the longest time to hold a lock is over")
			return
		}
		l.timer.Reset(l.due(now))
	case lockLost(err):
		l.worker.metrics.Renewal("lock_lost")
		l.lose("the broker no longer knows the lock")
	default:
		l.worker.metrics.Renewal("failed")
		if !now.Add(renewAgain).Before(l.expires) {
			l.lose("the lock expired before it could be renewed: " + err.Error())
			return
		}
		l.timer.Reset(renewAgain)
	}
}

// ask asks the broker, and takes note of a client that renews nothing.
func (l *lock) ask(limit time.Duration) (time.Time, error) {
	w := l.worker
	ctx, cancel := context.WithTimeout(l, limit)
	defer cancel()
	c, err := w.clients.get(ctx)
	if err != nil {
		return time.Time{}, err
	}
	w.metrics.Operation("renew")
	expires, err := c.renew(ctx, limit, l.delivery.msg.LockToken)
	if err != nil {
		l.blame(c, err)
		return time.Time{}, err
	}
	l.vain = 0
	return expires, nil
}

// blame ends a client that renews no lock: its right to do so is gone, or the management link is, and receives tell of
// neither. One renewal without an answer may be the loss of just that.
func (l *lock) blame(c *client, err error) {
	switch {
	case unauthorized(err), detached(err):
		c.fail("renew", err)
	case idle(err) && l.Err() == nil && c.ctx.Err() == nil:
		if l.vain++; l.vain > 1 {
			c.fail("renew", err)
		}
	}
}

// lose is called with mu held.
func (l *lock) lose(why string) {
	l.stopped, l.lost = true, true
	l.worker.metrics.LockLost()
	l.worker.log.Warn("lock lost during the work; the next delivery decides", append(l.delivery.ids(), zap.String("why", why))...)
	l.cancel(handler.ErrLockLost)
}

// stop ends renewing, before settling starts, and returns what is left of the lock. A renewal under way is cut short: the
// settlement does not wait for its answer.
func (l *lock) stop() time.Duration {
	l.mu.Lock()
	l.stopped = true
	l.timer.Stop()
	left := time.Until(l.expires)
	l.mu.Unlock()
	l.cancel(nil)
	l.renewal.Wait()
	return left
}
