package check

import (
	"fmt"
	"strings"
	"time"
)

const (
	// Batch refuses what is dated 15 minutes off, and identities refuse tokens sooner.
	clockFails = 10 * time.Minute
	clockWarns = 10 * time.Second
	// standardLock is the lock duration of a queue that names none.
	standardLock = time.Minute
)

// clock is a service's time, between two of ours.
type clock struct {
	source               string
	date, sent, received time.Time
}

// ahead is how far our clock is before the service's, and within which bounds that is known: a Date has whole seconds.
func (c clock) ahead() (d, within time.Duration) {
	half := c.received.Sub(c.sent) / 2
	return c.sent.Add(half).Sub(c.date.Add(time.Second / 2)), half + time.Second/2
}

// judgeClocks goes by the worst. A clock that is behind makes locks look longer than they are: they are renewed at half of
// what seems to be left.
func judgeClocks(clocks []clock, e entity) verdict {
	lock := standardLock
	if e.read {
		lock = e.LockDuration
	}
	const action = "set this machine's clock right: let it follow a time server"
	var parts []string
	worst := pass("")
	known := 0
	for _, c := range clocks {
		if c.date.IsZero() {
			continue
		}
		known++
		d, within := c.ahead()
		if max(d, -d) <= within {
			parts = append(parts, c.source+": the same")
			continue
		}
		parts = append(parts, fmt.Sprintf("%s: ours is %s %s", c.source, brief(max(d, -d).Round(time.Second)), direction(d)))
		switch off := max(d, -d) - within; {
		case off >= clockFails, d < 0 && off >= lock/2:
			worst = fail(action, "")
		case off >= clockWarns && worst.status == Pass:
			worst = warn(action, "")
		}
	}
	if known == 0 {
		return verdict{status: Skip, detail: "skipped because no service told the time"}
	}
	worst.detail = strings.Join(parts, "; ")
	if worst.status == Fail {
		worst.detail += "; calls are refused, or locks are lost that seem to last"
	}
	return worst
}

func direction(d time.Duration) string {
	if d < 0 {
		return "behind"
	}
	return "ahead"
}
