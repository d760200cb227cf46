package simulate

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/sandbox/verdict"
	"batchterminator/handler"
)

// Jobs of the account.
const (
	nightly = "nightly-render"
	ending  = "cancelled-render"
)

func (s *simulation) prepareJobs() {
	s.account.AddJob(nightly, batchtest.JobActive)
	s.account.AddJob(ending, batchtest.JobTerminating)
}

// kind is a sort of request.
type kind struct {
	name   string
	weight int
	// job is the one it names; "" is nightly.
	job string
	// prepare makes the task, and what Batch will answer for it.
	prepare func(s *simulation, r *rand.Rand, task string)
	// body is the message's; nil is the plain one.
	body        func(s *simulation, r *rand.Rand, task string) string
	contentType string
	ttl         time.Duration
	// once: it is not sent again, since the second one would have to end otherwise.
	once bool
	// expect is what it has to come to.
	expect verdict.Request
}

func (k *kind) inJob() string { return cmp.Or(k.job, nightly) }

var (
	terminates = verdict.Request{Completes: true}
	invalid    = verdict.Request{DeadLetter: []string{handler.InvalidMessage.String()}, Hostile: true}
)

// kinds is the mix: mostly good requests, and of everything else that queues see, some.
var kinds = []kind{
	{name: "good", weight: 50, prepare: running, expect: terminates},
	{name: "good, in an envelope", weight: 3, prepare: running, body: envelope, contentType: "application/cloudevents+json", expect: terminates},
	{name: "good, with a time to live", weight: 3, prepare: running, ttl: 30 * 24 * time.Hour, expect: terminates},
	{name: "answered late", weight: 6, prepare: faulty(late, 1), expect: terminates},
	{name: "flaky", weight: 10, prepare: faulty(flaky, 6), expect: terminates},
	{name: "throttled", weight: 1, prepare: faulty(throttled, 2), expect: terminates},
	{name: "job disabled for a while", weight: 2, prepare: faulty(disabled, 4), expect: terminates},
	{name: "in an odd state", weight: 2, prepare: faulty(odd, 3), expect: terminates},
	{name: "gone", weight: 5},
	{name: "completed", weight: 3, prepare: task(batchtest.TaskCompleted), expect: terminates},
	{name: "job ending", weight: 2, job: ending, prepare: task(batchtest.TaskRunning)},
	{name: "condition met", weight: 3, prepare: running, body: ifMatch, once: true, expect: terminates},
	{name: "condition not met", weight: 2, prepare: running, body: ifMatchOld, expect: verdict.Request{DeadLetter: []string{handler.ConditionNotMet.String()}}},
	{name: "older than its guard", weight: 2, prepare: running, body: createdBefore(time.Hour), expect: terminates},
	{name: "newer than its guard", weight: 1, prepare: running, body: createdBefore(-time.Hour), expect: verdict.Request{Skips: true}},
	{name: "refused", weight: 2, prepare: refused, expect: verdict.Request{DeadLetter: []string{"InvalidInput"}}},
	{name: "malformed", weight: 3, prepare: running, body: malformed, expect: invalid},
	{name: "path escape", weight: 1, body: escape, expect: invalid},
	{name: "oversized", weight: 1, prepare: running, body: oversized, expect: invalid},
	{name: "foreign endpoint", weight: 1, prepare: running, body: foreign, expect: verdict.Request{DeadLetter: []string{handler.EndpointNotAllowed.String()}, Hostile: true}},
}

func draw(r *rand.Rand) *kind {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	at := r.IntN(total)
	for i := range kinds {
		if at -= kinds[i].weight; at < 0 {
			return &kinds[i]
		}
	}
	panic("unreachable: the weights add up")
}

func task(state batchtest.TaskState) func(*simulation, *rand.Rand, string) {
	return func(s *simulation, _ *rand.Rand, task string) {
		s.account.AddTask(nightly, task, state)
		s.account.AddTask(ending, task, state)
		s.account.AddJob(ending, batchtest.JobTerminating)
	}
}

func running(s *simulation, _ *rand.Rand, task string) {
	s.account.AddTask(nightly, task, batchtest.TaskRunning)
}

