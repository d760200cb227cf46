package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"batchterminator/batchapi"
)

// authority is where workload identities sign in, whatever the name that it is called by.
type authority struct {
	mu     sync.Mutex // guards all below
	refuse bool
	asked  []string // host, scope, assertion and whether there were claims, of each token request
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	base := "https://" + r.Host + "/tenant"
	switch {
	case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
		hosts := []string{r.Host, r.URL.Query().Get("authorization_endpoint")}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"tenant_discovery_endpoint": base + "/v2.0/.well-known/openid-configuration",
			"metadata":                  []any{map[string]any{"preferred_network": r.Host, "preferred_cache": r.Host, "aliases": hosts[:1]}},
		})
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": base + "/v2.0", "token_endpoint": base + "/oauth2/v2.0/token", "authorization_endpoint": base + "/oauth2/v2.0/authorize",
		})
	default:
		a.asked = append(a.asked, fmt.Sprint(r.Host, " ", r.FormValue("scope"), " ", r.FormValue("client_assertion"), " ", strings.Contains(r.FormValue("claims"), "nbf")))
		if a.refuse {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprint(w, `{"error":"invalid_client","error_description":"the federation is unknown"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprint("token-", len(a.asked)), "expires_in": 3600, "token_type": "Bearer"})
	}
}

func (a *authority) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

// newAuthority makes the process believe that it runs in a pod with a workload identity, and returns the options with
// which its credential reaches the authority under every name.
func newAuthority(t *testing.T) (*authority, azcore.ClientOptions) {
	t.Helper()
	a := &authority{}
	server := httptest.NewTLSServer(a)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("assertion-of-the-pod"), 0o600); err != nil {
		t.Fatal(err)
	}
	onlyEnvironment(t, map[string]string{"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_FEDERATED_TOKEN_FILE": file})
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.ServerName = "example.com" // what the server's certificate is for
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return a, azcore.ClientOptions{Transport: &http.Client{Transport: transport}}
}

func TestAWorkloadIdentitySignsInAtItsCloud(t *testing.T) {
	for host, want := range map[string]string{
		publicHost:                                   "login.microsoftonline.com https://batch.core.windows.net//.default",
		"acme.chinaeast2.batch.chinacloudapi.cn":     "login.chinacloudapi.cn https://batch.chinacloudapi.cn//.default",
		"acme.usgovvirginia.batch.usgovcloudapi.net": "login.microsoftonline.us https://batch.core.usgovcloudapi.net//.default",
	} {
		t.Run(host, func(t *testing.T) {
			a, options := newAuthority(t)
			account, client := signedIn(t, host, "", options)
			account.AcceptTokens(func(token string) bool { return token == "token-2" })
			if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err == nil {
				t.Fatal("the first token was accepted")
			}
			client.InvalidateToken()
			if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
				t.Fatal(err)
			}
			got := a.requests()
			if len(got) != 2 {
				t.Fatalf("asked %q, want once and once more after the refusal", got)
			}
			for n, claims := range []bool{false, true} {
				if !strings.HasPrefix(got[n], want) || !strings.HasSuffix(got[n], fmt.Sprint(" assertion-of-the-pod ", claims)) {
					t.Errorf("asked %q, want %q, claims %v", got[n], want, claims)
				}
			}
		})
	}
}

func TestAFederationThatIsRefusedStays(t *testing.T) {
	a, options := newAuthority(t)
	a.refuse = true
	account, client := signedIn(t, publicHost, "", options)
	_, err := client.TerminateTask(t.Context(), "job", "task", nil)
	failed, ok := errors.AsType[*batchapi.CredentialError](err)
	if !ok || failed.Temporary() || account.CallCount() != 0 || len(a.requests()) != 1 {
		t.Errorf("%d calls, asked %q, error %v", account.CallCount(), a.requests(), err)
	}
	if strings.Contains(err.Error(), "assertion-of-the-pod") {
		t.Errorf("the assertion is in %v", err)
	}
}

// newCLI puts an az on the path that numbers its tokens, and returns what it was asked so far.
func newCLI(t *testing.T) (asked func() []string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stand-in for az is a shell script")
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "asked")
	script := "#!/bin/sh\necho \"$@\" >> '" + log + "'\n" +
		`echo "{\"accessToken\":\"token-$(wc -l < '` + log + `' | tr -d ' ')\",\"expires_on\":4102444800}"` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "az"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	onlyEnvironment(t, map[string]string{"AZURE_TOKEN_CREDENTIALS": "AzureCLICredential"})
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return func() []string {
		text, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

// The command takes no claims: a refusal of its token must not end in a refusal to ask for another.
func TestADeveloperSignInIsUsedAndItsTokenReplaced(t *testing.T) {
	asked := newCLI(t)
	account, client := signedIn(t, publicHost, "", azcore.ClientOptions{})
	account.AcceptTokens(func(token string) bool { return token == "token-2" })
	if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err == nil {
		t.Fatal("the first token was accepted")
	}
	client.InvalidateToken()
	for range 2 {
		if _, err := client.GetTask(t.Context(), "job", "task", nil); err != nil {
			t.Fatal(err)
		}
	}
	const want = "account get-access-token -o json --resource https://batch.core.windows.net/"
	if got := asked(); !slices.Equal(got, []string{want, want}) {
		t.Errorf("asked %q, want %q twice", got, want)
	}
}

func TestNoDeveloperSignInIsACredentialErrorThatStays(t *testing.T) {
	onlyEnvironment(t, map[string]string{"AZURE_TOKEN_CREDENTIALS": "AzureCLICredential"})
	t.Setenv("PATH", t.TempDir())
	account, client := signedIn(t, publicHost, "", azcore.ClientOptions{})
	_, err := client.TerminateTask(t.Context(), "job", "task", nil)
	if failed, ok := errors.AsType[*batchapi.CredentialError](err); !ok || failed.Temporary() || account.CallCount() != 0 {
		t.Errorf("%d calls, error %v", account.CallCount(), err)
	}
}
