package worker

// The ledger: what became of each delivery of a request, in a property that travels on the message through copies, abandons
// and into the dead-letter queue (promise P10). People read it; nothing is decided on it, since anyone can write there.
//
// A delivery that ends without a settlement leaves no entry: nothing can be written to a message but by settling it. The next
// delivery makes up for it. Its delivery count says how many there were; those that this process had are in its memory, and
// of the others all that is known is that nobody recorded their end: the process died, or the message never arrived.

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"batchterminator/handler"
)

const (
	// maxLedger bounds the ledger, in bytes.
	maxLedger = 2 << 10
	// maxGap bounds the entries for deliveries that nobody recorded: more would not fit.
	maxGap = 100
	// unrecorded is the entry of a delivery whose end nobody recorded.
	unrecorded = "unrecorded"
	separator  = "; "
)

// entry is a delivery's line, "2026-01-31T17:00:00Z throttled/2" for two attempts that ended so.
func entry(r handler.Result, now time.Time) string {
	return now.UTC().Format(time.RFC3339) + " " + r.Outcome.String() + "/" + strconv.Itoa(r.Attempts)
}

// extend adds entries and drops the oldest that no longer fit. What is not text cannot be sent, what has no entries cannot
// be cut.
func extend(before any, entries ...string) string {
	all := strings.Join(entries, separator)
	if history, _ := before.(string); history != "" && utf8.ValidString(history) {
		all = history + separator + all
	}
	for len(all) > maxLedger {
		_, all, _ = strings.Cut(all, separator) // an entry of ours fits, so there is always one to cut off
	}
	return all
}

// ledger is the message's history with what is known of its deliveries up to this one, which came to r.
func (d *delivery) ledger(r handler.Result, now time.Time) string {
	return extend(d.msg.ApplicationProperties[propLedger], append(slices.Clone(d.missing), entry(r, now))...)
}

// handedBack is what an abandon writes on the message.
func (d *delivery) handedBack(r handler.Result) map[string]any {
	properties := map[string]any{propLedger: d.ledger(r, time.Now()), propAccounted: int64(d.msg.DeliveryCount)}
	if after := d.suspicionAfter(r); after != d.suspicion {
		properties[propSuspect] = int64(after)
	}
	d.inscribe(properties)
	return properties
}

// past remembers the deliveries that this process had and could not settle, since their messages may come back.
type past struct {
	mu   sync.Mutex
	seen memory[place, []passage] // under mu
}

// passage is one delivery, and what is known of it.
type passage struct {
	count uint32 // the delivery count
	begun time.Time
	ended string // its entry, "" while it is under way
}

func (p passage) entry() string {
	if p.ended == "" {
		return p.begun.UTC().Format(time.RFC3339) + " under_way"
	}
	return p.ended
}

func newPast() *past { return &past{seen: newMemory[place, []passage]()} }

// tell tells a delivery what became of those before it; some are still under way.
func (p *past) tell(d *delivery, underway []passage) {
	this := int(d.msg.DeliveryCount)
	accounted := count(d.msg, propAccounted)
	if accounted >= this { // not of this message: our own entry is of a delivery before this one
		accounted = 0
	}
	if accounted+1 >= this { // nearly always
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	place, _ := d.place()
	seen, _ := p.seen.get(place)
	seen = append(slices.Clone(seen), underway...)
	for n := max(accounted+1, this-maxGap); n < this; n++ {
		i := slices.IndexFunc(seen, func(s passage) bool { return int(s.count) == n })
		if i < 0 {
			d.unrecorded++
			d.missing = append(d.missing, unrecorded)
			continue
		}
		d.missing = append(d.missing, seen[i].entry())
	}
}

// end notes what a delivery came to, unless the broker has confirmed its settlement.
func (p *past) end(d *delivery, s settlement) {
	place, known := d.place()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case s.result == "ok":
		p.seen.remove(place)
	case known:
		seen, _ := p.seen.get(place)
		line := passage{d.msg.DeliveryCount, d.received, entry(d.result, time.Now()) + " unsettled"}
		seen = append(slices.Clone(seen), line)
		p.seen.put(place, seen[max(0, len(seen)-maxGap):])
	}
}
