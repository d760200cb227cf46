package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/google/go-cmp/cmp"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/app"
	"batchterminator/handler"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// desk is where a person with dead letters sits: an embedded Service Bus, a simulated Batch, and the commands.
type desk struct {
	bus     *servicebustest.Server
	queue   *servicebustest.Queue
	account *batchtest.Account
	env     app.Environment
}

func newDesk(t *testing.T, options ...servicebustest.Option) *desk {
	t.Helper()
	config := servicebustest.QueueConfig{DeadLetterOnExpiration: true}
	d := &desk{bus: servicebustest.New(t, append(options, servicebustest.WithQueue(app.DefaultQueue, config))...), account: batchtest.New()}
	t.Cleanup(d.account.Close)
	batch, err := d.account.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.queue = d.bus.Queue(app.DefaultQueue)
	d.env = app.Environment{"SERVICEBUS_CONNECTION_STRING=" + d.bus.ConnectionString(), "BATCH_ENDPOINT=" + batch.Endpoint()}
	return d
}

// bury makes dead letters, by the end of their time to live.
func (d *desk) bury(t *testing.T, messages ...servicebustest.Message) {
	t.Helper()
	d.buryIn(t, d.queue, messages...)
}

func (d *desk) buryIn(t *testing.T, queue *servicebustest.Queue, messages ...servicebustest.Message) {
	t.Helper()
	dead := queue.Counts().DeadLettered + len(messages)
	for i := range messages {
		messages[i].TTL = time.Millisecond
	}
	if _, err := queue.Send(messages...); err != nil {
		t.Fatal(err)
	}
	if err := queue.Wait(t.Context(), func(c servicebustest.Counts) bool { return c.DeadLettered == dead }); err != nil {
		t.Fatal(err)
	}
}

// request is a message for a task of job j.
func request(task string) servicebustest.Message {
	return servicebustest.Message{ID: "m-" + task, Body: fmt.Appendf(nil, `{"jobId":"j","taskId":%q}`, task)}
}

// run runs a command that has to end with the code.
func (d *desk) run(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var r recorded
	got := runWith(t.Context(), args, d.env, r.streams(""), app.Deps{Dial: d.bus.Dial})
	if got != code {
		t.Errorf("%q: exit code %d, want %d\n%s%s", args, got, code, r.out.String(), r.err.String())
	}
	return r.out.String(), r.err.String()
}

// contains looks for text in which the width of columns does not matter.
func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(columns.ReplaceAllString(text, "  "), columns.ReplaceAllString(want, "  ")) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

var columns = regexp.MustCompile(` {2,}`)

// newborn has ages under ten seconds be none: a busy machine may take that long between a message and its listing.
func newborn(text string) string { return fewSeconds.ReplaceAllString(text, " 0s ") }

var fewSeconds = regexp.MustCompile(` \ds `)

func TestListCountsByReasonAndChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.bury(t, request("a"), request("b"), servicebustest.Message{ID: "bad", Body: []byte("{")})
	out, _ := d.run(t, exitOK, "dlq", "list")
	contains(t, newborn(out), "TTLExpiredException  3      0s      0s      The message expired and was dead lettered.\n3 dead letters in terminate-requests\n")
	out, _ = d.run(t, exitOK, "dlq", "list", "--each", "--task=a")
	contains(t, newborn(out), "NUMBER  MESSAGE ID  AGE  REASON               REQUEST\n1       m-a         0s   TTLExpiredException  j/a\n1 dead letter")
	out, _ = d.run(t, exitOK, "dlq", "list", "--id=bad", "-o", "json")
	var l listing
	if err := json.Unmarshal([]byte(out), &l); err != nil || l.Total != 1 || l.Reasons[0].Example != "bad" || l.Reasons[0].Meaning == "" {
		t.Errorf("%v: %s", err, out)
	}
	for _, none := range []string{"--older-than=1h", "--reason=refused", "--job=other", "--id=c"} {
		out, _ = d.run(t, exitOK, "dlq", "list", none)
		contains(t, out, "none of 3 dead letters in terminate-requests fits; reasons here: TTLExpiredException\n")
	}
	d.untouched(t, 3)
}

// untouched holds the ledger to what a look may do, which is nothing.
func (d *desk) untouched(t *testing.T, dead int) {
	t.Helper()
	for _, m := range d.queue.Ledger() {
		for _, e := range m.Events {
			if e.Kind == servicebustest.EventDelivered || e.DeliveryCount != 0 {
				t.Errorf("message %s was touched: %+v", m.MessageID, e)
			}
		}
	}
	if n := len(d.queue.DeadLettered()); n != dead || len(d.queue.Messages()) != 0 {
		t.Errorf("%d dead letters, %d messages", n, len(d.queue.Messages()))
	}
}

