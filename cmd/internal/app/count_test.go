package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/prometheus/client_golang/prometheus"

	"batchterminator/batchapi"
	"batchterminator/metrics"
)

// transport answers every call alike.
type transport func(*http.Request) (*http.Response, error)

func (t transport) Do(req *http.Request) (*http.Response, error) { return t(req) }

// credential answers every request for a token alike.
type credential func() (azcore.AccessToken, error)

func (c credential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return c()
}

func TestEveryBatchCallIsCountedOnceAndNothingElseIs(t *testing.T) {
	t.Parallel()
	status := func(code int) transport {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(""))}, nil
		}
	}
	token := func() (azcore.AccessToken, error) {
		return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
	}
	for name, c := range map[string]struct {
		task       string
		credential credential
		transport  transport
		code       string // "" when nothing may be counted
	}{
		"success":    {"t", token, status(http.StatusNoContent), "204"},
		"refusal":    {"t", token, status(http.StatusConflict), "409"},
		"no answer":  {"t", token, func(*http.Request) (*http.Response, error) { return nil, errors.New("reset") }, "error"},
		"no token":   {"t", func() (azcore.AccessToken, error) { return azcore.AccessToken{}, errors.New("no identity") }, status(http.StatusNoContent), ""},
		"illegal id": {"..", token, status(http.StatusNoContent), ""},
	} {
		registry := prometheus.NewRegistry()
		m := metrics.New(registry, "", []string{testAccount})
		s := Defaults()
		clients, err := s.clients([]endpoint{{canonical: testAccount}}, c.credential, func(string) policy.Transporter { return c.transport },
			Deps{}.steps(m))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = clients[testAccount].TerminateTask(t.Context(), "j", c.task, &batchapi.TerminateTaskOptions{})
		_, body := get(newAdmin(registry, newScrapes(), nil, nil), "/metrics")
		want := 0
		if c.code != "" {
			want = 1
			if !strings.Contains(body, `batch_terminator_batch_requests_total{code="`+c.code+`",endpoint="`+testAccount+`"} 1`+"\n") {
				t.Errorf("%s: not counted as %s", name, c.code)
			}
		}
		if got := strings.Contains(body, "batch_terminator_batch_request_duration_seconds_count{endpoint=\""+testAccount+"\"} 1\n"); got != (want == 1) {
			t.Errorf("%s: timed %v, want %d", name, got, want)
		}
	}
}
