package simulate

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// stood counts runs that left a bubble behind, in which time stands still.
var stood atomic.Int64

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && stood.Load() == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// setting reads a number from the environment.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(cmp.Or(os.Getenv(name), strconv.FormatUint(otherwise, 10)), 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// open lists the lines that a day may miss here, by a lock or a call: beside other tests, on two processors, one day in some
// hundreds does, and nobody can replay it. SIM_STRICT=1, and the commands sandbox simulate and sandbox days, make it a failure.
// What would be damage always is one: a request lost, finished without certainty, wrongly dead-lettered, a call that leaves its
// path, a task that was to be spared.
var open = map[string]bool{"P5": true, "P7": true, "P10": true, "I4": true, "I12": true}

// P1 to P10 and the invariants, over days in which everything breaks, one after the other.
// SIM_FROM=1 SIM_SEEDS=2000 SIM_STRICT=1 goes through many.
func TestDaysOfProductionKeepEveryPromise(t *testing.T) {
	from, seeds := setting(t, "SIM_FROM", 1), setting(t, "SIM_SEEDS", 3)
	for seed := from; seed < from+seeds; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			day(t, seed)
		})
	}
}

// Days that found something. A replay comes near what happened then, not always up to it: what was found has a test of its
// own, which is named here.
func TestDaysThatFoundBugsStayWell(t *testing.T) {
	for seed, found := range map[uint64]string{
		6:    "a lost answer made a condition unmet, and a dead letter of a request that had succeeded: handler, TestAnUnmetConditionMayBeTheRequestsOwnDoing",
		20:   "a management link was idle for ten minutes, and its end cost all messages that the SDK held: worker, TestEndOfTheManagementLinkEndsTheClientBeforeTheNextRenewal",
		21:   "one refusal of the right to send was believed for hours, and abandoned messages spent ten deliveries in a moment: worker, TestRightToSendIsAskedForAgain, TestRefusedCopiesDoNotSpendAllDeliveriesBeforeTheWorkerAsksAgain",
		109:  "two renewals and the first call of a new client went unanswered, and the lock ended meanwhile: worker, TestThreeLostAnswersInARowCostNoLock",
		1907: "a receive had ended while the broker's answer was still behind messages, which were taken for credit given up: worker, TestNothingIsLeftToTheSDKWhileASlowLineAnswers",
	} {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Log(found)
			day(t, seed)
		})
	}
}

// day runs one simulation and says how to see it again.
func day(t *testing.T, seed uint64) {
	t.Helper()
	r := Run(t.Context(), Config{Seed: seed, Hours: 24})
	if r.Standstill {
		stood.Add(1)
		t.Skip(r.Problem)
	}
	t.Logf("%d requests, %d messages, %d calls, %d faults, %d workers, %d kills, %+v excused, %d recovered, %d twins; plan %s, course %s, %.1f s",
		r.Requests, r.Messages, r.Calls, r.Faults, r.Workers, r.Kills, r.Excused, r.Recovered, r.DuplicatedEnds, r.Plan, r.Course, r.Seconds)
	if r.Problem != "" {
		t.Error(r.Problem)
	}
	strict := setting(t, "SIM_STRICT", 0) != 0
	for _, l := range r.Lines {
		switch {
		case l.Holds:
		case open[l.ID] && !strict:
			t.Logf("missed, and open: %s %s: %s", l.ID, l.Name, l.Detail)
		default:
			t.Errorf("%s %s: %s", l.ID, l.Name, l.Detail)
		}
	}
	for _, story := range r.Stories {
		t.Log(story)
	}
	if t.Failed() {
		t.Logf("go run ./cmd/sandbox simulate --seed %d --verbose", seed)
	}
}
