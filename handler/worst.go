package handler

import "time"

// Worst is what one request costs at most, whatever Batch answers and for however long. It leaves out what restarts add:
// each delivery that a drain or the death of a worker interrupts may be made once more.
type Worst struct {
	// Calls is the most HTTP calls of one delivery, reads among them.
	Calls int
	// Delivery is the longest time that one delivery is worked on: the budget, and a last attempt that began just within it.
	Delivery time.Duration
	// Deliveries is the most deliveries of one request while no gate is closed: the shortest waits, until its age or count
	// ends it. Behind a closed gate nothing is fetched, and nothing given up.
	Deliveries int
}

const (
	// A guarded request reads the task before it terminates it, both twice if the task changes in between: attempt.go.
	callsPerAttempt = 4
	// An answer that does not say what became of the task is checked by one read more, and not tried again.
	lastRead = 1
	// Once in a delivery a refused token is renewed, and whatever was called up to the refusal is called again.
	callsBeforeRefusal = 4
)

// WorstCase returns the arithmetic of valid settings.
func WorstCase(r Retry, p Redelivery) Worst {
	return Worst{Calls: r.Attempts*callsPerAttempt + lastRead + callsBeforeRefusal, Delivery: r.Budget + serverTimeOut + answerMargin, Deliveries: p.deliveries()}
}

func (p Redelivery) deliveries() int {
	n := 1
	for bound, age := p.Initial, time.Duration(0); p.MaxCount == 0 || n <= p.MaxCount; n++ {
		shortest := max(bound/2, 1)
		age += shortest
		if age > p.MaxAge {
			break
		}
		if bound == p.Max && p.MaxCount == 0 {
			// From here on the waits are equal: no need to count them one by one.
			return n + 1 + int((p.MaxAge-age)/shortest)
		}
		bound = min(2*bound, p.Max)
	}
	return n
}
