package worker

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"batchterminator/handler"
)

// P9: the ledger stays within its bound and can be sent, whatever was in its place.
func TestLedgerIsBoundedAndCanBeSent(t *testing.T) {
	t.Parallel()
	const entry = "2026-01-31T17:00:00Z throttled/2"
	for name, before := range map[string]any{
		"none": nil, "not a text": int64(3), "empty": "",
		"no entry of ours": strings.Repeat("x", 3*maxLedger), "letters of two bytes": strings.Repeat("ä", maxLedger) + "!",
		"not UTF-8": "\xff\xfe", "separators": strings.Repeat("; ", maxLedger), "exactly full": strings.Repeat("y", maxLedger),
	} {
		got := extend(before, entry)
		if len(got) > maxLedger || !utf8.ValidString(got) || !strings.HasSuffix(got, entry) {
			t.Errorf("%s: ledger of %d bytes, %.20q...; want at most %d of valid text that ends in the new entry", name, len(got), got, maxLedger)
		}
	}
	var history any
	for range 200 {
		history = extend(history, entry)
	}
	entries := strings.Split(history.(string), "; ")
	if len(entries) != (maxLedger+2)/(len(entry)+2) || slices.ContainsFunc(entries, func(e string) bool { return e != entry }) {
		t.Errorf("%d entries after 200; want as many whole ones as fit", len(entries))
	}
}

// nth is the nth delivery of a message with these properties, which begins.
func nth(p *past, u *underway, n uint32, properties map[string]any) *delivery {
	m := message("a", 7)
	*m.EnqueuedTime = time.Date(2026, 1, 31, 17, 0, 0, 0, time.UTC)
	m.DeliveryCount, m.ApplicationProperties = n, properties
	d := newDelivery(nil, m)
	p.tell(d, u.others(d))
	u.begin(d)
	return d
}

// P10: what the delivery count says and nobody recorded is in the ledger too.
func TestDeliveriesThatNobodyRecordedAreInTheLedger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		result := handler.Result{Outcome: handler.Throttled, Attempts: 2}
		const now = "2000-01-01T00:00:00Z throttled/2"
		for name, c := range map[string]struct {
			count      uint32
			properties map[string]any
			unrecorded int
			ledger     string
		}{
			"first delivery":          {1, nil, 0, now},
			"count unknown":           {0, nil, 0, now},
			"third, nothing recorded": {3, nil, 2, "unrecorded; unrecorded; " + now},
			"third, both recorded":    {3, map[string]any{propLedger: "x; y", propAccounted: int64(2)}, 0, "x; y; " + now},
			"third, one recorded":     {3, map[string]any{propLedger: "x", propAccounted: int64(1)}, 1, "x; unrecorded; " + now},
			"a forged account":        {3, map[string]any{propLedger: "x", propAccounted: int64(3)}, 2, "x; unrecorded; unrecorded; " + now},
			"an account of no number": {2, map[string]any{propAccounted: "1"}, 1, "unrecorded; " + now},
		} {
			d := nth(newPast(), newUnderway(), c.count, c.properties)
			equal(t, name+": unrecorded", d.unrecorded, c.unrecorded)
			equal(t, name+": ledger", d.ledger(result, time.Now()), c.ledger)
		}
		d := nth(newPast(), newUnderway(), 1<<31, nil)
		if ledger := d.ledger(result, time.Now()); len(ledger) > maxLedger || d.unrecorded != maxGap || !strings.HasSuffix(ledger, "unrecorded; "+now) {
			t.Errorf("%d unrecorded, ledger of %d bytes, after a count of 2^31", d.unrecorded, len(ledger))
		}
	})
}

// What this process saw is no death of it: not while it is under way, nor when its settlement failed.
func TestDeliveriesThatThisProcessHadAreRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, u := newPast(), newUnderway()
		lost := nth(p, u, 1, nil)
		lost.result = handler.Result{Outcome: handler.LockLost, Attempts: 1}
		p.end(lost, settlement{kind: "none", result: "skipped"})
		u.end(lost)
		underWay := nth(p, u, 2, nil)
		third := nth(p, u, 4, nil)
		equal(t, "unrecorded", third.unrecorded, 1)
		equal(t, "earlier deliveries", third.missing, []string{"2000-01-01T00:00:00Z lock_lost/1 unsettled", "2000-01-01T00:00:00Z under_way", "unrecorded"})
		underWay.result = handler.Result{Outcome: handler.Terminated, Attempts: 1}
		p.end(underWay, settlement{kind: "complete", result: "lock_lost"})
		u.end(underWay)
		equal(t, "a later delivery", nth(p, u, 5, nil).missing, []string{"2000-01-01T00:00:00Z lock_lost/1 unsettled", "2000-01-01T00:00:00Z terminated/1 unsettled", "unrecorded", "2000-01-01T00:00:00Z under_way"})
		third.result = handler.Result{Outcome: handler.Terminated}
		p.end(third, settlement{kind: "complete", result: "ok"})
		equal(t, "messages remembered after the settlement", len(p.seen.at), 0)
	})
}

// P10: an abandoned message and a dead letter carry the chain of their deliveries.
func TestChainIsOnTheMessageWhereItLivesOn(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[handler.Outcome]map[string]any{
		handler.Panic:   {propLedger: "x; unrecorded; 2000-01-01T00:00:00Z panic/1", propAccounted: int64(2)},
		handler.Refused: {propLedger: "x; unrecorded; 2000-01-01T00:00:00Z refused/1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := message("a", 1)
			m.DeliveryCount, m.ApplicationProperties = 1, map[string]any{propLedger: "x"} // this delivery is the second
			queue := newScripted(m)
			r := run(t, queue, always(outcome))
			synctest.Wait()
			equal(t, outcome.String()+": written", queue.written, []map[string]any{want})
			r.end()
		})
	}
}

// A delivery that this process lost the lock of is told in its own words, and a message that is settled is forgotten.
func TestMessageThatComesBackToTheSameProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := message("a", 1)
		queue := newScripted(m)
		outcome := handler.LockLost
		r := run(t, queue, decisions(func(context.Context, handler.Message) handler.Result {
			return handler.Result{Outcome: outcome, Attempts: 1}
		}))
		synctest.Wait()
		outcome = handler.Refused
		queue.add(m)
		synctest.Wait()
		equal(t, "written", queue.written, []map[string]any{{propLedger: "2000-01-01T00:00:00Z lock_lost/1 unsettled; 2000-01-01T00:00:00Z refused/1"}})
		equal(t, "messages remembered", len(r.past.seen.at), 0)
		r.end()
	})
}