// Scorecard: M8.
func TestNothingOfAMessageReachesTheTerminalUnescaped(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	evil := "\x1b]0;owned\x07\u202eabc\u009b31m\r\n\t\u2066"
	d.bury(t, servicebustest.Message{
		ID: "evil" + evil, Body: []byte(`{"jobId":"` + evil + `"}` + evil), ContentType: "text/" + evil, Subject: evil, CorrelationID: evil,
		Properties: map[string]any{"p" + evil: "v" + evil, "bt-request-id": evil, "bt-ledger": evil + "; 2026-01-31T17:00:00Z " + evil, "bt-first-enqueued": evil},
	})
	for _, args := range [][]string{
		{"dlq", "list"}, {"dlq", "list", "--each"}, {"dlq", "list", "-o", "json"}, {"dlq", "list", "--each", "-o", "json"}, {"dlq", "show", "1"}, {"dlq", "show", "1", "-o", "json"},
		{"dlq", "export"}, {"why", "1"}, {"why", "1", "-o", "json"},
	} {
		out, _ := d.run(t, exitOK, args...)
		if len(out) < 30 {
			t.Errorf("%q prints %q", args, out)
		}
		for _, r := range out {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%q prints %U:\n%s", args, r, out)
			}
		}
	}
	_, stderr := d.run(t, exitFailed, "why", evil+"x")
	for _, r := range stderr {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("the error has %U:\n%s", r, stderr)
		}
	}
}

func TestExportKeepsEveryByteAndType(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	binary := []byte{0xff, 0, 0x1b, '"'}
	text := "{\"jobId\":\"j\",\u009b \U000e0001 \\ \"\n"
	at := time.Date(2026, 1, 31, 17, 0, 0, 0, time.UTC)
	d.bury(t, servicebustest.Message{ID: "text", Body: []byte(text)}, servicebustest.Message{ID: "binary", Body: binary, Properties: map[string]any{
		"s": "x", "n": int64(1) << 60, "i": int32(5), "b": true, "f": 1.5, "t": at, "raw": []byte{1, 2},
	}})
	out, stderr := d.run(t, exitOK, "dlq", "export")
	contains(t, stderr, "exported 2 dead letters of terminate-requests")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines: %s", len(lines), out)
	}
	var first, second message
	decoder := json.NewDecoder(strings.NewReader(lines[1]))
	decoder.UseNumber()
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || first.Body == nil || *first.Body != text {
		t.Errorf("%v: %q", err, lines[0])
	}
	if err := decoder.Decode(&second); err != nil {
		t.Fatalf("%v: %q", err, lines[1])
	}
	if got, err := base64.StdEncoding.DecodeString(*second.BodyBase64); err != nil || !bytes.Equal(got, binary) {
		t.Errorf("%v, %v", got, err)
	}
	delete(second.Properties, "DeadLetterReason")
	delete(second.Properties, "DeadLetterErrorDescription")
	want := map[string]any{
		"s": "x", "n": json.Number("1152921504606846976"), "i": map[string]any{"type": "int32", "value": json.Number("5")}, "b": true, "f": json.Number("1.5"),
		"t": map[string]any{"type": "timestamp", "value": "2026-01-31T17:00:00Z"}, "raw": map[string]any{"type": "binary", "value": "AQI="},
	}
	if diff := cmp.Diff(want, second.Properties); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	d.untouched(t, 2)
}

