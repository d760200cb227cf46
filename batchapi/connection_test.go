package batchapi_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"
)

// counted serves h on a real socket, with the default transport's client of
// conns connections in front of it, and counts the connections that are made.
func counted(t *testing.T, h http.Handler, conns int) (*batchapi.Client, *atomic.Int64) {
	t.Helper()
	var made atomic.Int64
	server := httptest.NewUnstartedServer(h)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	client, err := batchapi.NewClient(server.URL, nil, &batchapi.ClientOptions{AllowLoopbackHTTP: true, MaxConnsPerHost: conns})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client, &made
}

// Scorecard: H11.
func TestAsManyConnectionsAreKeptAsCallsAreUnderWay(t *testing.T) {
	t.Parallel()
	const calls = 16
	var arrived sync.WaitGroup
	client, made := counted(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Done()
		arrived.Wait() // for all the others: the calls really are under way at once
		w.WriteHeader(http.StatusNoContent)
	}), calls)
	for range 3 {
		arrived.Add(calls)
		var callers sync.WaitGroup
		for range calls {
			callers.Go(func() {
				if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
	}
	if n := made.Load(); n != calls {
		t.Errorf("%d connections for three waves of %d calls", n, calls)
	}
}

// A refusal's body is read to its end, so that its connection serves the next
// call; one without a reasonable end costs its connection.
func TestBodiesAreDrainedUpToTheBound(t *testing.T) {
	t.Parallel()
	account := batchtest.New()
	t.Cleanup(account.Close)
	client, made := counted(t, account, 1)
	for range 5 {
		_, _ = client.TerminateTask(t.Context(), "none", "task", nil)
	}
	if n := made.Load(); n != 1 || account.CallCount() != 5 {
		t.Errorf("%d connections for %d small refusals", n, account.CallCount())
	}
	account.OnNext(batchtest.LargeBody(500, "InternalError", 10<<20))
	for range 2 {
		_, _ = client.TerminateTask(t.Context(), "none", "task", nil)
	}
	if n := made.Load(); n != 2 {
		t.Errorf("%d connections, want a second one after an answer of 10 MB", n)
	}
}

// roundTripper answers without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestCookiesAreNeverSentBack(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	options := &batchapi.ClientOptions{}
	options.Transport = &http.Client{Jar: jar, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		if calls++; req.Header.Get("Cookie") != "" {
			t.Errorf("call %d sends %s", calls, req.Header.Get("Cookie"))
		}
		return &http.Response{StatusCode: 204, Header: http.Header{"Set-Cookie": {"a=b; Path=/"}}, Body: http.NoBody, Request: req}, nil
	})}
	client, err := batchapi.NewClient("https://contoso.westeurope.batch.azure.com", &credential{}, options)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 2 {
		t.Errorf("%d calls", calls)
	}
}

const throughProxy = "BATCHAPI_TEST_CALL_THROUGH_PROXY"

// net/http reads the proxy's variables once in a process, hence a process of its
// own: this test, again.
func TestTheProxyOfTheEnvironmentIsUsed(t *testing.T) {
	t.Parallel()
	if os.Getenv(throughProxy) != "" {
		client, err := batchapi.NewClient("https://contoso.westeurope.batch.azure.com", &credential{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err == nil {
			t.Error("a proxy that refuses was passed by")
		}
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	var proxy sync.WaitGroup
	proxy.Go(func() {
		defer close(asked)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		asked <- req.Method + " " + req.Host + req.Header.Get("Authorization")
		_, _ = conn.Write([]byte("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"))
	})
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTheProxyOfTheEnvironmentIsUsed$")
	again.Env = append(os.Environ(), throughProxy+"=1", "HTTPS_PROXY=http://"+listener.Addr().String(), "NO_PROXY=", "no_proxy=")
	out, err := again.CombinedOutput()
	_ = listener.Close()
	proxy.Wait()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got := <-asked; !strings.HasPrefix(got, "CONNECT contoso.westeurope.batch.azure.com:443") || strings.Contains(got, "Bearer") {
		t.Errorf("the proxy was asked for %q", got)
	}
}
