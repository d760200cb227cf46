package servicebustest_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"

	"batchterminator/worker/servicebustest"
)

// The signature of an administration client covers its whole URL, which is not what AMQP signs.
func TestRuleDecidesWhoMayAdminister(t *testing.T) {
	for name, test := range map[string]struct{ rule, key, refused string }{
		"manages":  {"root", "root", ""},
		"does not": {"both", "both", "Manage,EntityRead claims required for this operation"},
		"forged":   {"root", "both", "InvalidSignature"},
		"unknown":  {"stranger", "stranger", "InvalidSignature"},
	} {
		t.Run(name, func(t *testing.T) {
			withRules(t, func(t *testing.T, s *servicebustest.Server) {
				web := inMemory(s)
				defer web.CloseIdleConnections()
				text := "Endpoint=sb://localhost:5300;SharedAccessKeyName=" + test.rule + ";SharedAccessKey=" + test.key
				client, err := admin.NewClientFromConnectionString(text, &admin.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: web}})
				if err != nil {
					t.Fatal(err)
				}
				got, err := client.GetQueue(context.Background(), queueName, nil)
				switch {
				case test.refused == "" && (err != nil || got == nil):
					t.Errorf("got %v, %v", got, err)
				case test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)):
					t.Errorf("%v; want %q", err, test.refused)
				}
			})
		})
	}
}

func TestAdministrationNeedsATokenAndHealthDoesNot(t *testing.T) {
	withRules(t, func(t *testing.T, s *servicebustest.Server) {
		web := inMemory(s)
		defer web.CloseIdleConnections()
		for _, test := range []struct {
			path, token string
			status      int
		}{
			{"/health", "", http.StatusOK},
			{"/orders", "", http.StatusUnauthorized},
			{"/orders", "eyJ.e30.", http.StatusOK},
			{"/orders", "Bearer eyJ.e30.", http.StatusOK},
			{"/orders", "SharedAccessSignature sr=a", http.StatusUnauthorized},
		} {
			req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://localhost"+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", test.token)
			resp, err := web.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != test.status {
				t.Errorf("%s with %q: %d %s, want %d", test.path, test.token, resp.StatusCode, body, test.status)
			}
		}
	})
}
