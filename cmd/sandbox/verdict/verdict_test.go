package verdict

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

var start = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

const lockSeconds = 60

// script writes the ledger of one message.
type script struct {
	servicebustest.MessageHistory
	token byte
}

func sent(id string, seconds float64) *script {
	s := &script{}
	s.MessageID = id
	s.note(servicebustest.EventEnqueued, seconds)
	return s
}

func (s *script) note(kind servicebustest.EventKind, seconds float64) *script {
	e := servicebustest.Event{Kind: kind, At: at(seconds)}
	if kind == servicebustest.EventDelivered {
		s.token++
	}
	if kind != servicebustest.EventEnqueued {
		e.LockToken = servicebustest.LockToken{s.token}
	}
	s.Events = append(s.Events, e)
	return s
}

func called(task string, seconds float64, status int, code string) batchtest.Call {
	when := at(seconds)
	return batchtest.Call{
		Time: when, Operation: batchtest.TerminateTask, JobID: "j", TaskID: task, Status: status, Code: code, Acted: status == http.StatusNoContent,
		Header: http.Header{"Client-Request-Id": {"id-of-" + task}, "Ocp-Date": {when.Format(http.TimeFormat)}},
	}
}

// world is a run in which everything went well: one request terminated, one that came back once for a throttled call, one
// bad message, over a worker that was stopped.
type world struct {
	Evidence
	plain, original, copied, bad *script
}

func healthy() *world {
	w := &world{
		plain: sent("plain", 1).note(servicebustest.EventDelivered, 1).note(servicebustest.EventCompleted, 2),
		original: sent("slow", 1).note(servicebustest.EventDelivered, 1).note(servicebustest.EventRenewed, 30).
			note(servicebustest.EventCompleted, 40),
		copied: sent(copyID("slow", 1, 0), 40).note(servicebustest.EventDelivered, 70).note(servicebustest.EventCompleted, 71),
		bad:    sent("bad", 1).note(servicebustest.EventDelivered, 1).note(servicebustest.EventDeadLettered, 1),
	}
	w.Requests = []Request{
		{ID: "plain", Job: "j", Task: "plain", Completes: true},
		{ID: "slow", Job: "j", Task: "slow", Completes: true},
		{ID: "bad", Job: "j", Task: "bad", DeadLetter: []string{"invalid_message"}, Hostile: true},
	}
	w.Workers = []Worker{{Started: start, Stopped: at(100), Ended: at(101)}}
	w.Concurrency, w.Grace, w.Lock, w.Recorded = 4, 30*time.Second, lockSeconds*time.Second, 4
	w.Dead = []servicebustest.StoredMessage{{ID: "bad", Reason: "invalid_message", Description: "body: not JSON"}}
	w.Calls = []batchtest.Call{called("plain", 1, 204, ""), called("slow", 2, 429, "TooManyRequests"), called("slow", 70, 204, "")}
	w.MaxInFlight = 2
	w.Completed = func(_, task string) bool { return task != "bad" }
	return w
}

func (w *world) judge() Verdict {
	w.Ledger = nil
	for _, s := range []*script{w.plain, w.original, w.copied, w.bad} {
		if s != nil {
			w.Ledger = append(w.Ledger, s.MessageHistory)
		}
	}
	w.Counts.Accepted, w.CallCount = len(w.Ledger), len(w.Calls)
	return Judge(w.Evidence)
}

func TestNothingIsHeldAgainstAHealthyRun(t *testing.T) {
	t.Parallel()
	v := healthy().judge()
	if !v.Holds() || v.Lost != 0 || v.Burned != 0 || v.DuplicatedEnds != 0 || v.Recovered != 0 || v.MaxLocked != 2 || len(v.Lines) != 13 {
		t.Errorf("%+v", v)
	}
}

// A request may read that its task is completed in the very moment in which another one's call has ended it.
func TestReadInTheMomentOfTheEndIsAnAnswer(t *testing.T) {
	t.Parallel()
	w := healthy()
	end := w.Calls[0]
	read := end
	read.Operation, read.Status, read.Acted = batchtest.GetTask, http.StatusOK, false
	end.Status, end.Acted = 0, true
	w.Calls = slices.Insert(w.Calls[1:], 0, read, end)
	for _, l := range w.judge().Lines {
		if l.ID == "P2" && !l.Holds {
			t.Error(l.Detail)
		}
	}
}

