package main

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// evidence is what the doubles wrote down. Of the worker's own counters only those of P10 are used, to be compared.
type evidence struct {
	requests    []request
	counts      servicebustest.Counts
	ledger      []servicebustest.MessageHistory
	dead        map[string]servicebustest.StoredMessage // by request identity
	calls       map[string][]batchtest.Call             // by task
	total       int                                     // calls
	strays      []batchtest.Call
	completed   func(task string) bool
	maxLocked   int
	maxInFlight int
	concurrency int
	grace       time.Duration
	drains      []worker.Report
	outcomes    map[string]int
	took        time.Duration
	cuts        []time.Time
}

func (d *demo) evidence() evidence {
	e := evidence{
		requests: d.requests, counts: d.queue.Counts(), ledger: d.queue.Ledger(), dead: map[string]servicebustest.StoredMessage{},
		calls: map[string][]batchtest.Call{}, total: d.account.CallCount(), strays: d.account.Strays(), maxLocked: d.queue.MaxLocked(), maxInFlight: d.account.MaxInFlight(),
		concurrency: d.Concurrency, grace: d.settings.Worker.Grace, drains: d.drains, outcomes: outcomes(d.registries), took: d.took, cuts: d.cuts.times(),
	}
	e.completed = func(task string) bool {
		t, ok := d.account.Task(demoJob, task)
		return ok && t.State == batchtest.TaskCompleted
	}
	for _, m := range d.queue.DeadLettered() {
		id := m.ID
		if identity, ok := m.Properties["bt-request-id"].(string); ok {
			id = identity
		}
		e.dead[id] = m
	}
	for _, c := range d.account.Calls() {
		e.calls[c.TaskID] = append(e.calls[c.TaskID], c)
	}
	return e
}

// outcomes sums deliveries_total over the workers.
func outcomes(registries []*prometheus.Registry) map[string]int {
	sum := map[string]int{}
	for _, r := range registries {
		families, _ := r.Gather() // an error leaves families out, which P10 then notices
		for _, f := range families {
			if f.GetName() != "batch_terminator_deliveries_total" {
				continue
			}
			for _, m := range f.GetMetric() {
				if n := int(m.GetCounter().GetValue()); n > 0 {
					sum[m.GetLabel()[0].GetValue()] += n
				}
			}
		}
	}
	return sum
}

// promise is one line of the verdict.
type promise struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Holds  bool   `json:"holds"`
	Detail string `json:"detail"`
}

func judge(e evidence) report {
	lost, onWire := e.lost(), e.lostOnTheWire()
	burned := e.count(servicebustest.EventAbandoned) + e.count(servicebustest.EventLockExpired) - onWire
	r := report{
		Requests: len(e.requests), Outcomes: e.outcomes, DeadLettered: e.counts.DeadLettered, BatchCalls: e.total,
		Lost: len(lost), BurnedDeliveries: burned, LostOnTheWire: onWire, MaxInFlight: e.maxInFlight, MaxLocked: e.maxLocked,
		Seconds: e.took.Seconds(), PerSecond: float64(len(e.requests)) / e.took.Seconds(),
	}
	add := func(id, name string, holds bool, format string, args ...any) {
		r.Promises = append(r.Promises, promise{id, name, holds, fmt.Sprintf(format, args...)})
	}
	add("P1", "nothing is lost", len(lost) == 0, "%d of %d requests came to their end%s", len(e.requests)-len(lost), len(e.requests), examples(lost))
	uncertain := e.uncertain()
	add("P2", "finished means certain", len(uncertain) == 0, "%d requests were completed without a final answer of Batch%s", len(uncertain), examples(uncertain))
	strangers := e.identities()
	add("P3", "one identity for each request", len(strangers) == 0, "%d tasks saw more client-request-ids than requests, or stale dates%s", len(strangers), examples(strangers))
	wrong := e.wronglyDead()
	add("P4", "only what a person must look at is dead-lettered", len(wrong) == 0, "%d dead letters, %d of them unexpected or without their reason%s", e.counts.DeadLettered, len(wrong), examples(wrong))
	add("P5", "no burned deliveries", burned == 0, "%d delivery counts rose without need, over %d redeliveries and %d drains; %d messages were on the wire when it was cut", burned, e.counts.Accepted-len(e.requests), len(e.drains), onWire)
	add("P6", "no call leaves its path", len(e.strays) == 0, "%d of %d calls were not Terminate Task or Get Task of an allowed account", len(e.strays), e.total)
	slots := e.concurrency + e.concurrency/4
	add("P7", "locks only on work", e.maxInFlight <= e.concurrency && e.maxLocked <= 2*slots+1,
		"at most %d calls of %d allowed and %d locks of %d", e.maxInFlight, e.concurrency, e.maxLocked, 2*slots+1)
	prompt, stops := e.drained()
	add("P8", "stop is quick and clean", prompt, "%s", stops)
	oversized, called := e.oversized()
	add("P9", "bounded", called == 0, "%d oversized bodies cost %d calls; heap now %d MiB, the doubles and their ledgers included", oversized, called, heap())
	seen, recorded := e.count(servicebustest.EventDelivered)-e.count(servicebustest.EventReleased)-onWire, sum(e.outcomes)
	add("P10", "every delivery is accounted for", seen == recorded, "%d deliveries on the broker's side, %d recorded outcomes", seen, recorded)
	return r
}

