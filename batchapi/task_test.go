package batchapi_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"

	"github.com/google/go-cmp/cmp"
)

func TestTerminateTaskActsOnceAndReportsTheHeaders(t *testing.T) {
	t.Parallel()
	account, client := setup(t)
	const id = "9C4D50EE-2D56-4CD3-8152-34347DC9F2B0"
	got, err := client.TerminateTask(t.Context(), "job", "task", &batchapi.TerminateTaskOptions{
		ClientRequestID: id, ReturnClientRequestID: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	task, _ := account.Task("job", "task")
	want := batchapi.TerminateTaskResponse{
		StatusCode:      http.StatusNoContent,
		ClientRequestID: id,
		RequestID:       got.RequestID,
		DataServiceID:   account.Endpoint() + "/jobs/job/tasks/task/terminate",
		ETag:            task.ETag,
		LastModified:    task.LastModified.Truncate(time.Second),
	}
	if diff := cmp.Diff(want, got); diff != "" || got.RequestID == "" {
		t.Errorf("response (-want +got), request id %q:\n%s", got.RequestID, diff)
	}
	if n := account.Terminations("job", "task"); n != 1 || task.State != batchtest.TaskCompleted {
		t.Errorf("terminations %d, state %s", n, task.State)
	}
}

func TestTheSecondTerminateIsTaskCompleted(t *testing.T) {
	t.Parallel()
	account, client := setup(t)
	if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
		t.Fatal(err)
	}
	_, err := client.TerminateTask(t.Context(), "JOB", "Task", nil) // ids ignore case
	var refused *batchapi.Error
	if !errors.As(err, &refused) || refused.StatusCode != http.StatusConflict || refused.Code != "TaskCompleted" {
		t.Fatalf("error %v", err)
	}
	if n := account.Terminations("job", "task"); n != 1 {
		t.Errorf("terminations %d", n)
	}
}

func TestTheRequestIDIsKnownWhetherEchoedOrNot(t *testing.T) {
	t.Parallel()
	for _, echo := range []bool{true, false} {
		account, client := setup(t)
		resp, err := client.TerminateTask(t.Context(), "job", "task", &batchapi.TerminateTaskOptions{ReturnClientRequestID: echo})
		if err != nil {
			t.Fatal(err)
		}
		call := lastCall(t, account)
		sent := call.Header.Get("client-request-id")
		if resp.ClientRequestID != sent || len(sent) != 36 {
			t.Errorf("echo %v: sent %q, got %q", echo, sent, resp.ClientRequestID)
		}
		if asked := call.Header.Get("return-client-request-id"); (asked == "true") != echo {
			t.Errorf("echo %v: return-client-request-id %q", echo, asked)
		}
		_, err = client.TerminateTask(t.Context(), "job", "gone", nil)
		var refused *batchapi.Error
		if !errors.As(err, &refused) || refused.ClientRequestID == "" || refused.ClientRequestID == sent {
			t.Errorf("the next call must have a request id of its own: %v", err)
		}
	}
}

func TestTheDateIsFreshOnEveryAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account, client := setup(t)
		options := &batchapi.TerminateTaskOptions{ClientRequestID: "9c4d50ee-2d56-4cd3-8152-34347dc9f2b0"}
		for range 3 {
			if _, err := client.TerminateTask(t.Context(), "job", "task", options); err != nil && !strings.Contains(err.Error(), "TaskCompleted") {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Minute) // beyond what the service lets a date age
		}
		for i, call := range account.Calls() {
			if got, want := call.Header.Get("ocp-date"), call.Time.UTC().Format(http.TimeFormat); got != want {
				t.Errorf("attempt %d: ocp-date %q, want %q", i, got, want)
			}
			if got := call.Header.Get("client-request-id"); got != options.ClientRequestID {
				t.Errorf("attempt %d: client-request-id %q", i, got)
			}
		}
	})
}

func TestOneCallIsOneRequestWhateverFails(t *testing.T) {
	t.Parallel()
	for _, fault := range []batchtest.Fault{
		batchtest.Status(503, "ServerBusy", 0),
		batchtest.Status(429, "TooManyRequests", time.Second),
		batchtest.Status(500, "InternalError", batchtest.NoRetryAfter),
		batchtest.DropBeforeActing(),
		batchtest.DropAfterActing(),
	} {
		account, client := setup(t, func(o *batchapi.ClientOptions) { o.Retry.MaxRetries = 5 })
		account.OnNext(fault)
		if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err == nil {
			t.Error("call met a fault and returned no error")
		}
		if n := account.CallCount(); n != 1 {
			t.Errorf("%d requests", n)
		}
	}
}

func TestGetTaskReadsWhatADecisionNeeds(t *testing.T) {
	t.Parallel()
	account, client := setup(t)
	account.AddTask("nightly:job-12", "t-1", batchtest.TaskPreparing)
	info, _ := account.Task("nightly:job-12", "t-1")
	got, err := client.GetTask(t.Context(), "nightly:job-12", "T-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := batchapi.Task{ID: "t-1", State: batchapi.TaskPreparing, ETag: info.ETag, CreationTime: got.CreationTime}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if d := info.CreationTime.Sub(got.CreationTime); d < 0 || d >= time.Microsecond {
		t.Errorf("creation time %v, want %v", got.CreationTime, info.CreationTime)
	}
	_, err = client.GetTask(t.Context(), "job", "gone", nil)
	var refused *batchapi.Error
	if !errors.As(err, &refused) || refused.Code != "TaskNotFound" || refused.Operation != "get task" {
		t.Errorf("error %v", err)
	}
}

func TestGetTaskRefusesASuccessThatIsNotTheTask(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"html":          "<html>log in first</html>",
		"empty":         "",
		"another task":  `{"id":"other","state":"running"}`,
		"no state":      `{"id":"task"}`,
		"date not date": `{"id":"task","state":"running","creationTime":"today"}`,
	} {
		account, client := setup(t)
		account.OnNext(batchtest.Body(http.StatusOK, "application/json", []byte(body)))
		_, err := client.GetTask(t.Context(), "job", "task", nil)
		var refused *batchapi.Error
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusOK || refused.Code != "" {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestAnotherSuccessStatusIsASuccessToNotice(t *testing.T) {
	t.Parallel()
	account, client := setup(t)
	account.OnNext(batchtest.Body(http.StatusAccepted, "text/plain", nil))
	resp, err := client.TerminateTask(t.Context(), "job", "task", nil)
	if err != nil || resp.StatusCode != http.StatusAccepted {
		t.Errorf("status %d, error %v", resp.StatusCode, err)
	}
}
