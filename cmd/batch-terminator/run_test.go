package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/google/go-cmp/cmp"

	"batchterminator/batchapi/batchtest"
	"batchterminator/cmd/internal/app"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// recorded keeps what a command wrote.
type recorded struct{ out, err bytes.Buffer }

func (r *recorded) streams(stdin string) streams {
	return streams{in: strings.NewReader(stdin), out: &r.out, err: &r.err}
}

func TestExitCodeTellsWrongSettingsFromFailure(t *testing.T) {
	t.Parallel()
	emulator := app.Environment{"SERVICEBUS_CONNECTION_STRING=Endpoint=sb://localhost;SharedAccessKeyName=Root;SharedAccessKey=c2VjcmV0;UseDevelopmentEmulator=true"}
	for _, c := range []struct {
		args []string
		env  app.Environment
		want int
	}{
		{[]string{"version"}, nil, exitOK},
		{[]string{"--help"}, nil, exitOK},
		{[]string{"run", "--help"}, nil, exitOK},
		{nil, nil, exitSettings},
		{[]string{"walk"}, nil, exitSettings},
		{[]string{"run"}, nil, exitSettings},
		{[]string{"run", "--grace=soon"}, nil, exitSettings},
		{[]string{"run", "--batch-endpoint=http://localhost:1", "--listen=256.0.0.1:0"}, emulator, exitFailed},
		{[]string{"send"}, emulator, exitSettings},
		{[]string{"control"}, nil, exitSettings},
		{[]string{"control", "concurrency", "many"}, nil, exitSettings},
		{[]string{"control", "log-level", "loud"}, nil, exitSettings},
		{[]string{"control", "status", "--control=0.0.0.0:9092"}, nil, exitSettings},
		{[]string{"control", "pause", "--control=127.0.0.1:1"}, nil, exitSettings}, // nobody says who
		{[]string{"control", "pause", "--control=127.0.0.1:1", "--by=ada"}, nil, exitFailed},
		{[]string{"send", "--job=j", "--task=.."}, emulator, exitSettings},
	} {
		var r recorded
		got := run(t.Context(), c.args, c.env, strings.NewReader(""), &r.out, &r.err)
		if got != c.want || (got == exitOK) != (r.err.Len() == 0) || (got == exitOK) != (r.out.Len() > 0) {
			t.Errorf("%q: exit code %d, want %d\nstdout: %s\nstderr: %s", c.args, got, c.want, r.out.String(), r.err.String())
		}
		if strings.Contains(r.err.String(), "goroutine") {
			t.Errorf("%q: a stack trace: %s", c.args, r.err.String())
		}
	}
}

// Scorecard: S9.
func TestStuckWorkerHasAnExitCodeOfItsOwnAndOneLine(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	code := fail(&out, fmt.Errorf("%w: the receive loop has shown no sign of life for 2m10s", worker.ErrStuck), []string{"run"})
	if want := "batch-terminator: the worker got stuck: the receive loop has shown no sign of life for 2m10s\n"; code != 3 || out.String() != want {
		t.Errorf("exit code %d, %q; want 3 and %q", code, out.String(), want)
	}
}

// broker is an embedded Service Bus with the default queue, and the environment that leads to it.
func broker(t *testing.T) (*servicebustest.Server, app.Environment) {
	t.Helper()
	b := servicebustest.New(t, servicebustest.WithQueue(app.DefaultQueue, servicebustest.QueueConfig{}))
	return b, app.Environment{"SERVICEBUS_CONNECTION_STRING=" + b.ConnectionString()}
}

