package app

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"
)

// identity is the endpoint that Container Apps gives to a container for its managed identity. It numbers its tokens.
type identity struct {
	clientID string

	mu       sync.Mutex // guards the fields below, written by the server and the test
	status   int        // 0 answers with a token
	requests []*http.Request
}

// newIdentity makes the process believe that it runs in a container app. The tests that use it cannot be parallel: the
// environment is the process's.
func newIdentity(t *testing.T) *identity {
	t.Helper()
	// A name of its own for each: the library's cache of managed identities' tokens belongs to the process.
	i := &identity{clientID: rand.Text()}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	onlyEnvironment(t, map[string]string{
		"IDENTITY_ENDPOINT": server.URL + "/msi/token", "IDENTITY_HEADER": "proof-of-place", "AZURE_CLIENT_ID": i.clientID,
	})
	return i
}

// onlyEnvironment sets the variables that select a credential, and unsets all others.
func onlyEnvironment(t *testing.T, set map[string]string) {
	t.Helper()
	for _, name := range []string{
		"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT", "MSI_ENDPOINT", "MSI_SECRET", "IDENTITY_SERVER_THUMBPRINT",
		"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST",
		"AZURE_TOKEN_CREDENTIALS", "AZURE_USERNAME", "AZURE_PASSWORD", "AZURE_CLIENT_CERTIFICATE_PATH",
	} {
		t.Setenv(name, set[name]) // restores it at the end
		if set[name] == "" {
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (i *identity) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests = append(i.requests, r)
	w.Header().Set("Content-Type", "application/json")
	if i.status != 0 {
		w.Header().Set("Retry-After-Ms", "1") // for the library's own retries
		w.WriteHeader(i.status)
		_, _ = fmt.Fprint(w, `{"statusCode":400,"message":"no such identity"}`)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": fmt.Sprint("token-", len(i.requests)), "expires_in": "3600", "token_type": "Bearer", "resource": r.FormValue("resource"),
	})
}

func (i *identity) fail(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

// resources are those that tokens were asked for, one for each request.
func (i *identity) resources() (list []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, r := range i.requests {
		list = append(list, r.URL.Query().Get("resource"))
	}
	return list
}

// signedIn returns an account at host, with a running task, and a client of it that uses the process's credential.
func signedIn(t *testing.T, host, scope string, options azcore.ClientOptions) (*batchtest.Account, *batchapi.Client) {
	t.Helper()
	credential, err := newCredentialOver([]string{host}, options)
	if err != nil {
		t.Fatal(err)
	}
	account := batchtest.New(batchtest.WithHost(host))
	t.Cleanup(account.Close)
	account.AddTask("job", "task", batchtest.TaskRunning)
	clientOptions := &batchapi.ClientOptions{Scope: scope}
	clientOptions.Transport = account.Client()
	client, err := batchapi.NewClient("https://"+host, credential, clientOptions)
	if err != nil {
		t.Fatal(err)
	}
	return account, client
}

const publicHost = "acme.westeurope.batch.azure.com"

func TestTheIdentityIsAskedForTheResourceOfTheCloud(t *testing.T) {
	for host, test := range map[string]struct{ scope, resource string }{
		publicHost:                                   {"", "https://batch.core.windows.net/"},
		"acme.chinaeast2.batch.chinacloudapi.cn":     {"", "https://batch.chinacloudapi.cn/"},
		"acme.usgovvirginia.batch.usgovcloudapi.net": {"", "https://batch.core.usgovcloudapi.net/"},
		"batch.private.example":                      {"api://private-batch/.default", "api://private-batch"},
	} {
		t.Run(host, func(t *testing.T) {
			i := newIdentity(t)
			_, client := signedIn(t, host, test.scope, azcore.ClientOptions{})
			if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
				t.Fatal(err)
			}
			if got := i.resources(); !slices.Equal(got, []string{test.resource}) {
				t.Errorf("asked for %q, want %q once", got, test.resource)
			}
			if r := i.requests[0]; r.Header.Get("X-Identity-Header") != "proof-of-place" || r.FormValue("client_id") != i.clientID {
				t.Errorf("request %v %v", r.URL, r.Header)
			}
		})
	}
}

// P6: no token for a host outside the known clouds, not even one that nobody would see.
func TestNoTokenIsAskedForAnUnknownEndpoint(t *testing.T) {
	i := newIdentity(t)
	s := Defaults()
	s.ServiceBus.Namespace = "example.servicebus.windows.net"
	s.Batch.Endpoints = []string{"https://acme.westeurope.batch.azure.com.example.org"}
	if err := s.Validate(); err == nil {
		t.Error("the endpoint was accepted")
	}
	credential, err := newCredential([]string{publicHost})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := batchapi.NewClient(s.Batch.Endpoints[0], credential, nil); err == nil {
		t.Error("a client was made for the endpoint")
	}
	if got := i.resources(); len(got) != 0 {
		t.Errorf("asked for %q", got)
	}
}

func TestManyCallsShareOneToken(t *testing.T) {
	i := newIdentity(t)
	account, client := signedIn(t, publicHost, "", azcore.ClientOptions{})
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			if _, err := client.GetTask(t.Context(), "job", "task", nil); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if got := i.resources(); len(got) != 1 || account.CallCount() != 64 {
		t.Errorf("%d tokens for %d calls", len(got), account.CallCount())
	}
}

// The library would answer from its cache for as long as the refused token lives.
func TestARefusedTokenIsReplacedOnce(t *testing.T) {
	i := newIdentity(t)
	account, client := signedIn(t, publicHost, "", azcore.ClientOptions{})
	account.AcceptTokens(func(token string) bool { return token == "token-2" })
	for range 2 {
		_, err := client.TerminateTask(t.Context(), "job", "task", nil)
		if refused, ok := errors.AsType[*batchapi.Error](err); !ok || refused.StatusCode != http.StatusUnauthorized {
			t.Fatalf("error %v", err)
		}
	}
	for range 3 {
		client.InvalidateToken() // as many callers with the same refusal would
	}
	for range 2 {
		if _, err := client.GetTask(t.Context(), "job", "task", nil); err != nil {
			t.Errorf("with the new token: %v", err)
		}
		client.InvalidateToken() // late: the token that was refused is gone
	}
	if got := i.resources(); len(got) != 2 {
		t.Errorf("%d tokens were asked for, want the refused one and its replacement", len(got))
	}
}

func TestAnIdentityThatFailsIsACredentialError(t *testing.T) {
	for status, temporary := range map[int]bool{400: false, 403: false, 429: true, 503: true} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			i := newIdentity(t)
			account, client := signedIn(t, publicHost, "", azcore.ClientOptions{})
			i.fail(status)
			_, err := client.TerminateTask(t.Context(), "job", "task", nil)
			failed, ok := errors.AsType[*batchapi.CredentialError](err)
			if !ok || failed.Temporary() != temporary || account.CallCount() != 0 {
				t.Fatalf("%d calls, temporary %v, error %v", account.CallCount(), ok && failed.Temporary(), err)
			}
			i.fail(0)
			if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
				t.Errorf("after it recovered: %v", err)
			}
		})
	}
}
