package batchapi_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/log"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

type policyFunc func(*policy.Request) (*http.Response, error)

func (f policyFunc) Do(req *policy.Request) (*http.Response, error) { return f(req) }

func withPolicy(f policyFunc) func(*batchapi.ClientOptions) {
	return func(o *batchapi.ClientOptions) { o.PerRetryPolicies = append(o.PerRetryPolicies, f) }
}

// P6: whatever moves the request between its building and the network, the token
// stays here.
func TestARequestThatWasMovedIsNotSent(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(*http.Request){
		"host":          func(r *http.Request) { r.URL.Host = "evil.example" },
		"port":          func(r *http.Request) { r.URL.Host += ":444" },
		"scheme":        func(r *http.Request) { r.URL.Scheme = "http" },
		"host header":   func(r *http.Request) { r.Host = "evil.example" },
		"userinfo":      func(r *http.Request) { r.URL.User = url.User("x") },
		"opaque":        func(r *http.Request) { r.URL.Opaque = "//evil.example/jobs/job/tasks/task/terminate" },
		"up to the job": func(r *http.Request) { r.URL.Path = "/jobs/job/tasks/../terminate" },
		"escaped dots": func(r *http.Request) {
			r.URL.Path, r.URL.RawPath = "/jobs/job/tasks/../terminate", "/jobs/job/tasks/%2e%2e/terminate"
		},
		"the job itself": func(r *http.Request) { r.URL.Path = "/jobs/job/terminate" },
		"another task":   func(r *http.Request) { r.URL.Path = "/jobs/job/tasks/task2/terminate" },
		"double slash":   func(r *http.Request) { r.URL.Path = "//jobs/job/tasks/task/terminate" },
		"query":          func(r *http.Request) { r.URL.RawQuery = "api-version=2016-01-01" },
		"body":           func(r *http.Request) { r.ContentLength = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account, client := setup(t, withPolicy(func(req *policy.Request) (*http.Response, error) {
				move(req.Raw())
				return req.Next()
			}))
			_, err := client.TerminateTask(t.Context(), "job", "task", nil)
			var argument *batchapi.ArgumentError
			if !errors.As(err, &argument) {
				t.Errorf("error %v", err)
			}
			if account.CallCount() != 0 {
				t.Errorf("sent: %+v", account.Calls())
			}
		})
	}
}

// Scorecard: H5.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	account, client := setup(t)
	for _, location := range []string{account.Endpoint() + "/jobs/job/terminate", "/jobs/job/terminate", "https://evil.example/"} {
		account.OnNext(batchtest.Redirect(location))
		_, err := client.TerminateTask(t.Context(), "job", "task", nil)
		var refused *batchapi.Error
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusTemporaryRedirect {
			t.Errorf("%s: error %v", location, err)
		}
	}
	if state, _ := account.Job("job"); account.CallCount() != 3 || len(account.Strays()) != 0 || state != batchtest.JobActive {
		t.Errorf("%d calls, strays %v, job %s", account.CallCount(), account.Strays(), state)
	}
}

func TestATransportThatFollowsRedirectsIsNoticed(t *testing.T) {
	t.Parallel()
	client := clientOver(t, func(req *http.Request) (*http.Response, error) {
		moved := req.Clone(req.Context())
		moved.URL.Host = "evil.example"
		return &http.Response{StatusCode: 204, Header: http.Header{}, Body: http.NoBody, Request: moved}, nil
	})
	if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err == nil || !strings.Contains(err.Error(), "redirect") {
		t.Errorf("error %v", err)
	}
}

func TestNoPolicyAndNoResponseHoldsTheToken(t *testing.T) {
	t.Parallel()
	var seen []http.Header
	var mu sync.Mutex // guards seen
	account, client := setup(t, withPolicy(func(req *policy.Request) (*http.Response, error) {
		resp, err := req.Next()
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, req.Raw().Header)
		if resp != nil {
			seen = append(seen, resp.Request.Header)
		}
		return resp, err
	}))
	if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
		t.Fatal(err)
	}
	if !lastCall(t, account).Bearer || len(seen) != 2 {
		t.Fatalf("bearer %v, %d headers seen", lastCall(t, account).Bearer, len(seen))
	}
	for _, h := range seen {
		if h.Get("Authorization") != "" {
			t.Errorf("Authorization is in %v", h)
		}
	}
}