// Each way of breaking one promise, and no other line may fail for it.
func TestEachBreachFailsItsOwnLine(t *testing.T) {
	t.Parallel()
	const delivered, completed = servicebustest.EventDelivered, servicebustest.EventCompleted
	for name, c := range map[string]struct {
		breaks string
		doctor func(*world)
	}{
		"a request was never accepted":                  {"P1", func(w *world) { w.Requests = append(w.Requests, Request{ID: "late"}) }},
		"a message is still in the queue":               {"P1", func(w *world) { w.plain.Events = w.plain.Events[:1]; w.Recorded--; w.Calls = w.Calls[1:] }},
		"a message ended without a receiver":            {"P1", func(w *world) { w.bad.Events[2].Kind = servicebustest.EventTTLExpired }},
		"a task runs on":                                {"P1", func(w *world) { w.Completed = func(_, task string) bool { return task != "plain" } }},
		"a bad message is not in the dead-letter queue": {"P1", func(w *world) { w.Dead = nil }},
		"completed without any answer":                  {"P2", func(w *world) { w.Calls = w.Calls[1:] }},
		"completed on an answer that is not final":      {"P2", func(w *world) { w.Calls[0].Status, w.Calls[0].Code = 503, "ServerBusy" }},
		"completed on a page of a gateway":              {"P2", func(w *world) { w.Calls[0].Status = 404 }},
		"completed before the answer":                   {"P2", func(w *world) { w.Calls[0] = called("plain", 2.5, 204, "") }},
		"a task that was to be spared is ended":         {"P2", func(w *world) { w.spare(called("plain", 1, 200, "")) }},
		"a task is spared that nobody looked at":        {"P2", func(w *world) { w.spare(); w.Calls = w.Calls[1:] }},
		"a task is spared on a look that failed": {"P2", func(w *world) {
			w.Calls = w.Calls[1:]
			w.spare(called("plain", 1.5, 500, ""))
		}},
		"an attempt has an id of its own": {"P3", func(w *world) { w.Calls[2].Header.Set("client-request-id", "another") }},
		"a call without an id":            {"P3", func(w *world) { w.Calls[0].Header.Del("client-request-id") }},
		"a date is of an earlier attempt": {"P3", func(w *world) { w.Calls[2].Header.Set("ocp-date", w.Calls[1].Header.Get("ocp-date")) }},
		"a copy belongs to no request": {"P3", func(w *world) {
			w.copied.MessageID = "stranger"
			w.Recorded--
			w.Calls[2].Time = at(39)
			w.Calls[2].Header.Set("ocp-date", at(39).Format(http.TimeFormat))
		}},
		"a good request is dead-lettered": {"P4", func(w *world) {
			w.Dead = append(w.Dead, servicebustest.StoredMessage{ID: "plain", Reason: "InvalidInput", Description: "x"})
		}},
		"a dead letter has another reason": {"P4", func(w *world) { w.Dead[0].Reason = "MaxDeliveryCountExceeded" }},
		"a dead letter says nothing":       {"P4", func(w *world) { w.Dead[0].Description = "" }},
		"a lock is forgotten":              {"P5", func(w *world) { w.forget() }},
		"a message is abandoned": {"P5", func(w *world) {
			w.plain = sent("plain", 1).note(delivered, 1).note(servicebustest.EventAbandoned, 1).note(delivered, 1).note(completed, 2)
			w.Recorded++
		}},
		"a call has climbed out of its task":  {"P6", func(w *world) { w.Strays = []batchtest.Call{{Method: "POST", Path: "/jobs/j/terminate"}} }},
		"more calls at once than allowed":     {"P7", func(w *world) { w.MaxInFlight = 5 }},
		"more locks at once than allowed":     {"P7", func(w *world) { w.hoard() }},
		"a stop takes the whole grace period": {"P8", func(w *world) { w.Workers[0].Ended = w.Workers[0].Stopped.Add(29 * time.Second) }},
		"a worker ends by itself":             {"P8", func(w *world) { w.Workers[0].Stopped = w.Workers[0].Ended.Add(time.Second) }},
		"a bad message is called for":         {"P9", func(w *world) { w.Calls = append(w.Calls, called("bad", 1, 404, "TaskNotFound")) }},
		"an outcome is not recorded":          {"P10", func(w *world) { w.Recorded-- }},
		"an outcome is recorded twice":        {"P10", func(w *world) { w.Recorded++ }},
		"a message ends twice":                {"I2", func(w *world) { w.plain.note(completed, 3) }},
		"a copy is sent twice for nothing":    {"I2", func(w *world) { w.twin() }},
		"a call after the end": {"I4", func(w *world) {
			w.Calls = append(w.Calls, called("slow", 80, 0, ""))
			w.Calls[2].Status, w.Calls[2].Code = 409, "TaskCompleted"
		}},
		"a call for a lock that ran out": {"I4", func(w *world) { w.late() }},
		"more calls out of a standstill than can be on their way": {"I4", func(w *world) {
			w.late()
			w.Faults = []Fault{{Kind: Frozen, At: at(20), Until: at(64.5)}}
			for range onTheWay {
				w.Calls = append(w.Calls, called("plain", 65, 0, ""))
			}
		}},
		"a call after a standstill": {"I4", func(w *world) {
			w.late()
			w.Faults = []Fault{{Kind: Frozen, At: at(20), Until: at(63)}}
		}},
		"a copy is sent twice while Batch alone is broken": {"I2", func(w *world) {
			w.twin()
			w.Faults = []Fault{{Kind: Account, At: at(20), Until: at(60)}}
		}},
		"a call for a lock that the broker ended, later than it was granted for": {"I4", func(w *world) {
			w.plain = sent("plain", 1).note(delivered, 1).note(servicebustest.EventLockExpired, 20).note(delivered, 20).note(completed, 21)
			w.Recorded++
			w.Faults = []Fault{{Kind: LockEnded, At: at(20), Message: "plain"}}
			w.Calls = []batchtest.Call{called("plain", 20.5, 409, "TaskCompleted"), w.Calls[1], w.Calls[2], called("plain", 63, 0, "")}
		}},
		"a success is called for again although another request's worker died": {"I12", func(w *world) {
			w.Calls[1] = called("slow", 2, 204, "")
			w.Calls[2].Status, w.Calls[2].Code, w.Calls[2].Acted = 409, "TaskCompleted", false
			w.Workers = append(w.Workers, Worker{Started: start, Ended: at(50)})
		}},
		"a success is called for again": {"I12", func(w *world) { w.Calls = append(w.Calls, called("plain", 1.5, 409, "TaskCompleted")) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := healthy()
			c.doctor(w)
			v := w.judge()
			if got := v.Broken(); !slices.Equal(got, []string{c.breaks}) {
				t.Errorf("broken: %q, want only %s\n%+v", got, c.breaks, v.Lines)
			}
		})
	}
}

