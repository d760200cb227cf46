package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/handler"
	"batchterminator/worker"
)

// kind is a sort of request in the mix.
type kind struct {
	name string
	// weight is its share of the mix, in percent; most bounds its number, 0 for no bound.
	weight, most int
	// body makes the message from a task id that no other request has.
	body func(task string) string
	// exists tells whether the task is there when the request arrives.
	exists bool
	// fault meets the first call for the task.
	fault func(r *rand.Rand) batchtest.Fault
	// hostile: nobody can act on the body, and no call may be made for it.
	hostile bool
	// deadLetter is the reason to expect; "" when the request has to be completed.
	deadLetter string
}

func plain(task string) string {
	return fmt.Sprintf(`{"jobId":%q,"taskId":%q,"reason":"demo"}`, demoJob, task)
}

const demoJob = "nightly-render"

// kinds is the mix: mostly good requests, and of everything else that queues see, some.
var kinds = []kind{
	{name: "good", weight: 70, body: plain, exists: true},
	{name: "flaky", weight: 8, body: plain, exists: true, fault: flaky},
	{name: "throttled", weight: 1, most: 3, body: plain, exists: true, fault: always(batchtest.Status(http.StatusTooManyRequests, "TooManyRequests", time.Second))},
	{name: "disabled job, enabled later", weight: 1, body: plain, exists: true, fault: always(batchtest.Status(http.StatusConflict, "JobDisabled", batchtest.NoRetryAfter))},
	{name: "gone", weight: 6, body: plain},
	{name: "malformed", hostile: true, weight: 4, body: malformed, exists: true, deadLetter: handler.InvalidMessage.String()},
	{name: "path escape", hostile: true, weight: 2, body: func(string) string { return fmt.Sprintf(`{"jobId":%q,"taskId":".."}`, demoJob) }, deadLetter: handler.InvalidMessage.String()},
	{name: "oversized", hostile: true, weight: 1, body: func(task string) string { return plain(task) + strings.Repeat(" ", 2*handler.MaxBody) }, exists: true, deadLetter: handler.InvalidMessage.String()},
	{name: "foreign endpoint", hostile: true, weight: 2, body: func(task string) string {
		return fmt.Sprintf(`{"jobId":%q,"taskId":%q,"endpoint":"https://elsewhere.example"}`, demoJob, task)
	}, exists: true, deadLetter: handler.EndpointNotAllowed.String()},
	{name: "refused by Batch", weight: 2, body: plain, exists: true, fault: always(batchtest.Status(http.StatusBadRequest, "InvalidInput", batchtest.NoRetryAfter)), deadLetter: "InvalidInput"},
	{name: "condition not met", weight: 3, body: func(task string) string {
		return fmt.Sprintf(`{"jobId":%q,"taskId":%q,"ifMatch":"0x8DCOLD"}`, demoJob, task)
	}, exists: true, deadLetter: handler.ConditionNotMet.String()},
}

func always(f batchtest.Fault) func(*rand.Rand) batchtest.Fault {
	return func(*rand.Rand) batchtest.Fault { return f }
}

func flaky(r *rand.Rand) batchtest.Fault {
	faults := []batchtest.Fault{
		batchtest.Status(http.StatusInternalServerError, "InternalError", batchtest.NoRetryAfter),
		batchtest.Status(http.StatusInternalServerError, "OperationTimedOut", batchtest.NoRetryAfter),
		batchtest.DropBeforeActing(),
		batchtest.DropAfterActing(),
	}
	return faults[r.IntN(len(faults))]
}

func malformed(task string) string {
	bodies := []string{`{"jobId":%q`, `{"jobId":%q,"taskid":"x"}`, `{"jobId":%q,"jobId":"again","taskId":"x"}`, `["%s"]`}
	return fmt.Sprintf(bodies[len(task)%len(bodies)], demoJob)
}

// request is one message to publish and what it has to come to.
type request struct {
	id, task   string
	kind       *kind
	body       string
	deadLetter string
}

// steady is the part of the mix whose end does not hang on which call meets a fault.
func steady() []kind {
	return slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool { return k.fault != nil })
}

// plan draws n requests from the mix.
func plan(mix []kind, n int, seed uint64) []request { return planFrom(0, mix, n, seed) }

// planFrom is plan with the number of the first request, so that no two have the same. The same seed gives the same requests. One in twenty good ones is published twice, as upstream
// systems do: the second one is a request of its own for a task that has already completed.
func planFrom(first int, mix []kind, n int, seed uint64) []request {
	r := rand.New(rand.NewPCG(seed, 0))
	requests := make([]request, 0, n)
	drawn := map[*kind]int{}
	for len(requests) < n {
		k := draw(mix, r)
		if drawn[k]++; k.most > 0 && drawn[k] > k.most {
			k = &mix[0]
		}
		i := first + len(requests)
		task := fmt.Sprintf("frame-%05d", i)
		q := request{id: fmt.Sprintf("request-%05d", i), task: task, kind: k, body: k.body(task), deadLetter: k.deadLetter}
		requests = append(requests, q)
		if k.name == "good" && r.IntN(20) == 0 && len(requests) < n {
			q.id += "-again"
			requests = append(requests, q)
		}
	}
	return requests
}

func draw(mix []kind, r *rand.Rand) *kind {
	total := 0
	for _, k := range mix {
		total += k.weight
	}
	at := r.IntN(total)
	for i := range mix {
		if at -= mix[i].weight; at < 0 {
			return &mix[i]
		}
	}
	panic("unreachable: the weights add up")
}

// prepare puts the tasks and faults of the requests into the account. withFaults leaves the passing ones out otherwise;
// refusals stay, since the requests are expected to meet them.
func prepare(account *batchtest.Account, requests []request, seed uint64, withFaults bool) {
	r := rand.New(rand.NewPCG(seed, 1))
	account.AddJob(demoJob, batchtest.JobActive)
	for _, q := range requests {
		if q.kind.exists {
			account.AddTask(demoJob, q.task, batchtest.TaskRunning)
		}
		if q.kind.fault == nil || !withFaults && q.deadLetter == "" {
			continue
		}
		account.OnNext(q.kind.fault(r), batchtest.ForTask(demoJob, q.task))
	}
}

func outgoing(requests []request) []worker.Outgoing {
	out := make([]worker.Outgoing, len(requests))
	for i, q := range requests {
		out[i] = worker.Outgoing{MessageID: q.id, Body: []byte(q.body)}
	}
	return out
}