// Not parallel: azcore's log listener belongs to the process.
func TestLogsNeverHoldTheToken(t *testing.T) {
	var mu sync.Mutex // guards text
	var text bytes.Buffer
	log.SetListener(func(_ log.Event, s string) {
		mu.Lock()
		defer mu.Unlock()
		text.WriteString(s)
	})
	defer log.SetListener(nil)
	account, client := setup(t, func(o *batchapi.ClientOptions) {
		o.Logging.AllowedHeaders = []string{"authorization", "AUTHORIZATION"}
		o.Logging.IncludeBody = true
	})
	account.OnNext(batchtest.Body(401, "application/json", []byte(`{"code":"AuthenticationFailed","message":{"value":"`+secretToken+`"}}`)))
	for range 2 {
		_, _ = client.TerminateTask(t.Context(), "job", "task", nil)
	}
	mu.Lock()
	defer mu.Unlock()
	if !strings.Contains(text.String(), "OUTGOING REQUEST") {
		t.Fatal("nothing was logged")
	}
	if strings.Contains(text.String(), "c2VjcmV0") || strings.Contains(text.String(), "Bearer") {
		t.Errorf("the token is in the log:\n%s", text.String())
	}
}

func TestRetriesInTheContextAreOverruled(t *testing.T) {
	t.Parallel()
	account, client := setup(t)
	account.OnNext(batchtest.Status(503, "ServerBusy", 0), batchtest.Keep())
	ctx := policy.WithRetryOptions(t.Context(), policy.RetryOptions{MaxRetries: 3, RetryDelay: 1})
	if _, err := client.TerminateTask(ctx, "job", "task", nil); err == nil || account.CallCount() != 1 {
		t.Errorf("%d calls, error %v", account.CallCount(), err)
	}
}

func TestTheLatestPassOfACallersOwnRetryCounts(t *testing.T) {
	t.Parallel()
	account, client := setup(t, withPolicy(func(req *policy.Request) (*http.Response, error) {
		_, _ = req.Clone(req.Raw().Context()).Next()
		return req.Next()
	}))
	account.OnNext(batchtest.Status(503, "ServerBusy", 0))
	account.OnNext(batchtest.DropBeforeActing(), batchtest.Times(2)) // of the kept connection, and of a new one
	_, err := client.TerminateTask(t.Context(), "job", "task", nil)
	var refused *batchapi.Error
	if err == nil || errors.As(err, &refused) || account.CallCount() != 3 {
		t.Errorf("%d calls, error %v", account.CallCount(), err)
	}
}

func TestTheUserAgentIsOurs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		telemetry policy.TelemetryOptions
		prefix    string
	}{
		{policy.TelemetryOptions{}, "batch-terminator/1.0.0 (go"},
		{policy.TelemetryOptions{ApplicationID: "bt 2.1"}, "bt/2.1 batch-terminator/1.0.0 (go"},
		{policy.TelemetryOptions{Disabled: true}, ""},
	} {
		account, client := setup(t, func(o *batchapi.ClientOptions) { o.Telemetry = test.telemetry })
		_, _ = client.TerminateTask(t.Context(), "job", "task", nil)
		got := lastCall(t, account).Header.Get("User-Agent")
		if !strings.HasPrefix(got, test.prefix) || (test.prefix == "") != (got == "") {
			t.Errorf("User-Agent %q, want %q", got, test.prefix)
		}
	}
}

// Scorecard: H11, H8.
func TestTheDefaultTransportVerifiesTLSAndBoundsItsPool(t *testing.T) {
	t.Parallel()
	account := batchtest.New()
	defer account.Close()
	account.AddTask("job", "task", batchtest.TaskRunning)
	server, err := account.StartTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := batchapi.NewClient(server.Endpoint(), &credential{}, &batchapi.ClientOptions{Scope: "api://batch/.default"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err == nil || !strings.Contains(err.Error(), "x509") || account.CallCount() != 0 {
		t.Errorf("an unknown authority was trusted: %v, %d calls", err, account.CallCount())
	}
	plain, err := account.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err = batchapi.NewClient(plain.Endpoint(), nil, &batchapi.ClientOptions{AllowLoopbackHTTP: true, MaxConnsPerHost: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			if _, err := client.GetTask(t.Context(), "job", "task", nil); err != nil {
				t.Errorf("plain loopback: %v", err)
			}
		})
	}
	callers.Wait()
	if n := account.MaxInFlight(); n != 1 {
		t.Errorf("%d requests at once over one connection", n)
	}
}

func TestTheClientTimeoutOfAnHTTPClientIsKept(t *testing.T) {
	t.Parallel()
	_, client := setup(t, func(o *batchapi.ClientOptions) {
		inner := o.Transport.(*http.Client)
		o.Transport = &http.Client{Transport: inner.Transport, Timeout: 1}
	})
	if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err == nil {
		t.Error("a call without time succeeded")
	}
}

// BenchmarkTerminateTaskClient is a call without a network.
func BenchmarkTerminateTaskClient(b *testing.B) {
	client := clientOver(b, noContent)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.TerminateTask(b.Context(), "job", "task", nil); err != nil {
			b.Fatal(err)
		}
	}
}
