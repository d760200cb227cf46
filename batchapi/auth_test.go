package batchapi_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	azruntime "github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// tokens hands out its elements one after the other, the last for ever.
type tokens []string

func (ts *tokens) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token := (*ts)[0]
	if len(*ts) > 1 {
		*ts = (*ts)[1:]
	}
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestInvalidateTokenGetsAFreshOneAfterARefusal(t *testing.T) {
	t.Parallel()
	account := batchtest.New()
	defer account.Close()
	account.AddTask("job", "task", batchtest.TaskRunning)
	account.AcceptTokens(func(token string) bool { return token == "new" })
	options := &batchapi.ClientOptions{}
	options.Transport = account.Client()
	client, err := batchapi.NewClient(account.Endpoint(), &tokens{"old", "new"}, options)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a refusal alone refreshes nothing: whether to is policy
		_, err = client.TerminateTask(t.Context(), "job", "task", nil)
		var refused *batchapi.Error
		if !errors.As(err, &refused) || refused.StatusCode != 401 {
			t.Fatalf("error %v", err)
		}
	}
	client.InvalidateToken()
	if _, err = client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
		t.Errorf("with the new token: %v", err)
	}
}

// retrying is a credential whose own requests fail twice and are retried by its
// own pipeline, as azidentity's are.
type retrying struct{ tries int }

func (r *retrying) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	pipeline := azruntime.NewPipeline("identity", "v1.0.0", azruntime.PipelineOptions{}, &policy.ClientOptions{
		Retry: policy.RetryOptions{RetryDelay: time.Nanosecond},
		Transport: transport(func(*http.Request) (*http.Response, error) {
			if r.tries++; r.tries < 3 {
				return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody}, nil
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody}, nil
		}),
	})
	req, err := azruntime.NewRequest(ctx, http.MethodGet, "https://identity.example/")
	if err != nil {
		return azcore.AccessToken{}, err
	}
	if resp, err := pipeline.Do(req); err != nil || resp.StatusCode != 200 {
		return azcore.AccessToken{}, fmt.Errorf("identity answered %d times, badly: %w", r.tries, err)
	}
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestTheCredentialKeepsItsOwnRetries(t *testing.T) {
	t.Parallel()
	cred := &retrying{}
	options := &batchapi.ClientOptions{}
	options.Transport = transport(noContent)
	client, err := batchapi.NewClient("https://contoso.westeurope.batch.azure.com", cred, options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil || cred.tries != 3 {
		t.Errorf("%d tries, error %v", cred.tries, err)
	}
}

func TestCredentialFailuresThatPassAreToldFromThoseThatStay(t *testing.T) {
	t.Parallel()
	answered := func(status int) error {
		return &azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: status}}
	}
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"unknown client", answered(401), false},
		{"bad request", answered(400), false},
		{"throttled", answered(429), true},
		{"down", answered(503), true},
		{"without an answer", &azidentity.AuthenticationFailedError{}, false},
		{"managed identity refused", &azcore.ResponseError{StatusCode: 400}, false},
		{"managed identity down", &azcore.ResponseError{StatusCode: 500}, true},
		{"unreachable", &net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		{"out of time", fmt.Errorf("wrapped: %w", context.DeadlineExceeded), true},
		{"given up by us", context.Canceled, false},
		{"anything else", errors.New("no credential here"), false},
	} {
		if got := (&batchapi.CredentialError{Err: test.err}).Temporary(); got != test.want {
			t.Errorf("%s: temporary is %v", test.name, got)
		}
	}
}

func TestACredentialThatFailsIsToldApartAndSendsNothing(t *testing.T) {
	t.Parallel()
	account := batchtest.New()
	defer account.Close()
	options := &batchapi.ClientOptions{}
	options.Transport = account.Client()
	cause := errors.New("no managed identity here")
	client, err := batchapi.NewClient(account.Endpoint(), &credential{err: cause}, options)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.TerminateTask(t.Context(), "job", "task", nil)
	var failed *batchapi.CredentialError
	if !errors.As(err, &failed) || !errors.Is(err, cause) || account.CallCount() != 0 {
		t.Errorf("error %v, %d calls", err, account.CallCount())
	}
	if got, want := err.Error(), "terminate task: acquire token: no managed identity here"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