// Found by review: "export them first" said that all were exported.
func TestExportTellsOfWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.bury(t, request("a"))
	client, err := azservicebus.NewClientFromConnectionString(d.bus.ConnectionString(), &azservicebus.ClientOptions{
		NewWebSocketConn: func(ctx context.Context, _ azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
			return d.bus.Dial(ctx)
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close(context.Background()) }()
	sender, err := client.NewSender(app.DefaultQueue, nil)
	if err != nil {
		t.Fatal(err)
	}
	odd := &azservicebus.AMQPAnnotatedMessage{Body: azservicebus.AMQPAnnotatedMessageBody{Value: int64(7)}, Header: &azservicebus.AMQPAnnotatedMessageHeader{TTL: time.Millisecond}}
	if err := sender.SendAMQPAnnotatedMessage(t.Context(), odd, nil); err != nil {
		t.Fatal(err)
	}
	if err := d.queue.Wait(t.Context(), func(c servicebustest.Counts) bool { return c.DeadLettered == 2 }); err != nil {
		t.Fatal(err)
	}
	out, stderr := d.run(t, exitFailed, "dlq", "export")
	contains(t, stderr, "exported 2 dead letters", "1 of them have a body that holds no bytes")
	if n := strings.Count(out, "\n"); n != 2 {
		t.Errorf("%d lines", n)
	}
}

// Found by review: an id that is a number met another message by its sequence number too.
func TestIDsAndSequenceNumbersAreToldApart(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	named := request("named")
	named.ID = "1"
	d.bury(t, request("first"))
	d.bury(t, named)
	for _, c := range []struct{ flag, task string }{{"--id=1", "named"}, {"--sequence-number=1", "first"}} {
		out, _ := d.run(t, exitOK, "dlq", "list", "--each", c.flag)
		contains(t, out, "j/"+c.task+"\n1 dead letter")
	}
	d.run(t, exitSettings, "dlq", "list", "--sequence-number=x")
	d.untouched(t, 2)
}

func TestDryRunSaysWhatARunWouldDo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.bury(t, request("a"), request("b"), request("c"))
	out, _ := d.run(t, exitOK, "dlq", "resubmit", "--all", "--dry-run", "--max=2")
	contains(t, out, "2 dead letters of terminate-requests:\n  2 would be resubmitted to terminate-requests\n")
	out, _ = d.run(t, exitOK, "dlq", "purge", "--task=b", "--dry-run")
	contains(t, out, "1 dead letter of terminate-requests:\n  1 would be deleted\n")
	d.untouched(t, 3)
}

func TestPurgeDeletesOnlyWhatIsChosenAndOnlyWhenTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.bury(t, request("a"), request("b"), request("c"))
	_, stderr := d.run(t, exitSettings, "dlq", "purge", "--all")
	contains(t, stderr, "--yes deletes without asking")
	d.untouched(t, 3)
	out, _ := d.run(t, exitOK, "dlq", "purge", "--id=m-b", "--yes")
	contains(t, out, "  1 deleted\n")
	var left []string
	for _, m := range d.queue.DeadLettered() {
		left = append(left, m.ID)
	}
	if diff := cmp.Diff([]string{"m-a", "m-c"}, left); diff != "" {
		t.Error(diff)
	}
	out, _ = d.run(t, exitOK, "dlq", "purge", "--all", "--yes", "-o", "json")
	contains(t, out, `"found":2`, `"discarded":2`, `"left":0`)
}

// Batch is asked first: what has ended is closed, what may still run is sent back, what is no request stays.
func TestCheckTaskClosesWhatHasEnded(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.account.AddTask("j", "running", batchtest.TaskRunning)
	d.account.AddTask("j", "completed", batchtest.TaskCompleted)
	d.bury(t, request("running"), request("completed"), request("gone"), servicebustest.Message{ID: "bad", Body: []byte("{")})
	const wanted = "4 dead letters of terminate-requests:\n  1 %sresubmitted to terminate-requests\n  2 %staken out: their task has ended or is gone\n  1 left where they are"
	out, _ := d.run(t, exitOK, "dlq", "resubmit", "--all", "--check-task", "--dry-run", "--rate=0")
	contains(t, out, fmt.Sprintf(wanted, "would be ", "would be "))
	d.untouched(t, 4)
	out, _ = d.run(t, exitOK, "dlq", "resubmit", "--all", "--check-task")
	contains(t, out, fmt.Sprintf(wanted, "", ""))
	if m := d.queue.Messages(); len(m) != 1 || m[0].Properties["bt-request-id"] != "m-running" {
		t.Errorf("in the queue: %+v", m)
	}
	if dead := d.queue.DeadLettered(); len(dead) != 1 || dead[0].ID != "bad" {
		t.Errorf("dead letters: %+v", dead)
	}
	for _, call := range d.account.Calls() {
		if call.Method != http.MethodGet {
			t.Errorf("a %s for a question", call.Method)
		}
	}
}