func TestSendPublishesEachLineAndSaysHowMany(t *testing.T) {
	t.Parallel()
	b, env := broker(t)
	var r recorded
	input := `{"jobId":"j","taskId":"a"}` + "\n\n  " + `{"jobId":"j","taskId":"b","ifMatch":"0x<1>"}` + " \r\n" + `{"jobId":"j","taskId":"c"}`
	if code := runWith(t.Context(), []string{"send", "--ttl=1h"}, env, r.streams(input), app.Deps{Dial: b.Dial}); code != exitOK {
		t.Fatalf("exit code %d: %s", code, r.err.String())
	}
	if got := r.out.String(); got != "sent 3 of 3 to terminate-requests\n" {
		t.Errorf("stdout %q", got)
	}
	var bodies []string
	ids := map[string]bool{}
	for _, m := range b.Queue(app.DefaultQueue).Messages() {
		bodies = append(bodies, string(m.Body))
		ids[m.ID] = true
		if m.ContentType != "application/json" || m.ExpiresAt.Sub(m.EnqueuedAt) != time.Hour {
			t.Errorf("message %+v", m)
		}
	}
	want := []string{`{"jobId":"j","taskId":"a"}`, `{"jobId":"j","taskId":"b","ifMatch":"0x<1>"}`, `{"jobId":"j","taskId":"c"}`}
	if diff := cmp.Diff(want, bodies); diff != "" || len(ids) != 3 {
		t.Errorf("%d ids (-want +got):\n%s", len(ids), diff)
	}
}

func TestSendBuildsARequestFromFlags(t *testing.T) {
	t.Parallel()
	b, env := broker(t)
	var r recorded
	args := []string{
		"send", "--job=j:job-1", "--task=t", "--endpoint=https://acme.westeurope.batch.azure.com", "--timeout=5s", `--if-match="0x<&>"`,
		"--if-unmodified-since=2026-01-31T17:00:00Z", "--client-request-id=7f3e1c1a-64c7-4f2a-9d5d-0a8b7c6d5e4f", "--reason=a < b", "--requested-by=me", "--message-id=m-1", "-o", "json",
	}
	if code := runWith(t.Context(), args, env, r.streams(""), app.Deps{Dial: b.Dial}); code != exitOK {
		t.Fatalf("exit code %d: %s", code, r.err.String())
	}
	if got := r.out.String(); got != `{"entity":"terminate-requests","sent":1,"total":1}`+"\n" {
		t.Errorf("stdout %q", got)
	}
	messages := b.Queue(app.DefaultQueue).Messages()
	want := `{"jobId":"j:job-1","taskId":"t","endpoint":"https://acme.westeurope.batch.azure.com","timeOut":5,"ifMatch":"\"0x<&>\"","ifUnmodifiedSince":"2026-01-31T17:00:00Z","clientRequestId":"7f3e1c1a-64c7-4f2a-9d5d-0a8b7c6d5e4f","reason":"a < b","requestedBy":"me"}`
	if len(messages) != 1 || messages[0].ID != "m-1" || string(messages[0].Body) != want {
		t.Errorf("messages %+v\nwant body %s", messages, want)
	}
}

// A condition must not get lost on its way out of a script whose variable is not set.
func TestSendWithAnEmptyPartSendsNothing(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--if-match", "--if-none-match", "--if-modified-since", "--if-unmodified-since", "--created-before", "--endpoint", "--client-request-id", "--message-id", "--task", "--job"} {
		b, env := broker(t)
		var r recorded
		args := []string{"send", "--job=j", "--task=t", flag, ""}
		code := runWith(t.Context(), args, env, r.streams(`{"jobId":"j","taskId":"a"}`), app.Deps{Dial: b.Dial})
		if text := r.err.String(); code != exitSettings || !strings.Contains(text, flag+": empty") || len(b.Queue(app.DefaultQueue).Messages()) > 0 {
			t.Errorf("%s: exit code %d, stderr %s", flag, code, text)
		}
	}
}

func TestSendOfABadInputSendsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ input, want string }{
		"bad last line": {`{"jobId":"j","taskId":"a"}` + "\n" + `{"jobId":"j","taskId":".."}`, "line 2: taskId: want 1 to 64"},
		"one byte over": {`{"jobId":"j","taskId":"a","reason":"` + strings.Repeat("x", 64<<10) + `"}`, "line 1: "},
		"endless line":  {`{"jobId":"j","taskId":"a"}` + "\n" + strings.Repeat("x", 1<<20), "line 2: more than 65536 bytes"},
		"two in a line": {`{"jobId":"j","taskId":"a"} {"jobId":"j","taskId":"b"}`, "line 1: body: "},
	} {
		var r recorded
		_, env := broker(t)
		dial := func(context.Context) (net.Conn, error) {
			t.Errorf("%s: dialled", name)
			return nil, errors.New("no network")
		}
		code := runWith(t.Context(), []string{"send"}, env, r.streams(c.input), app.Deps{Dial: dial})
		if text := r.err.String(); code != exitSettings || !strings.Contains(text, c.want) || !strings.Contains(text, "nothing was sent") || len(text) > 400 {
			t.Errorf("%s: exit code %d, stderr %s", name, code, text)
		}
	}
}

