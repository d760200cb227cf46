package worker_test

// The fault table of the README: what each fault costs, under a steady load, by the ledgers of Service Bus and Batch.
// UPDATE_README=1 go test ./worker -run FaultTable writes it; without the variable its promises and bounds are held to.

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

const (
	loadEvery  = 100 * time.Millisecond // between two requests
	loadBefore = 30 * time.Second       // the fault
	loadAfter  = 2 * time.Minute        // its end
	loadCall   = 400 * time.Millisecond // what Batch takes for an answer: four calls are under way at any time
)

// faultCase is one row of the table.
type faultCase struct {
	name string
	// lasts is how long it does; 0: what it broke stays broken until the worker mends it.
	lasts time.Duration
	// begin starts the fault; what it returns, if anything, ends it.
	begin func(s *stack) (end func())
	// within bounds the recovery, from the end of a fault that lasts, else from its begin.
	within time.Duration
	// burns is how many deliveries it may cost: of messages whose locks nobody can give back.
	burns int
}

func moment(strike func(s *stack)) func(*stack) func() {
	return func(s *stack) func() { strike(s); return nil }
}

func onNext(op servicebustest.Op, fault servicebustest.Fault, options ...servicebustest.FaultOption) func(*stack) func() {
	return func(s *stack) func() {
		return s.bus.OnNext(op, fault, append(options, servicebustest.OnEntity(queueName))...).Remove
	}
}

func batch(fault func() batchtest.Fault, options ...batchtest.FaultOption) func(*stack) func() {
	return func(s *stack) func() { return s.account.OnNext(fault(), options...).Remove }
}

func faultCases() []faultCase {
	const busy = "com.microsoft:server-busy"
	return []faultCase{
		{name: "Service Bus: connection cut", begin: moment(func(s *stack) { s.bus.DropConnections() }), within: 2 * time.Second},
		{name: "Service Bus: connection closed as busy", begin: moment(func(s *stack) { s.bus.CloseConnections(busy, "50009") }), within: 5 * time.Second},
		{name: "Service Bus: links detached", begin: moment(func(s *stack) { s.bus.DetachLinks(queueName, "amqp:link:detach-forced", "upgrade") }), within: 2 * time.Second},
		{name: "Service Bus: links detached as busy", begin: moment(func(s *stack) { s.bus.DetachLinks(queueName, busy, "50009") }), within: 5 * time.Second},
		{name: "Service Bus: session ended", begin: onNext(servicebustest.Settle, servicebustest.EndSession("amqp:internal-error", "failover")), within: 2 * time.Second},
		{name: "Service Bus: connection goes dark", begin: moment(func(s *stack) { s.bus.MuteConnections(true) }), within: time.Minute, burns: 16},
		{name: "Service Bus: receive link falls silent", begin: moment(func(s *stack) { s.bus.MuteLinks(queueName, true) }), within: time.Minute},
		{name: "Service Bus: unreachable", lasts: 5 * time.Minute, within: 45 * time.Second, burns: 16, begin: func(s *stack) func() {
			heal := s.dialTo(refused)
			s.bus.DropConnections()
			return heal
		}},
		{name: "Service Bus: token refused", lasts: 5 * time.Minute, within: 45 * time.Second, burns: 16, begin: func(s *stack) func() {
			heal := s.strike(servicebustest.CBS, servicebustest.Fail("amqp:unauthorized-access", "no claim"))
			s.bus.DropConnections()
			return heal
		}},
		{name: "Service Bus: queue closed to receivers", lasts: 10 * time.Minute, within: 45 * time.Second, burns: 16, begin: func(s *stack) func() {
			_ = s.bus.SetStatus(queueName, servicebustest.StatusReceiveDisabled)
			return func() { _ = s.bus.SetStatus(queueName, servicebustest.StatusActive) }
		}},
		{name: "Service Bus: settlements refused as busy", lasts: time.Minute, within: 30 * time.Second, begin: onNext(servicebustest.Settle, servicebustest.ServerBusy(), servicebustest.Keep())},
		{name: "Service Bus: 20 settlements get no answer", begin: onNext(servicebustest.SettleEcho, servicebustest.Swallow(), servicebustest.Times(20)), within: 15 * time.Second},
		{name: "Service Bus: 20 settlements unheard", begin: onNext(servicebustest.Settle, servicebustest.Swallow(), servicebustest.Times(20)), within: 15 * time.Second},
		{name: "Service Bus: management node dead", lasts: 2 * time.Minute, within: 30 * time.Second, begin: func(s *stack) func() {
			return s.bus.OnNext(servicebustest.Management, servicebustest.Swallow(), servicebustest.Keep(), servicebustest.OnEntity(queueName)).Remove
		}},
		{name: "Service Bus: 20 messages delivered twice", begin: onNext(servicebustest.Deliver, servicebustest.Duplicate(), servicebustest.Times(20)), within: 5 * time.Second},
		{name: "Batch: 503", lasts: 5 * time.Minute, within: time.Minute, begin: batch(func() batchtest.Fault { return batchtest.OutageFor(5*time.Minute, http.StatusServiceUnavailable) })},
		{name: "Batch: connections refused", lasts: 5 * time.Minute, within: time.Minute, begin: batch(func() batchtest.Fault { return batchtest.OutageFor(5*time.Minute, 0) })},
		{name: "Batch: no answer", lasts: 5 * time.Minute, within: time.Minute, begin: batch(batchtest.Hang, batchtest.Keep())},
		{name: "Batch: 429 with Retry-After", lasts: time.Minute, within: time.Minute, begin: batch(func() batchtest.Fault { return batchtest.ThrottleFor(time.Minute) })},
		{name: "Batch: 401", lasts: 5 * time.Minute, within: time.Minute, begin: batch(batchtest.Unauthorized, batchtest.Keep())},
		{name: "Batch: 20 answers lost after it acted", begin: batch(batchtest.DropAfterActing, batchtest.Times(20)), within: 100 * time.Second},
		{name: "Worker: restarted", within: 5 * time.Second, begin: nil},
	}
}

