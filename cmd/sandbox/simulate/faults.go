package simulate

import (
	"math/rand/v2"
	"time"

	"batchterminator/cmd/sandbox/verdict"
)

// faultsEvery is how far apart faults begin on average.
const faultsEvery = 25 * time.Minute

// breakage is a sort of fault.
type breakage struct {
	name   string
	weight int
	// lasts lists how long it may go on; empty for a moment.
	lasts []time.Duration
	// begin breaks something; what it returns, if not nil, mends it.
	begin func(s *simulation, r *rand.Rand) (end func())
	// kind is what a fault that lasts may excuse; those of a moment note themselves where they strike.
	kind verdict.Kind
}

// planFaults draws what breaks when.
func (s *simulation) planFaults(r *rand.Rand, a *agenda, length time.Duration) {
	all := append(busFaults(), batchFaults()...)
	total := 0
	for _, b := range all {
		total += b.weight
	}
	for at := exponential(r, faultsEvery); at < length; at += exponential(r, faultsEvery) {
		n, b := r.IntN(total), all[0]
		for _, b = range all {
			if n -= b.weight; n < 0 {
				break
			}
		}
		var lasts time.Duration
		if len(b.lasts) > 0 {
			lasts = b.lasts[r.IntN(len(b.lasts))]
		}
		s.planFault(a, b, at, lasts, r.Uint64())
	}
}

func (s *simulation) planFault(a *agenda, b breakage, at, lasts time.Duration, seed uint64) {
	var end func()
	what := b.name
	if lasts > 0 {
		what += " for " + lasts.String()
		a.add(at+lasts, "", func() {
			if end != nil {
				end()
				end = nil
			}
		})
	}
	a.add(at, what, func() {
		if end = b.begin(s, rand.New(rand.NewPCG(seed, 0))); end != nil {
			s.undo = append(s.undo, func() {
				if end != nil {
					end()
				}
			})
		}
		if lasts > 0 {
			s.note(verdict.Fault{Kind: b.kind, At: time.Now(), Until: time.Now().Add(lasts), Name: b.name})
		}
	})
}

// note remembers a fault for the verdict.
func (s *simulation) note(f verdict.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, f)
}

// calm ends all faults.
func (s *simulation) calm() {
	for _, end := range s.undo {
		end()
	}
}