func TestSendThatCannotConnectSaysThatNothingWasSent(t *testing.T) {
	t.Parallel()
	_, env := broker(t)
	var r recorded
	dial := func(context.Context) (net.Conn, error) { return nil, errors.New("no route to host") }
	code := runWith(t.Context(), []string{"send", "--job=j", "--task=t", "-o", "json"}, env, r.streams(""), app.Deps{Dial: dial})
	if code != exitFailed || !strings.Contains(r.err.String(), "no route to host") || !strings.Contains(r.out.String(), `"sent":0,"total":1,"error":"`) {
		t.Errorf("exit code %d\nstdout: %s\nstderr: %s", code, r.out.String(), r.err.String())
	}
	if strings.Contains(r.out.String()+r.err.String(), "SAS_KEY_VALUE") {
		t.Error("the key is printed")
	}
}

func TestInterruptedSendEndsAtOnce(t *testing.T) {
	t.Parallel()
	_, env := broker(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var r recorded
	in, keepOpen := io.Pipe()
	defer func() { _ = keepOpen.Close() }()
	code := runWith(ctx, []string{"send"}, env, streams{in, &r.out, &r.err}, app.Deps{})
	if code != exitFailed || r.err.String() != "batch-terminator: interrupted before the end of the input; nothing was sent\n" {
		t.Errorf("while reading: exit code %d, stderr %s", code, r.err.String())
	}
	r = recorded{}
	dial := func(ctx context.Context) (net.Conn, error) { return nil, ctx.Err() }
	code = runWith(ctx, []string{"send", "--job=j", "--task=t"}, env, r.streams(""), app.Deps{Dial: dial})
	if code != exitFailed || r.out.String() != "sent 0 of 1 to terminate-requests\n" || !strings.Contains(r.err.String(), "interrupted") {
		t.Errorf("while sending: exit code %d, stdout %s, stderr %s", code, r.out.String(), r.err.String())
	}
}

func TestWhatSendPublishesRunTerminates(t *testing.T) {
	t.Parallel()
	b, env := broker(t)
	account := batchtest.New(batchtest.AutoCreate())
	t.Cleanup(account.Close)
	deps := app.Deps{Dial: b.Dial, Transport: func(string) policy.Transporter { return account.Client() }}
	var sent recorded
	if code := runWith(t.Context(), []string{"send"}, env, sent.streams(`{"jobId":"j","taskId":"a"}`+"\n"+`{"jobId":"j","taskId":"b"}`), deps); code != exitOK {
		t.Fatalf("send: exit code %d: %s", code, sent.err.String())
	}
	ctx, stop := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	go func() {
		defer stop()
		waited <- b.Queue(app.DefaultQueue).Wait(ctx, func(c servicebustest.Counts) bool { return c.Completed == 2 })
	}()
	var worked recorded
	env = append(env, "BATCH_ENDPOINT=http://localhost:5681", "LISTEN=127.0.0.1:0", "CONTROL=127.0.0.1:0", "CONTAINER_APP_REPLICA_NAME=r-1")
	if code := runWith(ctx, []string{"run"}, env, worked.streams(""), deps); code != exitOK {
		t.Errorf("run: exit code %d", code)
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if account.Terminations("j", "a") != 1 || account.Terminations("j", "b") != 1 {
		t.Errorf("calls %+v", account.Calls())
	}
	log := worked.err.String()
	for _, want := range []string{`"delivery_at_most":"1m35s"`, `"calls_per_delivery_at_most":21`, `"deliveries_per_request_at_most":196`, `"calls_per_request_at_most":4116`, `"broker_operations_per_request_at_most":8036`, `"replica":"r-1"`, `"msg":"drained"`} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in the log", want)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}