// cost is what a fault came to.
type cost struct {
	recovery                                       time.Duration
	requests, copies, burned, repeated, dead, lost int
	doubled                                        int // messages that did not end once
}

// Scorecard: A1, A2, A3, A4, A6, A8, A9, A14, A15, H1, H2, H6, H10, S1, F1, F2, F6, F8, F10, F11, F12, F20.
func TestFaultTable(t *testing.T) {
	cases := faultCases()
	costs := make([]cost, len(cases))
	t.Run("faults", func(t *testing.T) {
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				costs[i] = measure(t, c)
			})
		}
	})
	if !t.Failed() {
		inReadme(t, cases, faultTable(cases, costs))
	}
}

// measure runs a fault amid the load.
func measure(t *testing.T, c faultCase) (spent cost) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Delay(loadCall), batchtest.Keep())
		load := &load{stack: s, sent: map[string]bool{}}
		load.run(t, loadBefore)
		from := time.Now()
		if c.begin == nil {
			load.restart(t)
		} else if end := c.begin(s); end != nil {
			load.run(t, c.lasts)
			if c.lasts > 0 {
				end()
				from = time.Now()
			}
		}
		load.run(t, loadAfter)
		s.until(t, time.Hour, "an empty queue", empty)
		spent = load.cost(from)
		if spent.lost > 0 || spent.dead > 0 || spent.doubled > 0 || spent.burned > c.burns || spent.repeated > 0 || spent.recovery > c.within {
			t.Errorf("%+v; want nothing lost, dead, ended twice or repeated, %d burned at most, recovery within %v", spent, c.burns, c.within)
		}
	}, func(s *stack) { s.config.Concurrency = 16 })
	return spent
}

// load is a steady arrival of requests.
type load struct {
	*stack
	sent map[string]bool
}

func (l *load) run(t *testing.T, d time.Duration) {
	for range d / loadEvery {
		l.one(t)
		time.Sleep(loadEvery)
	}
}

func (l *load) one(t *testing.T) {
	id := "task-" + strconv.Itoa(len(l.sent))
	l.sent[id] = true
	l.task(t, id)
}

// restart replaces the worker while the load goes on.
func (l *load) restart(t *testing.T) {
	var restart sync.WaitGroup
	restart.Go(func() { l.end(); l.start(t) })
	l.run(t, time.Second)
	restart.Wait()
}

