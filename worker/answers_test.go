package worker_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// writes is an answer byte for byte.
func writes(parts ...string) batchtest.Fault {
	return batchtest.Raw(func(c io.ReadWriter) { _, _ = io.WriteString(c, strings.Join(parts, "\r\n")) })
}

// stalls writes and then says nothing, until the other end goes.
func stalls(start string) batchtest.Fault {
	return batchtest.Raw(func(c io.ReadWriter) {
		_, _ = io.WriteString(c, start)
		_, _ = io.Copy(io.Discard, c)
	})
}

func explodes(c io.ReadWriter) {
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
	bomb := gzip.NewWriter(c)
	for zeros, n := make([]byte, 1<<20), 0; n < 1<<10; n++ { // a gigabyte
		if _, err := bomb.Write(zeros); err != nil {
			return
		}
	}
}

// brokenAnswers are ways in which Batch, or something before it, fails to answer.
func brokenAnswers() map[string]batchtest.Fault {
	return map[string]batchtest.Fault{
		"reset before it acts":   batchtest.DropBeforeActing(),
		"reset after it acted":   batchtest.DropAfterActing(),
		"slow headers":           batchtest.Delay(time.Minute),
		"slow body":              batchtest.SlowBody(http.StatusServiceUnavailable, "ServerBusy", time.Second),
		"hang":                   batchtest.Hang(),
		"body stalls":            stalls("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
		"body cut":               batchtest.TruncatedBody(http.StatusConflict, "TaskCompleted"),
		"bad chunk":              writes("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "", "zz", ""),
		"garbage":                writes("\x00\xff garbage", "", ""),
		"HTML of a portal":       writes("HTTP/1.1 200 OK", "Content-Length: 6", "", "<html>"),
		"HTML of a gateway":      batchtest.HTML(http.StatusBadGateway),
		"1 MB":                   batchtest.LargeBody(http.StatusInternalServerError, "InternalError", 1<<20),
		"gzip bomb":              batchtest.Raw(explodes),
		"switches protocols":     stalls("HTTP/1.1 101 Switching Protocols\r\nUpgrade: odd\r\nConnection: upgrade\r\n\r\n"),
		"only informational":     writes(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100)),
		"redirect":               batchtest.Redirect("https://evil.example/jobs/j/tasks/a/terminate"),
		"redirect to the job":    batchtest.Redirect("/jobs/j/terminate"),
		"to another request":     writes("HTTP/1.1 204 No Content", "client-request-id: 00000000-0000-4000-8000-00000000dead", "", ""),
		"refusal to another":     writes("HTTP/1.1 404 Not Found", "client-request-id: 00000000-0000-4000-8000-00000000dead", "Content-Length: 23", "", `{"code":"TaskNotFound"}`),
		"status 999":             writes("HTTP/1.1 999 Odd", "Content-Length: 0", "", ""),
		"throttled for an hour":  batchtest.Status(http.StatusTooManyRequests, "TooManyRequests", time.Hour),
		"throttled without time": batchtest.Status(http.StatusTooManyRequests, "TooManyRequests", batchtest.NoRetryAfter),
		"unauthorized":           batchtest.Unauthorized(),
	}
}

// Whatever the answer, once or for five minutes: it is not taken for success, the request is repeated under its identity, and
// takes effect once. No delivery burns, and nobody has to look.
//
// Scorecard: H1, H2, H3, H4, H5, H9, F17, R14.
func TestBrokenAnswersLoseBurnAndRepeatNothing(t *testing.T) {
	t.Parallel()
	for name, fault := range brokenAnswers() {
		for _, lasting := range []time.Duration{0, 5 * time.Minute} {
			t.Run(fmt.Sprintf("%s/%v", name, lasting), func(t *testing.T) {
				t.Parallel()
				inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
					if lasting == 0 {
						s.account.OnNext(fault)
					} else {
						rule := s.account.OnNext(fault, batchtest.Keep())
						time.AfterFunc(lasting, rule.Remove)
					}
					s.task(t, "a", "b", "c")
					s.until(t, 6*time.Hour, "an empty queue", empty)
					equal(t, "dead letters", s.deadLetters(), nil)
					equal(t, "burned deliveries", s.burned(), 0)
					for _, id := range []string{"a", "b", "c"} {
						equal(t, "terminations of "+id, s.account.Terminations("j", id), 1)
					}
				})
			})
		}
	}
}
