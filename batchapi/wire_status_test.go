package batchapi_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"
)

// Informational answers are passed over, but not for ever.
//
// Scorecard: H4.
func TestAFloodOfInformationalAnswersEnds(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"continue": "HTTP/1.1 100 Continue\r\n\r\n", "processing": "HTTP/1.1 102 Processing\r\n\r\n",
		"early hints": "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n", "unknown": "HTTP/1.1 142 Odd\r\n\r\n",
		"large": "HTTP/1.1 103 Early Hints\r\nLink: <" + strings.Repeat("x", 40<<10) + ">\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account, client := overWire(t)
			account.OnNext(flood("", line))
			_, err := client.TerminateTask(t.Context(), "job", "task", nil)
			var answered *batchapi.Error
			if err == nil || errors.As(err, &answered) {
				t.Errorf("error %v, want one that is no answer", err)
			}
			if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

// A redirect of any kind is an answer like another. Nobody follows it, so nobody else sees the token.
//
// Scorecard: H5.
func TestNoRedirectIsFollowedWhereverItLeads(t *testing.T) {
	t.Parallel()
	stranger := batchtest.New()
	t.Cleanup(stranger.Close)
	elsewhere, err := stranger.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	account, client := overWire(t)
	task := client.Endpoint() + "/jobs/job/tasks/task/terminate"
	for _, status := range []int{300, 301, 302, 303, 305, 307, 308, 399} {
		for _, location := range []string{
			task, "/jobs/job/terminate", "../../terminate", "?api-version=1", "", // to itself, and about
			elsewhere.Endpoint() + "/jobs/job/tasks/task/terminate", "//" + strings.TrimPrefix(elsewhere.Endpoint(), "http://") + "/",
			strings.Replace(client.Endpoint(), "http:", "https:", 1), strings.Replace(task, "http://", "http://user:password@", 1),
			"http://169.254.169.254/metadata", "javascript:alert(1)", "https://%zz/", "http://[::1",
		} {
			before := account.CallCount()
			account.OnNext(says("", fmt.Sprintf("HTTP/1.1 %d Elsewhere", status), "Location: "+location, "Content-Length: 0", "Connection: close"))
			_, err := client.TerminateTask(t.Context(), "job", "task", nil)
			var answered *batchapi.Error
			if !errors.As(err, &answered) || answered.StatusCode != status || account.CallCount() != before+1 {
				t.Errorf("%d to %q: error %v, %d calls", status, location, err, account.CallCount()-before)
			}
		}
	}
	if stranger.CallCount() != 0 || len(account.Strays()) != 0 || account.Terminations("job", "task") != 0 {
		t.Errorf("%d calls elsewhere, strays %v, %d terminations", stranger.CallCount(), account.Strays(), account.Terminations("job", "task"))
	}
}

// Every status that has three digits is reported as what it is, and only 204 is a success by itself.
//
// Scorecard: H7.
func TestEveryStatusIsReported(t *testing.T) {
	t.Parallel()
	account, client := overWire(t)
	for status := 200; status < 1000; status++ {
		account.OnNext(says("", fmt.Sprintf("HTTP/1.1 %d Odd", status), "Content-Length: 0", "Connection: close"))
		resp, err := client.TerminateTask(t.Context(), "job", "task", nil)
		if status == http.StatusNoContent {
			if err != nil || resp.StatusCode != status {
				t.Errorf("%d: %+v, %v", status, resp, err)
			}
			continue
		}
		var answered *batchapi.Error
		if !errors.As(err, &answered) || answered.StatusCode != status {
			t.Errorf("%d: error %v", status, err)
		}
	}
	if account.CallCount() != 800 {
		t.Errorf("%d calls", account.CallCount())
	}
}

// Whatever bytes a header holds, an error is one line that a terminal can show.
//
// Scorecard: H7.
func TestControlBytesInHeadersReachNoLog(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{"\x00", "a\rb", "a\r\r\nb", "\x1b[31mred", "a\x7fb", "\xff\xfe", "\u202eevil", " folded\r\n line", strings.Repeat("x", 60<<10)} {
		for _, name := range []string{"request-id", "Retry-After", "Date", "X-Odd", "Content-Length", "client-request-id", "WWW-Authenticate"} {
			account, client := overWire(t)
			account.OnNext(says("{}", "HTTP/1.1 503 Busy", name+": "+odd))
			_, err := client.TerminateTask(t.Context(), "job", "task", nil)
			if err == nil {
				t.Errorf("%s %.20q: no error", name, odd)
				continue
			}
			var answered *batchapi.Error
			if line := err.Error(); errors.As(err, &answered) && (strings.ContainsAny(line, "\x00\r\n\x1b\x7f\u202e") || len(line) > 1<<10) {
				t.Errorf("%s %.20q: %d bytes, %.200q", name, odd, len(line), line)
			}
		}
	}
}

// Two waits, of a service and of a gateway before it: the longer one keeps both.
//
// Scorecard: H6.
func TestTheLongestRetryAfterCounts(t *testing.T) {
	t.Parallel()
	for _, waits := range [][]string{{"5", "90"}, {"90", "5"}, {"soon", "90"}, {"90", ""}, {"-1", "90"}} {
		account, client := overWire(t)
		account.OnNext(says("", "HTTP/1.1 503 Busy", "Retry-After: "+waits[0], "Retry-After: "+waits[1], "Content-Length: 0"))
		_, err := client.TerminateTask(t.Context(), "job", "task", nil)
		var answered *batchapi.Error
		if !errors.As(err, &answered) || !answered.HasRetryAfter || answered.RetryAfter.Seconds() != 90 {
			t.Errorf("%q: %+v", waits, answered)
		}
	}
}

// A kept connection that the service has closed costs nothing, even if the call was under way on it already; a new one that
// breaks is an attempt that failed.
//
// Scorecard: H2.
func TestAKeptConnectionThatWasClosedCostsNoCall(t *testing.T) {
	t.Parallel()
	account, client := overWire(t)
	goes := batchtest.Raw(func(io.ReadWriter) {})
	for i := range 5 {
		if _, err := client.TerminateTask(t.Context(), "job", "other", nil); err == nil {
			t.Fatal("the task is there")
		}
		account.OnNext(goes)
		_, err := client.TerminateTask(t.Context(), "job", "other", nil)
		var answered *batchapi.Error
		if want := 3 * (i + 1); !errors.As(err, &answered) || account.CallCount() != want {
			t.Fatalf("%d calls, want %d: %v", account.CallCount(), want, err)
		}
	}
	account.OnNext(goes, batchtest.Times(2))
	if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err == nil || account.CallCount() != 17 {
		t.Errorf("%d calls, want the repeated one to be the last: %v", account.CallCount(), err)
	}
	if key := lastCall(t, account).Header["Idempotency-Key"]; key != nil {
		t.Errorf("Idempotency-Key %q was sent", key)
	}
}
