package worker

import "time"

// climbTime is how long the concurrency of an account takes from nothing to all of it.
const climbTime = 30 * time.Second

// climb is how many calls to one account may be under way: all, until Batch throttles; then half as many, and as the
// gate opens again additively more until it is all. Multiplicative decrease and additive increase is what lets clients
// that do not know of each other share a limit that none of them knows (Chiu and Jain 1989).
//
// It climbs with time, not with answers, so that slow calls do not keep an account that has recovered at half its rate.
type climb struct {
	most  int
	from  int       // where it starts; 0: nothing limits it below most
	since time.Time // zero: not yet, the gate is closed
}

// at returns the limit at a time.
func (c *climb) at(now time.Time) int {
	if c.from == 0 {
		return c.most
	}
	if c.since.IsZero() {
		return c.from
	}
	gained := float64(now.Sub(c.since)) / float64(climbTime) * float64(c.most)
	if limit := c.from + int(gained); limit < c.most {
		return limit
	}
	c.from, c.since = 0, time.Time{}
	return c.most
}

// halve is called when Batch throttles.
func (c *climb) halve(now time.Time) {
	c.from, c.since = max(1, c.at(now)/2), time.Time{}
}

// start is called when the gate opens.
func (c *climb) start(now time.Time) {
	if c.from != 0 && c.since.IsZero() {
		c.since = now
	}
}

// step is how long one more call takes to be allowed.
func (c *climb) step() time.Duration { return climbTime / time.Duration(c.most) }
