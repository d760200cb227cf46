package verdict

import (
	"testing"
	"time"

	"batchterminator/worker/servicebustest"
)

func TestPaceCountsToTheLastEndOfARequest(t *testing.T) {
	t.Parallel()
	v := healthy().judge() // requests that took 0, 1 and 70 seconds
	if want := (Pace{time.Second, 70 * time.Second, 70 * time.Second}); v.Pace != want {
		t.Errorf("%+v; want %+v", v.Pace, want)
	}
}

func TestRecoveryIsTheFirstSecondAtFullPace(t *testing.T) {
	t.Parallel()
	var e Evidence
	ended := func(seconds ...float64) {
		for _, s := range seconds {
			e.Ledger = append(e.Ledger, sent("x", 1).note(servicebustest.EventCompleted, s).MessageHistory)
		}
	}
	expect := func(after, want float64) {
		t.Helper()
		if got := e.Recovery(at(after), 4, 0.75); got != time.Duration(want*float64(time.Second)) {
			t.Errorf("%v after %v s; want %v s", got, after, want)
		}
	}
	expect(10, 0) // there was nothing to do
	ended(9, 9.1, 9.2, 9.3, 12, 14)
	expect(10, 4) // the queue was empty after two
	ended(20, 20.5, 20.9, 21)
	expect(10, 10.9)
}