// cost reads the ledgers.
func (l *load) cost(from time.Time) (c cost) {
	counts := l.queue.Counts()
	c.requests, c.copies, c.dead = len(l.sent), counts.Accepted-len(l.sent), counts.DeadLettered
	finished := map[int]int{} // by second after from
	for _, m := range l.queue.Ledger() {
		ends := 0
		for _, e := range m.Events {
			second := int(e.At.Sub(from) / time.Second)
			switch e.Kind {
			case servicebustest.EventCompleted:
				ends++
				finished[second]++
			case servicebustest.EventScheduled, servicebustest.EventEnqueued:
				if !l.sent[m.MessageID] {
					finished[second]-- // the original of a copy is completed, not finished
				}
			case servicebustest.EventAbandoned, servicebustest.EventLockExpired:
				c.burned++
			}
		}
		if ends != 1 {
			c.doubled++
		}
	}
	c.recovery = recovered(finished)
	c.count(l)
	return c
}

// recovered returns the first second after which no second of the window finishes fewer requests than nine tenths of those
// that arrive; the end of the window, if there is none.
func recovered(finished map[int]int) time.Duration {
	const enough = int(time.Second / loadEvery * 9 / 10)
	second := int(loadAfter / time.Second)
	for second > 0 && finished[second-1] >= enough {
		second--
	}
	return time.Duration(second) * time.Second
}

func TestWorkerThatNeverRecoversHasNot(t *testing.T) {
	t.Parallel()
	finished := map[int]int{}
	equal(t, "nothing finished", recovered(finished), loadAfter)
	for second := range int(loadAfter / time.Second) {
		finished[second] = 10
	}
	equal(t, "never troubled", recovered(finished), 0)
	finished[40] = 8
	equal(t, "a slow second", recovered(finished), 41*time.Second)
	finished[int(loadAfter/time.Second)-1] = 8
	equal(t, "slow at the end", recovered(finished), loadAfter)
}

// count adds what the account's log says: calls after an answer, and requests whose task is not completed.
func (c *cost) count(l *load) {
	answered := map[string]bool{}
	for _, call := range slices.SortedStableFunc(slices.Values(l.account.Calls()), func(a, b batchtest.Call) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) }) {
		if answered[call.TaskID] {
			c.repeated++
		}
		answered[call.TaskID] = answered[call.TaskID] || call.Status == http.StatusNoContent
	}
	for id := range l.sent {
		if task, ok := l.account.Task("j", id); !ok || task.State != batchtest.TaskCompleted {
			c.lost++
		}
	}
}

// faultTable renders the rows.
func faultTable(cases []faultCase, costs []cost) string {
	var b strings.Builder
	b.WriteString("| Fault | Lasts | Recovered after | Brought back later | Burned deliveries | Calls repeated | Lost |\n|---|---|---|---|---|---|---|\n")
	for i, c := range cases {
		spent := costs[i]
		fmt.Fprintf(&b, "%s %s | %d | %d | %d | %d |\n", c.row(), short(max(spent.recovery, time.Second)), spent.copies, spent.burned, spent.repeated, spent.lost)
	}
	return b.String()
}

// row is the part of a row that does not depend on a run.
func (c faultCase) row() string {
	lasts := "a moment"
	if c.lasts > 0 {
		lasts = short(c.lasts)
	}
	return fmt.Sprintf("| %s | %s |", c.name, lasts)
}

// short writes 2m0s as 2 min.
func short(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// inReadme holds the README to the rows: their numbers are those of one run, and differ a little in the next.
func inReadme(t *testing.T, cases []faultCase, table string) {
	const file, begin, end = "../README.md", "<!-- faults: UPDATE_README=1 go test ./worker -run FaultTable -->\n", "<!-- end of faults -->"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begun := strings.Cut(string(text), begin)
	old, after, ended := strings.Cut(rest, end)
	if !begun || !ended {
		t.Fatal("README.md has no place for the fault table")
	}
	if os.Getenv("UPDATE_README") != "" {
		if err := os.WriteFile(file, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, c := range cases {
		if !strings.Contains(old, c.row()) {
			t.Errorf("README.md's fault table lacks %q; UPDATE_README=1 writes it", c.row())
		}
	}
	if rows := strings.Count(old, "\n"); rows != len(cases)+2 {
		t.Errorf("README.md's fault table has %d lines; want %d", rows, len(cases)+2)
	}
}
