package batchapi_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secretToken = "eyJhbGciOiJub25lIn0.c2VjcmV0LXNlY3JldA.c2ln"

// credential hands out one token and notes what was asked of it.
type credential struct {
	mu    sync.Mutex // guards asked
	asked []policy.TokenRequestOptions
	token string // default secretToken
	err   error
}

func (c *credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, o)
	if c.err != nil {
		return azcore.AccessToken{}, c.err
	}
	token := c.token
	if token == "" {
		token = secretToken
	}
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (c *credential) requests() []policy.TokenRequestOptions {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]policy.TokenRequestOptions(nil), c.asked...)
}

// setup returns an account with a running task job/task, and its client.
func setup(t testing.TB, change ...func(*batchapi.ClientOptions)) (*batchtest.Account, *batchapi.Client) {
	t.Helper()
	account := batchtest.New()
	t.Cleanup(account.Close)
	account.AddTask("job", "task", batchtest.TaskRunning)
	options := &batchapi.ClientOptions{}
	options.Transport = account.Client()
	for _, f := range change {
		f(options)
	}
	client, err := batchapi.NewClient(account.Endpoint(), &credential{}, options)
	if err != nil {
		t.Fatal(err)
	}
	return account, client
}

// transport answers without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) Do(req *http.Request) (*http.Response, error) { return f(req) }

// clientOver returns a client that talks to f.
func clientOver(t testing.TB, f transport) *batchapi.Client {
	t.Helper()
	options := &batchapi.ClientOptions{}
	options.Transport = f
	client, err := batchapi.NewClient("https://contoso.westeurope.batch.azure.com", &credential{}, options)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// lastCall returns the latest request the account has served.
func lastCall(t testing.TB, account *batchtest.Account) batchtest.Call {
	t.Helper()
	calls := account.Calls()
	if len(calls) == 0 {
		t.Fatal("no call has arrived")
	}
	return calls[len(calls)-1]
}
