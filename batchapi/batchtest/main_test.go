package batchtest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi/batchtest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answer is what came over the wire.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of the call, or of reading the body
}

// send makes one request by hand: path may hold a query, headers alternate names
// and values and go out as written.
func send(t testing.TB, client *http.Client, method, url string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Authorization"] = []string{"Bearer any"}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	once := *client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := once.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body), err}
}

const version = "?api-version=2025-06-01"

// setup returns an account with a running task job/task, its client, and the
// task's URL.
func setup(t testing.TB, opts ...batchtest.Option) (*batchtest.Account, *http.Client, string) {
	t.Helper()
	account := batchtest.New(opts...)
	t.Cleanup(account.Close)
	account.AddTask("job", "task", batchtest.TaskRunning)
	return account, account.Client(), account.Endpoint() + "/jobs/job/tasks/task"
}

func (a answer) code() string {
	_, rest, _ := strings.Cut(a.body, `"code":"`)
	code, _, _ := strings.Cut(rest, `"`)
	return code
}

func now() string { return time.Now().UTC().Format(http.TimeFormat) }