// Found by review: where --batch-endpoint names another account than the worker's, its answer that a task is gone is not about the
// request's task.
func TestCheckTaskAsksNoOtherAccountThanTheWorkerCalled(t *testing.T) {
	t.Parallel()
	const ours, other = "https://ours.westeurope.batch.azure.com", "https://other.westeurope.batch.azure.com"
	id := handler.Request{JobID: "j", TaskID: "t"}.ClientID("m", ours)
	for name, c := range map[string]struct {
		description, more, endpoint string
		elsewhere                   bool
	}{
		"the worker's":                {"x; attempts=1 client-request-id=" + strings.ToUpper(id), "", ours, false},
		"another one":                 {"x; attempts=1 client-request-id=" + id, "", other, true},
		"nothing recorded":            {"expired", "", other, false},
		"the request names it":        {"x; attempts=1 client-request-id=" + id, `,"endpoint":"` + ours + `"`, other, false},
		"the request has its own id":  {"x; attempts=1 client-request-id=" + id, `,"clientRequestId":"` + id + `"`, other, false},
		"nobody was called, at other": {"x; attempts=0 client-request-id=" + id, "", other, true},
	} {
		s := worker.Stored{Description: c.description, Request: handler.Message{RequestIdentity: "m", Body: []byte(`{"jobId":"j","taskId":"t"` + c.more + `}`)}}
		if got := calledElsewhere(s, c.endpoint); got != c.elsewhere {
			t.Errorf("%s: called elsewhere: %v", name, got)
		}
		if !c.elsewhere {
			continue
		}
		if action, err := checked(nil, c.endpoint)(t.Context(), s); action != worker.Keep || err == nil || !strings.Contains(err.Error(), "another account than "+other) {
			t.Errorf("%s: %v, %v; want the dead letter kept", name, action, err)
		}
	}
}

func TestCheckTaskStopsWhenBatchSaysNo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.account.OnNext(batchtest.Status(http.StatusForbidden, "AuthorizationFailure", batchtest.NoRetryAfter), batchtest.Keep())
	d.bury(t, request("a"), request("b"), request("c"))
	out, stderr := d.run(t, exitFailed, "dlq", "resubmit", "--all", "--check-task", "--rate=0")
	contains(t, stderr, "Batch does not say how tasks are: auth_failed")
	contains(t, out, "3 left")
	if n := len(d.queue.DeadLettered()); n != 3 || len(d.queue.Messages()) != 0 {
		t.Errorf("%d dead letters, %d messages", n, len(d.queue.Messages()))
	}
}

// A copy to the topic would reach every other subscription too.
func TestSubscriptionIsNotSentBackToItsTopicUnasked(t *testing.T) {
	t.Parallel()
	subscription := servicebustest.SubscriptionConfig{DeadLetterOnExpiration: true}
	d := newDesk(t, servicebustest.WithTopic("batch", servicebustest.TopicConfig{}), servicebustest.WithSubscription("batch", "terminate", subscription), servicebustest.WithSubscription("batch", "audit", servicebustest.SubscriptionConfig{}))
	topic, ours, audit := d.bus.Topic("batch"), d.bus.Subscription("batch", "terminate"), d.bus.Subscription("batch", "audit")
	send := func(id string) {
		t.Helper()
		if _, err := topic.Send(servicebustest.Message{ID: id, Body: []byte(`{"jobId":"j","taskId":"t"}`), TTL: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		if err := ours.Wait(t.Context(), func(c servicebustest.Counts) bool { return c.DeadLettered == 1 }); err != nil {
			t.Fatal(err)
		}
	}
	send("1")
	entity := []string{"dlq", "resubmit", "--all", "--topic=batch", "--subscription=terminate"}
	_, stderr := d.run(t, exitSettings, entity...)
	contains(t, stderr, "a copy cannot be sent back to one subscription: --to-topic sends it to batch, and so to all other subscriptions too; --to-queue names a queue instead")
	before := audit.Counts().Accepted
	out, _ := d.run(t, exitOK, append(entity, "--to-queue="+app.DefaultQueue)...)
	contains(t, out, "1 resubmitted to terminate-requests")
	if n := audit.Counts().Accepted - before; n != 0 || d.queue.Counts().Active != 1 {
		t.Errorf("%d more for the other subscription, %d in the queue", n, d.queue.Counts().Active)
	}
	send("2")
	before = audit.Counts().Accepted
	out, _ = d.run(t, exitOK, append(entity, "--to-topic")...)
	contains(t, out, "1 resubmitted to batch")
	if n := audit.Counts().Accepted - before; n != 1 {
		t.Errorf("%d for the other subscription, want 1", n)
	}
}

func TestShowTellsAllAboutOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	m := request("a")
	m.Properties = map[string]any{"own": "thing", "bt-ledger": "2026-01-31T17:00:00Z throttled/4; unrecorded"}
	d.bury(t, m)
	out, _ := d.run(t, exitOK, "dlq", "show", "m-a")
	contains(t, out, "message id           m-a\n", "job                  j\n", "task                 a\n", "meaning              Service Bus: its time to live ended in the queue\n",
		"ledger               2026-01-31T17:00:00Z  throttled/4\n", "property own         thing\n", `body                 {"jobId":"j","taskId":"a"}`, "client-request-id    ")
	_, stderr := d.run(t, exitFailed, "dlq", "show", "m-b")
	contains(t, stderr, "no dead letter m-b in terminate-requests; list --each shows all")
}
