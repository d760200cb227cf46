package transport

import (
	"slices"
	"time"

	"batchterminator/worker/servicebustest/internal/frames"
)

// timer is something the loop does later.
type timer struct {
	at time.Time
	do func()
}

// after has the loop call do when d has passed, unless the connection ends first.
func (c *Conn) after(d time.Duration, do func()) {
	t := timer{time.Now().Add(d), do}
	i, _ := slices.BinarySearchFunc(c.timers, t, func(a, b timer) int {
		if a.at.After(b.at) {
			return 1
		}
		return -1 // equal times keep their order
	})
	c.timers = slices.Insert(c.timers, i, t)
	if i == 0 {
		c.clock.Reset(d)
	}
}

// tick does what is due.
func (c *Conn) tick() {
	now := time.Now()
	for len(c.timers) > 0 && !c.timers[0].at.After(now) {
		do := c.timers[0].do
		c.timers = slices.Delete(c.timers, 0, 1)
		do()
	}
	if len(c.timers) > 0 {
		c.clock.Reset(time.Until(c.timers[0].at))
	}
}

// beat writes an empty frame whenever nothing was written for half the time the
// client is willing to wait (part 2 §2.4.5).
func (c *Conn) beat(every time.Duration) {
	if c.phase != phaseUp {
		return
	}
	if quiet := time.Since(c.lastWrite); quiet < every {
		c.after(every-quiet, func() { c.beat(every) })
		return
	}
	if len(c.out) == 0 && !c.writing {
		c.out = frames.End(frames.Begin(c.out, frames.TypeAMQP, 0), 0)
		c.traceOut(0, 0)
	}
	c.after(every, func() { c.beat(every) })
}

// watchSilence closes the connection when the client has not kept up its side: it
// was told half of what we really grant it.
func (c *Conn) watchSilence() {
	allowed := 2 * c.cfg.IdleTimeout
	if quiet := time.Since(c.lastRead); quiet < allowed {
		c.after(allowed-quiet, c.watchSilence)
		return
	}
	c.closeWith(refusef(condLimit, "no frame received for %v", allowed))
}
