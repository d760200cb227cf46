package batchtest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/batchapi/batchtest"
)

func TestFaultsTakeTurnsOnceEach(t *testing.T) {
	t.Parallel()
	account, client, task := setup(t)
	account.OnNext(batchtest.Status(503, "ServerBusy", 7*time.Second))
	account.OnNext(batchtest.Status(500, "InternalError", batchtest.NoRetryAfter), batchtest.Times(2))
	wants := []struct {
		status int
		after  string
	}{{503, "7"}, {500, ""}, {500, ""}, {204, ""}}
	for i, want := range wants {
		got := send(t, client, "POST", task+"/terminate"+version)
		if got.status != want.status || got.header.Get("Retry-After") != want.after {
			t.Errorf("call %d: %+v", i, got)
		}
	}
}

func TestFaultsApplyToWhatTheyName(t *testing.T) {
	t.Parallel()
	account, client, task := setup(t)
	account.AddTask("job", "other", batchtest.TaskRunning)
	rule := account.OnNext(batchtest.Status(500, "InternalError", 0), batchtest.Keep(),
		batchtest.ForTask("JOB", "Task"), batchtest.ForOperation(batchtest.TerminateTask))
	if got := send(t, client, "POST", strings.Replace(task, "tasks/task", "tasks/other", 1)+"/terminate"+version); got.status != 204 {
		t.Errorf("another task: %+v", got)
	}
	if got := send(t, client, "GET", task+version); got.status != 200 {
		t.Errorf("another operation: %+v", got)
	}
	for range 3 {
		if got := send(t, client, "POST", task+"/terminate"+version); got.status != 500 {
			t.Errorf("kept: %+v", got)
		}
	}
	if rule.Met() != 3 {
		t.Errorf("met %d", rule.Met())
	}
	rule.Remove()
	if got := send(t, client, "POST", task+"/terminate"+version); got.status != 204 {
		t.Errorf("removed: %+v", got)
	}
}

func TestThrottleCountsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account, client, task := setup(t)
		account.OnNext(batchtest.ThrottleFor(30 * time.Second))
		for _, left := range []string{"30", "20", "10"} {
			if got := send(t, client, "POST", task+"/terminate"+version); got.status != 429 || got.header.Get("Retry-After") != left {
				t.Errorf("%+v, want %s", got, left)
			}
			time.Sleep(10 * time.Second)
		}
		if got := send(t, client, "POST", task+"/terminate"+version); got.status != 204 {
			t.Errorf("afterwards: %+v", got)
		}
	})
}

func TestAnOutageEnds(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 502} {
		synctest.Test(t, func(t *testing.T) {
			account, client, task := setup(t)
			account.OnNext(batchtest.OutageFor(time.Hour, status))
			for range 5 {
				got := send(t, client, "POST", task+"/terminate"+version)
				if got.status != status || (got.err == nil) != (status != 0) {
					t.Errorf("%+v", got)
				}
			}
			time.Sleep(time.Hour)
			if got := send(t, client, "POST", task+"/terminate"+version); got.status != 204 || account.Terminations("job", "task") != 1 {
				t.Errorf("afterwards: %+v", got)
			}
		})
	}
}

func TestDropsActOrDoNot(t *testing.T) {
	t.Parallel()
	for acts, fault := range []batchtest.Fault{batchtest.DropBeforeActing(), batchtest.DropAfterActing()} {
		account, client, task := setup(t)
		account.OnNext(fault)
		got := send(t, client, "POST", task+"/terminate"+version)
		call := account.Calls()[0]
		if got.err == nil || account.Terminations("job", "task") != acts || call.Acted != (acts == 1) || call.Status != 0 {
			t.Errorf("%+v, remembered %+v", got, call)
		}
	}
}

func TestADelayPassesOnToTheNextFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account, client, task := setup(t)
		account.OnNext(batchtest.Delay(time.Minute), batchtest.Keep())
		account.OnNext(batchtest.Status(503, "ServerBusy", 0))
		for i, want := range []int{503, 204} {
			start := time.Now()
			if got := send(t, client, "POST", task+"/terminate"+version); got.status != want || time.Since(start) != time.Minute {
				t.Errorf("call %d: %+v after %v", i, got, time.Since(start))
			}
		}
	})
}

