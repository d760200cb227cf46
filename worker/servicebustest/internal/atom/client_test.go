package atom_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"

	"batchterminator/worker/servicebustest/internal/atom"
)

// inMemory hands the requests of a client to a handler.
type inMemory struct{ http.Handler }

func (m inMemory) Do(r *http.Request) (*http.Response, error) {
	r.RequestURI = ""
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	response := w.Result()
	response.Request = r
	return response, nil
}

func newClient(t *testing.T, h http.Handler) *admin.Client {
	t.Helper()
	client, err := admin.NewClientFromConnectionString(
		"Endpoint=sb://space.servicebus.windows.net/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=a2V5",
		&admin.ClientOptions{ClientOptions: azcore.ClientOptions{
			Transport: inMemory{h}, Retry: policy.RetryOptions{MaxRetries: -1},
		}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func newPair(t *testing.T) (*admin.Client, *fake) {
	t.Helper()
	f := newFake()
	return newClient(t, atom.New(atom.Config{Namespace: f})), f
}

// wantStatus checks the status of a refusal and what its text has to say.
func wantStatus(t *testing.T, err error, status int, texts ...string) {
	t.Helper()
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) || refused.StatusCode != status {
		t.Fatalf("error %v, want status %d", err, status)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q in it", err, text)
		}
	}
}