// spare has a request keep its task, which the reads may show.
func (w *world) spare(reads ...batchtest.Call) {
	w.Requests[0].Completes, w.Requests[0].Skips = false, true
	for i := range reads {
		reads[i].Operation = batchtest.GetTask
	}
	w.Calls = append(reads, w.Calls...)
}

// forget has the lock of a delivery end by itself; the next delivery completes the message.
func (w *world) forget() {
	w.plain = sent("plain", 1).note(servicebustest.EventDelivered, 1).note(servicebustest.EventLockExpired, 1+lockSeconds).
		note(servicebustest.EventDelivered, 1+lockSeconds).note(servicebustest.EventCompleted, 2+lockSeconds)
	w.Recorded++
}

// hoard has one message more locked than the bound says.
func (w *world) hoard() {
	for len(w.plain.Events) < 2*locksOf(w.Concurrency)+2 {
		w.plain.note(servicebustest.EventDelivered, 1)
		w.Recorded++
	}
	events := slices.Clone(w.plain.Events)
	for _, e := range events[3:] {
		e.Kind, e.At = servicebustest.EventReleased, at(50)
		w.plain.Events = append(w.plain.Events, e)
		w.Recorded--
	}
}

// twin has the copy stored twice.
func (w *world) twin() {
	w.bad = sent(w.copied.MessageID, 41).note(servicebustest.EventDelivered, 72).note(servicebustest.EventCompleted, 73)
	w.Requests, w.Dead = w.Requests[:2], nil
}

// late has a call begin after the lock of its delivery ran out, while the message waits for the next one.
func (w *world) late() {
	w.plain = sent("plain", 1).note(servicebustest.EventDelivered, 1).note(servicebustest.EventLockExpired, 1+lockSeconds).
		note(servicebustest.EventDelivered, 70).note(servicebustest.EventCompleted, 71)
	w.Recorded++
	w.Faults = []Fault{{Kind: Deaf, At: at(20), Until: at(40)}}
	w.Calls = []batchtest.Call{called("plain", 65, 0, ""), called("plain", 70, 204, ""), w.Calls[1], w.Calls[2]}
}

