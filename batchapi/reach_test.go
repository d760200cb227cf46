package batchapi_test

import (
	"errors"
	"testing"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"
)

// Who has no identity, or one that must not be shown around, can still ask whether the account is there.
func TestReachShowsNoToken(t *testing.T) {
	t.Parallel()
	account, client := setup(t)
	r, err := client.Reach(t.Context(), "job", "task")
	if err != nil || r.StatusCode != 401 || r.Code != "AuthenticationFailed" || r.ServerDate.IsZero() || r.Received.Before(r.Sent) {
		t.Errorf("%+v, %v", r, err)
	}
	calls := account.Calls()
	if len(calls) != 1 || calls[0].Operation != batchtest.GetTask || calls[0].Bearer || calls[0].Stray || calls[0].Header.Get("Authorization") != "" {
		t.Errorf("calls %+v", calls)
	}
}

func TestReachTellsBatchFromOthers(t *testing.T) {
	t.Parallel()
	account, client := setup(t)
	account.OnNext(batchtest.HTML(200))
	if r, err := client.Reach(t.Context(), "job", "task"); err != nil || r.StatusCode != 200 || r.Code != "" {
		t.Errorf("%+v, %v", r, err)
	}
	account.OnNext(batchtest.DropBeforeActing(), batchtest.Keep())
	if _, err := client.Reach(t.Context(), "job", "task"); err == nil {
		t.Error("no error for a connection that was dropped")
	}
	before := account.CallCount()
	_, err := client.Reach(t.Context(), "job", "..")
	if _, refused := errors.AsType[*batchapi.ArgumentError](err); !refused || account.CallCount() != before {
		t.Errorf("%v; want it refused before it is sent", err)
	}
}

func TestScopeIsOfTheCloud(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"https://contoso.westeurope.batch.azure.com": "https://batch.core.windows.net//.default",
		"http://localhost:5380":                      "",
	} {
		client, err := batchapi.NewClient(endpoint, &credential{}, &batchapi.ClientOptions{AllowLoopbackHTTP: true})
		if err != nil || client.Scope() != want {
			t.Errorf("%s: %v, want %q", endpoint, err, want)
		}
	}
}