// lost lists requests that did not come to the end that they must: still in the queue, task still running, or not in the
// dead-letter queue where they belong.
func (e evidence) lost() (ids []string) {
	if n := e.counts.Active + e.counts.Locked + e.counts.Scheduled + e.counts.Deferred; n > 0 {
		ids = append(ids, fmt.Sprintf("%d still in the queue", n))
	}
	for _, q := range e.requests {
		_, dead := e.dead[q.id]
		switch {
		case q.deadLetter != "" && !dead, q.deadLetter == "" && !dead && q.kind.exists && !e.completed(q.task):
			ids = append(ids, q.id)
		}
	}
	return ids
}

// lostOnTheWire counts deliveries that a cut met between the broker and the worker: the worker never saw them, and nobody
// can give their locks back. A delivery counts as one only if it was written in the moment before a cut and nobody ever
// used its lock.
func (e evidence) lostOnTheWire() (n int) {
	const moment = time.Second
	for _, m := range e.ledger {
		delivered := map[servicebustest.LockToken]time.Time{}
		for _, event := range m.Events {
			switch event.Kind {
			case servicebustest.EventDelivered:
				delivered[event.LockToken] = event.At
			case servicebustest.EventRenewed, servicebustest.EventSettleRefused:
				delete(delivered, event.LockToken)
			case servicebustest.EventLockExpired:
				at, unused := delivered[event.LockToken]
				if unused && slices.ContainsFunc(e.cuts, func(cut time.Time) bool { return cut.Sub(at).Abs() < moment }) {
					n++
				}
			}
		}
	}
	return n
}

// uncertain lists tasks with more completed requests than final answers.
func (e evidence) uncertain() (tasks []string) {
	need := map[string]int{}
	for _, q := range e.requests {
		if _, dead := e.dead[q.id]; !dead {
			need[q.task]++
		}
	}
	for task, n := range need {
		answers := 0
		for _, c := range e.calls[task] {
			if c.Status == http.StatusNoContent || c.Status == http.StatusNotFound || c.Code == "TaskCompleted" {
				answers++
			}
		}
		if answers < n {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

// identities lists tasks that were called under more ids than there are requests for them, or with a date that was not
// made for the call.
func (e evidence) identities() (tasks []string) {
	requests := map[string]int{}
	for _, q := range e.requests {
		requests[q.task]++
	}
	const fresh = 5 * time.Second
	for task, calls := range e.calls {
		ids, stale := map[string]bool{}, false
		for _, c := range calls {
			ids[strings.ToLower(c.Header.Get("client-request-id"))] = true
			date, err := http.ParseTime(c.Header.Get("ocp-date"))
			stale = stale || err != nil || c.Time.Sub(date).Abs() > fresh
		}
		if len(ids) > requests[task] || ids[""] || stale {
			tasks = append(tasks, task)
		}
	}
	return tasks
}

// wronglyDead lists dead letters that no request of the plan explains, or that do not explain themselves.
func (e evidence) wronglyDead() (ids []string) {
	expected := map[string]string{}
	for _, q := range e.requests {
		expected[q.id] = q.deadLetter
	}
	for id, m := range e.dead {
		if expected[id] == "" || m.Reason != expected[id] || m.Description == "" {
			ids = append(ids, fmt.Sprintf("%s (%s)", id, m.Reason))
		}
	}
	return ids
}

func (e evidence) drained() (prompt bool, detail string) {
	prompt = len(e.drains) > 0
	var parts []string
	for _, r := range e.drains {
		prompt = prompt && r.Left == 0 && r.Took <= e.grace-2*time.Second
		parts = append(parts, fmt.Sprintf("stopped in %v: %d finished, %d handed back, %d left", r.Took.Round(time.Millisecond), r.Finished, r.HandedBack, r.Left))
	}
	return prompt, strings.Join(parts, "; ")
}

func (e evidence) oversized() (n, called int) {
	for _, q := range e.requests {
		if q.kind.name == "oversized" {
			n++
			called += len(e.calls[q.task])
		}
	}
	return n, called
}

func (e evidence) count(kind servicebustest.EventKind) (n int) {
	for _, m := range e.ledger {
		for _, event := range m.Events {
			if event.Kind == kind && !event.DeadLetter {
				n++
			}
		}
	}
	return n
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc >> 20
}

// examples names the first few of what went wrong.
func examples(ids []string) string {
	const most = 3
	if len(ids) == 0 {
		return ""
	}
	return ": " + strings.Join(ids[:min(most, len(ids))], ", ")
}