// What excuses a lock that ended by itself, and what does not although it looks alike.
func TestOnlyTheLockThatAFaultMetIsExcused(t *testing.T) {
	t.Parallel()
	kill := func(seconds float64) func(*world) {
		return func(w *world) {
			w.Workers = []Worker{{Started: start, Ended: at(seconds)}, {Started: at(seconds + 1), Stopped: at(100), Ended: at(101)}}
		}
	}
	fault := func(f Fault) func(*world) { return func(w *world) { w.Faults = append(w.Faults, f) } }
	renewed := func(w *world) {
		w.plain = sent("plain", 1).note(servicebustest.EventDelivered, 1).note(servicebustest.EventRenewed, 31).
			note(servicebustest.EventLockExpired, 31+lockSeconds).note(servicebustest.EventDelivered, 31+lockSeconds).note(servicebustest.EventCompleted, 32+lockSeconds)
	}
	for name, c := range map[string]struct {
		doctor  []func(*world)
		excused Excused
		unheard int // deliveries that nobody can have recorded
	}{
		"cut as it was sent":                       {[]func(*world){fault(Fault{Kind: Cut, At: at(1.5)})}, Excused{OnTheWire: 1}, 1},
		"cut before it was sent":                   {[]func(*world){fault(Fault{Kind: Cut, At: at(0.5)})}, Excused{}, 0},
		"cut long after":                           {[]func(*world){fault(Fault{Kind: Cut, At: at(10)})}, Excused{}, 0},
		"cut as it was sent, but renewed later":    {[]func(*world){renewed, fault(Fault{Kind: Cut, At: at(1.5)})}, Excused{}, 0},
		"held by a worker that was killed":         {[]func(*world){kill(20)}, Excused{Killed: 1}, 1},
		"renewed after the kill, so another's":     {[]func(*world){renewed, kill(20)}, Excused{}, 1},
		"another worker was killed after it ended": {[]func(*world){kill(65)}, Excused{}, 0},
		"the broker was deaf":                      {[]func(*world){fault(Fault{Kind: Deaf, At: at(20), Until: at(40)})}, Excused{Deaf: 1}, 0},
		"the broker was deaf before the renewal":   {[]func(*world){renewed, fault(Fault{Kind: Deaf, At: at(10), Until: at(20)})}, Excused{}, 0},
		"the broker ended the lock":                {[]func(*world){fault(Fault{Kind: LockEnded, At: at(20), Message: "plain"})}, Excused{Ended: 1}, 0},
		"told that it ended, and stopped before": {[]func(*world){fault(Fault{Kind: LockEnded, At: at(20), Message: "plain"}), func(w *world) {
			w.Workers = []Worker{{Started: start, Stopped: at(50), Ended: at(51)}, {Started: at(60), Stopped: at(100), Ended: at(101)}}
		}}, Excused{Ended: 1}, 0},
		"the broker ended another lock":            {[]func(*world){fault(Fault{Kind: LockEnded, At: at(20), Message: "slow"})}, Excused{}, 0},
		"the broker ended the lock of no message":  {[]func(*world){fault(Fault{Kind: LockEnded, At: at(20)})}, Excused{}, 0},
		"lost, and then it ended no message's":     {[]func(*world){fault(Fault{Kind: Cut, At: at(1), Message: "plain"}), fault(Fault{Kind: LockEnded, At: at(20)})}, Excused{OnTheWire: 1}, 1},
		"lost, and the broker ended its next lock": {[]func(*world){fault(Fault{Kind: Cut, At: at(1), Message: "plain"}), fault(Fault{Kind: LockEnded, At: at(61), Message: "plain"})}, Excused{OnTheWire: 1}, 1},
		"lost, and the broker was deaf later":      {[]func(*world){fault(Fault{Kind: Cut, At: at(1), Message: "plain"}), fault(Fault{Kind: Deaf, At: at(20), Until: at(40)})}, Excused{OnTheWire: 1}, 1},
		"cut, and the broker was deaf later":       {[]func(*world){fault(Fault{Kind: Cut, At: at(1)}), fault(Fault{Kind: Deaf, At: at(20), Until: at(40)})}, Excused{Deaf: 1}, 0},
		"killed, and then it ended no message's":   {[]func(*world){kill(20), fault(Fault{Kind: LockEnded, At: at(10)})}, Excused{Killed: 1}, 1},
		"the broker mended at once":                {[]func(*world){fault(Fault{At: at(20)})}, Excused{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := healthy()
			w.forget()
			for _, doctor := range c.doctor {
				doctor(w)
			}
			w.Recorded -= c.unheard
			v := w.judge()
			var want []string
			if c.excused == (Excused{}) {
				want = []string{"P5"}
			}
			if got := v.Broken(); !slices.Equal(got, want) || v.Excused != c.excused {
				t.Errorf("broken: %q, excused %+v; want %q, %+v\n%+v", got, v.Excused, want, c.excused, v.Lines)
			}
			if v.Recovered != 1 {
				t.Errorf("%d requests recovered; want 1", v.Recovered)
			}
		})
	}
}