// faulty has the first calls for the task fail, each in a way of its own.
func faulty(of func(*rand.Rand) batchtest.Fault, most int) func(*simulation, *rand.Rand, string) {
	return func(s *simulation, r *rand.Rand, task string) {
		running(s, r, task)
		for range 1 + r.IntN(most) {
			s.account.OnNext(of(r), batchtest.ForTask(nightly, task), batchtest.ForOperation(batchtest.TerminateTask))
		}
	}
}

func flaky(r *rand.Rand) batchtest.Fault {
	faults := []batchtest.Fault{
		batchtest.Status(http.StatusInternalServerError, "InternalError", batchtest.NoRetryAfter),
		batchtest.Status(http.StatusInternalServerError, "OperationTimedOut", batchtest.NoRetryAfter),
		batchtest.Status(http.StatusServiceUnavailable, "ServerBusy", batchtest.NoRetryAfter),
		batchtest.HTML(http.StatusBadGateway),
		batchtest.TruncatedBody(http.StatusInternalServerError, "InternalError"),
		batchtest.SlowBody(http.StatusInternalServerError, "InternalError", 10*time.Millisecond),
		batchtest.DropBeforeActing(),
		batchtest.DropAfterActing(),
		batchtest.Hang(),
	}
	return faults[r.IntN(len(faults))]
}

// late answers within the limit of a call, or just not.
func late(r *rand.Rand) batchtest.Fault {
	return batchtest.Delay(time.Duration(r.Int64N(int64(50 * time.Second))))
}

func throttled(r *rand.Rand) batchtest.Fault {
	waits := []time.Duration{batchtest.NoRetryAfter, time.Second, 20 * time.Second, 3 * time.Minute}
	return batchtest.Status(http.StatusTooManyRequests, "TooManyRequests", waits[r.IntN(len(waits))])
}

func disabled(*rand.Rand) batchtest.Fault {
	return batchtest.Status(http.StatusConflict, "JobDisabled", batchtest.NoRetryAfter)
}

func odd(*rand.Rand) batchtest.Fault {
	return batchtest.Status(http.StatusConflict, "JobNotActive", batchtest.NoRetryAfter)
}

func refused(s *simulation, r *rand.Rand, task string) {
	running(s, r, task)
	s.account.OnNext(batchtest.Status(http.StatusBadRequest, "InvalidInput", batchtest.NoRetryAfter), batchtest.ForTask(nightly, task), batchtest.Keep())
}

func plain(job, task string) string {
	return fmt.Sprintf(`{"jobId":%q,"taskId":%q,"reason":"simulated"}`, job, task)
}

func envelope(_ *simulation, _ *rand.Rand, task string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/simulation","type":"terminate","data":%s}`, task, plain(nightly, task))
}

func ifMatch(s *simulation, _ *rand.Rand, task string) string {
	t, _ := s.account.Task(nightly, task)
	return fmt.Sprintf(`{"jobId":%q,"taskId":%q,"ifMatch":%q}`, nightly, task, t.ETag)
}

func ifMatchOld(_ *simulation, _ *rand.Rand, task string) string {
	return fmt.Sprintf(`{"jobId":%q,"taskId":%q,"ifMatch":"0x8DCOLD"}`, nightly, task)
}

func createdBefore(after time.Duration) func(*simulation, *rand.Rand, string) string {
	return func(_ *simulation, _ *rand.Rand, task string) string {
		return fmt.Sprintf(`{"jobId":%q,"taskId":%q,"createdBefore":%q}`, nightly, task, time.Now().Add(after).UTC().Format(time.RFC3339))
	}
}

func malformed(_ *simulation, r *rand.Rand, task string) string {
	bodies := []string{`{"jobId":%q,"taskId":%q`, `{"jobId":%q,"taskid":%q}`, `{"jobId":%q,"taskId":%q,"taskId":"again"}`, `[%q,%q]`, "%.0s%.0s", `{"jobId":%q,"taskId":%q}x`}
	return fmt.Sprintf(bodies[r.IntN(len(bodies))], nightly, task)
}

func escape(*simulation, *rand.Rand, string) string {
	return fmt.Sprintf(`{"jobId":%q,"taskId":".."}`, nightly)
}

func oversized(_ *simulation, _ *rand.Rand, task string) string {
	return plain(nightly, task) + strings.Repeat(" ", 2*handler.MaxBody)
}

func foreign(_ *simulation, _ *rand.Rand, task string) string {
	return fmt.Sprintf(`{"jobId":%q,"taskId":%q,"endpoint":"https://elsewhere.example"}`, nightly, task)
}