func TestBodiesAreBrokenAsAsked(t *testing.T) {
	t.Parallel()
	account, client, task := setup(t)
	one := func(f batchtest.Fault) answer {
		account.OnNext(f)
		return send(t, client, "POST", task+"/terminate"+version)
	}
	if got := one(batchtest.HTML(502)); got.status != 502 || !strings.Contains(got.body, "<html>") || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%+v", got)
	}
	if got := one(batchtest.TruncatedBody(500, "InternalError")); got.status != 500 || got.err == nil || got.body == "" {
		t.Errorf("%+v", got)
	}
	if got := one(batchtest.LargeBody(500, "InternalError", 1<<20)); len(got.body) < 1<<20 || got.err != nil {
		t.Errorf("%d bytes, %v", len(got.body), got.err)
	}
	if got := one(batchtest.Redirect("https://elsewhere.example/")); got.status != 307 || got.header.Get("Location") != "https://elsewhere.example/" {
		t.Errorf("%+v", got)
	}
	if got := one(batchtest.Unauthorized()); got.status != 401 || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") {
		t.Errorf("%+v", got)
	}
	if account.Terminations("job", "task") != 0 {
		t.Error("a fault acted")
	}
}

func TestASlowBodyComesByteByByte(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account, client, task := setup(t)
		account.OnNext(batchtest.SlowBody(500, "InternalError", time.Second))
		start := time.Now()
		got := send(t, client, "POST", task+"/terminate"+version)
		if took := time.Since(start); got.code() != "InternalError" || took < time.Duration(len(got.body)-1)*time.Second {
			t.Errorf("%d bytes in %v", len(got.body), took)
		}
	})
}

func TestAHangEndsWithTheClientOrTheAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account, client, task := setup(t)
		account.OnNext(batchtest.Hang(), batchtest.Times(3))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "POST", task+"/terminate"+version, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(req); err == nil {
			t.Error("a hanging request was answered")
		}
		synctest.Wait()
		if account.CallCount() != 1 {
			t.Error("the handler outlives its client")
		}
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() {
				if got := send(t, client, "POST", task+"/terminate"+version); got.err == nil {
					t.Errorf("%+v", got)
				}
			})
		}
		synctest.Wait()
		account.Close()
		callers.Wait()
		if account.CallCount() != 3 || account.MaxInFlight() != 2 {
			t.Errorf("%d calls, at most %d at once", account.CallCount(), account.MaxInFlight())
		}
	})
}

func TestCloseEndsAHangInAServerOfTheTestsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account, _, task := setup(t)
		account.OnNext(batchtest.Hang())
		var handler sync.WaitGroup
		handler.Go(func() {
			defer func() {
				if cause, ok := recover().(error); !ok || !errors.Is(cause, http.ErrAbortHandler) {
					t.Errorf("handler ended with %v", cause)
				}
			}()
			account.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "POST", task+"/terminate"+version, nil))
		})
		synctest.Wait()
		account.Close()
		handler.Wait()
	})
}

func TestRealListenersServeTheSameAccount(t *testing.T) {
	t.Parallel()
	account, _, _ := setup(t)
	plain, err := account.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if account.Endpoint() != plain.Endpoint() {
		t.Errorf("endpoint %s, listener %s", account.Endpoint(), plain.Endpoint())
	}
	secure, err := account.StartTLS("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: secure.RootCAs()}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for i, endpoint := range []string{plain.Endpoint(), secure.Endpoint()} {
		want := []int{204, 409}[i]
		if got := send(t, client, "POST", endpoint+"/jobs/job/tasks/task/terminate"+version); got.status != want {
			t.Errorf("%s: %+v", endpoint, got)
		}
	}
	plain.Close()
	account.Close()
	if _, err := account.Start("127.0.0.1:0"); err == nil {
		t.Error("a closed account was started")
	}
}

func TestAPostWithoutALengthOrWithABodyIsRefused(t *testing.T) {
	t.Parallel()
	account, client, task := setup(t)
	for body, want := range map[io.Reader]int{
		strings.NewReader("{}"):                     400,
		io.MultiReader(strings.NewReader("chunks")): 411,
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", task+"/terminate"+version, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer any")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
	if account.Terminations("job", "task") != 0 {
		t.Error("acted")
	}
}