func TestTwinAfterAFaultIsADuplicatedEndAndNoBreach(t *testing.T) {
	t.Parallel()
	w := healthy()
	w.twin()
	w.Faults = []Fault{{Kind: Deaf, At: at(39), Until: at(40.5)}}
	v := w.judge()
	if !v.Holds() || v.DuplicatedEnds != 1 || v.Recovered != 1 {
		t.Errorf("%+v", v)
	}
}

// Two workers have the request for as long as the first one believes in a lock that the broker has ended.
func TestTwinOfALockThatTheBrokerEndedIsNoBreach(t *testing.T) {
	t.Parallel()
	for seconds, holds := range map[float64]bool{1: true, -30: false} { // when the lock was granted
		w := healthy()
		w.twin()
		w.original = sent("slow", -40).note(servicebustest.EventDelivered, seconds).note(servicebustest.EventLockExpired, 20).
			note(servicebustest.EventDelivered, 20).note(servicebustest.EventCompleted, 40)
		w.Recorded++
		w.Faults = []Fault{{Kind: LockEnded, At: at(20), Message: "slow"}}
		if v := w.judge(); v.Holds() != holds {
			t.Errorf("granted at %v: broken %q\n%+v", seconds, v.Broken(), v.Lines)
		}
	}
}

// Each message that a sender sends has copies of its own.
func TestCopiesOfWhatWasSentTwiceAreNoTwins(t *testing.T) {
	t.Parallel()
	w := healthy()
	w.Requests[2] = w.Requests[1]
	w.bad = sent("slow", 1).note(servicebustest.EventDelivered, 1).note(servicebustest.EventCompleted, 40)
	w.Dead = nil
	if v := w.judge(); !v.Holds() || v.DuplicatedEnds != 0 {
		t.Errorf("broken %q, %d twins\n%+v", v.Broken(), v.DuplicatedEnds, v.Lines)
	}
}

// Between the last look at a lock and the write of its call there is time enough for a process to be stopped.
func TestCallIsOnItsWayWhenItsWorkerStandsStill(t *testing.T) {
	t.Parallel()
	w := healthy()
	w.late()
	w.Faults = []Fault{{Kind: Frozen, At: at(20), Until: at(64.5)}}
	if v := w.judge(); !v.Holds() {
		t.Errorf("%q\n%+v", v.Broken(), v.Lines)
	}
}

// The dead worker cannot have told the next one.
func TestCallIsRepeatedAfterAKill(t *testing.T) {
	t.Parallel()
	w := healthy()
	w.forget()
	w.Workers = []Worker{{Started: start, Ended: at(20)}, {Started: at(21), Stopped: at(100), Ended: at(101)}}
	w.Calls = append(w.Calls, called("plain", 1+lockSeconds, 409, "TaskCompleted"))
	w.Recorded--
	if v := w.judge(); !v.Holds() {
		t.Errorf("%q\n%+v", v.Broken(), v.Lines)
	}
}

// Two copies were made of one by somebody who heard no answer, and only who made them knows that: another worker calls for both.
func TestTwinsAreCalledForByAnotherWorkerThanTheirSender(t *testing.T) {
	t.Parallel()
	another := []Worker{{Started: start, Stopped: at(45), Ended: at(46)}, {Started: at(46), Stopped: at(100), Ended: at(101)}}
	for name, c := range map[string]struct {
		workers []Worker
		fault   Fault
		want    []string
	}{
		"another one":                 {another, Fault{Kind: Cut, At: at(40)}, nil},
		"the same":                    {[]Worker{{Started: start, Stopped: at(100), Ended: at(101)}}, Fault{Kind: Cut, At: at(40)}, []string{"I12"}},
		"another one, heard":          {another, Fault{Kind: Cut, At: at(60)}, []string{"I2", "I12"}},
		"another one, for no reason":  {another, Fault{Kind: Passing, At: at(40)}, []string{"I12"}},
		"another one, for a stranger": {another, Fault{Kind: Deaf, At: at(40), Message: "plain"}, []string{"I12"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := healthy()
			w.twin()
			w.Workers, w.Faults = c.workers, []Fault{c.fault}
			w.Calls = append(w.Calls, called("slow", 70.1, 409, "TaskCompleted"), called("slow", 70.2, 409, "TaskCompleted"))
			if got := w.judge().Broken(); !slices.Equal(got, c.want) {
				t.Errorf("broken: %q, want %q", got, c.want)
			}
		})
	}
}

// A worker that was not told that the broker ended its lock works on, and what it would have recorded dies with it.
func TestRecordOfALockThatTheBrokerEndedDiesWithItsWorker(t *testing.T) {
	t.Parallel()
	const never = 0
	for name, c := range map[string]struct {
		started, told, killed float64
		breaks                []string
	}{
		"not told before the kill":             {0, never, 50, nil},
		"told as it was killed":                {0, 49.5, 50, nil},
		"told after the kill, so another's":    {0, 51, 50, []string{"P10"}},
		"told long before the kill":            {0, 30, 50, []string{"P10"}},
		"killed after all that it was granted": {0, never, 65, []string{"P10"}},
		"started after the delivery":           {5, never, 50, []string{"P10"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := healthy()
			w.plain = sent("plain", 1).note(servicebustest.EventDelivered, 1).note(servicebustest.EventLockExpired, 6)
			if c.told != never {
				w.plain.note(servicebustest.EventSettleRefused, c.told)
			}
			w.plain.note(servicebustest.EventDelivered, 70).note(servicebustest.EventCompleted, 71) // and one of two is recorded
			w.Faults = []Fault{{Kind: LockEnded, At: at(1), Message: "plain"}}
			w.Workers = append(w.Workers, Worker{Started: at(c.started), Ended: at(c.killed)})
			if v := w.judge(); !slices.Equal(v.Broken(), c.breaks) || v.Excused != (Excused{Ended: 1}) {
				t.Errorf("broken: %q, want %q\n%+v", v.Broken(), c.breaks, v.Lines)
			}
		})
	}
}

// Both of one delivery's arrivals are recorded, and a third is one too many.
func TestDeliveryThatIsSentTwiceHasTwoRecords(t *testing.T) {
	t.Parallel()
	w := healthy()
	w.Faults = []Fault{{Kind: Doubled, At: at(1)}}
	w.Recorded++
	if v := w.judge(); !v.Holds() {
		t.Errorf("%q\n%+v", v.Broken(), v.Lines)
	}
	w.Recorded++
	if v := w.judge(); !slices.Equal(v.Broken(), []string{"P10"}) {
		t.Errorf("broken: %q, want only P10", v.Broken())
	}
}

// What the ledgers know of a request that went wrong is told line by line, in the order of time.
func TestStoryTellsOfABurnedDelivery(t *testing.T) {
	t.Parallel()
	w := healthy()
	w.forget()
	w.Faults = []Fault{{Kind: Passing, At: at(10), Until: at(20), Name: "slow answers"}, {Kind: Cut, At: at(90), Name: "long after"}}
	v := w.judge()
	if len(v.Stories) != 1 {
		t.Fatalf("%d stories; want that of the request with the burned delivery: %q", len(v.Stories), v.Stories)
	}
	var told []string
	for _, line := range strings.Split(v.Stories[0], "\n") {
		_, what, _ := strings.Cut(line, "  ")
		what, _, _ = strings.Cut(what, ", lock")
		told = append(told, what)
	}
	want := []string{
		"", "worker 1 starts", "message 1 (redelivery 0): enqueued", "message 1 (redelivery 0): delivered", "call TerminateTask: 204 , acted true",
		"fault: slow answers", "end of the fault: slow answers", "message 1 (redelivery 0): lock expired",
		"message 1 (redelivery 0): delivered", "message 1 (redelivery 0): completed", "worker 1 is told to stop", "worker 1 has ended:",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q\nwant %q", told, want)
	}
	if stories := healthy().judge().Stories; stories != nil {
		t.Errorf("a healthy run has stories: %q", stories)
	}
}
