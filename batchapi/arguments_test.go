package batchapi_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi"
)

// Scorecard: M6.
func TestHostileIDsNeverLeaveTheProcess(t *testing.T) {
	t.Parallel()
	account, client := setup(t)
	long := strings.Repeat("a", 65)
	for _, id := range []string{
		"", ".", "..", "...", "a.b", "a/b", "../..", `a\b`, "%2e%2e", "%2E%2E%2F", "a%2fb", "a b", " task", "task ", "a\n", "task\n", "a\x00b",
		"tâche", "ａ", "a?b", "a#b", "a;b", "a@b", "job:job-1:x", long,
	} {
		for field, ids := range map[string][2]string{"jobId": {id, "task"}, "taskId": {"job", id}} {
			_, err := client.TerminateTask(t.Context(), ids[0], ids[1], nil)
			var argument *batchapi.ArgumentError
			if !errors.As(err, &argument) || argument.Field != field {
				t.Errorf("%s %q: error %v", field, id, err)
			}
		}
	}
	for _, jobID := range []string{"s:job-0", "s:job-", "s:job-x", "s:job-12345678901", ":job-1", "s:Job-1"} {
		var argument *batchapi.ArgumentError
		if _, err := client.GetTask(t.Context(), jobID, "task", nil); !errors.As(err, &argument) {
			t.Errorf("job %q: error %v", jobID, err)
		}
	}
	if _, err := client.TerminateTask(t.Context(), "job", "s:job-1", nil); err == nil {
		t.Error("a task id took the form of a scheduled job")
	}
	if n := account.CallCount(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestTheLongestIDsAreSent(t *testing.T) {
	t.Parallel()
	account, client := setup(t)
	id := strings.Repeat("Z", 64)
	_, _ = client.TerminateTask(t.Context(), id+":job-1234567890", id, nil)
	if call := lastCall(t, account); call.Path != "/jobs/"+id+":job-1234567890/tasks/"+id+"/terminate" || call.Stray {
		t.Errorf("path %q, stray %v", call.Path, call.Stray)
	}
}

func TestArgumentsTheServiceWouldRefuseAreRefusedHere(t *testing.T) {
	t.Parallel()
	when := time.Date(2025, 9, 6, 7, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		field   string
		options batchapi.TerminateTaskOptions
	}{
		{"timeOut", batchapi.TerminateTaskOptions{TimeOut: -time.Second}},
		{"timeOut", batchapi.TerminateTaskOptions{TimeOut: time.Millisecond}},
		{"timeOut", batchapi.TerminateTaskOptions{TimeOut: 1500 * time.Millisecond}},
		{"timeOut", batchapi.TerminateTaskOptions{TimeOut: 31 * time.Second}},
		{"clientRequestId", batchapi.TerminateTaskOptions{ClientRequestID: "{9C4D50EE-2D56-4CD3-8152-34347DC9F2B0}"}},
		{"clientRequestId", batchapi.TerminateTaskOptions{ClientRequestID: "9C4D50EE2D564CD3815234347DC9F2B0"}},
		{"clientRequestId", batchapi.TerminateTaskOptions{ClientRequestID: "9C4D50EE-2D56-4CD3-8152-34347DC9F2B0\r\nX: y"}},
		{"ifMatch", batchapi.TerminateTaskOptions{IfMatch: strings.Repeat("x", 257)}},
		{"ifMatch", batchapi.TerminateTaskOptions{IfMatch: "0x8D\r\nX: y"}},
		{"ifMatch", batchapi.TerminateTaskOptions{IfMatch: "a b"}},
		{"ifNoneMatch", batchapi.TerminateTaskOptions{IfNoneMatch: "\x7f"}},
		{"ifNoneMatch", batchapi.TerminateTaskOptions{IfNoneMatch: "é"}},
		{"ifModifiedSince", batchapi.TerminateTaskOptions{IfModifiedSince: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"ifUnmodifiedSince", batchapi.TerminateTaskOptions{IfUnmodifiedSince: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"conditions", batchapi.TerminateTaskOptions{IfMatch: "a", IfNoneMatch: "b"}},
		{"conditions", batchapi.TerminateTaskOptions{IfMatch: "a", IfModifiedSince: when}},
		{"conditions", batchapi.TerminateTaskOptions{IfNoneMatch: "a", IfUnmodifiedSince: when}},
		{"conditions", batchapi.TerminateTaskOptions{IfModifiedSince: when, IfUnmodifiedSince: when}},
	} {
		account, client := setup(t)
		_, err := client.TerminateTask(t.Context(), "job", "task", &test.options)
		var argument *batchapi.ArgumentError
		if !errors.As(err, &argument) || argument.Field != test.field {
			t.Errorf("%+v: error %v, want field %s", test.options, err, test.field)
		}
		if account.CallCount() != 0 {
			t.Errorf("%+v: was sent", test.options)
		}
	}
}

func TestETagsAreSentByteForByte(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"0x8DCF3C953387E09", `"0x8D"`, `W/"x"`, "*", "~!{}", strings.Repeat("x", 256)} {
		account, client := setup(t)
		_, _ = client.TerminateTask(t.Context(), "job", "task", &batchapi.TerminateTaskOptions{IfMatch: tag})
		if got := lastCall(t, account).Header["If-Match"]; len(got) != 1 || got[0] != tag {
			t.Errorf("If-Match %q, want %q", got, tag)
		}
	}
}

func TestEndpointsDecideWhichTokenTheySee(t *testing.T) {
	t.Parallel()
	for endpoint, scope := range map[string]string{
		"https://contoso.westeurope.batch.azure.com":           "https://batch.core.windows.net//.default",
		"https://Contoso.WestEurope.batch.azure.com/":          "https://batch.core.windows.net//.default",
		"https://contoso.chinaeast2.batch.chinacloudapi.cn":    "https://batch.chinacloudapi.cn//.default",
		"https://contoso.usgovarizona.batch.usgovcloudapi.net": "https://batch.core.usgovcloudapi.net//.default",
	} {
		cred := &credential{}
		options := &batchapi.ClientOptions{}
		options.Transport = transport(noContent)
		client, err := batchapi.NewClient(endpoint, cred, options)
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
			continue
		}
		if want := strings.ToLower(strings.TrimSuffix(endpoint, "/")); client.Endpoint() != want {
			t.Errorf("canonical %s, want %s", client.Endpoint(), want)
		}
		if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
			t.Fatal(err)
		}
		if asked := cred.requests(); len(asked) != 1 || !asked[0].EnableCAE || len(asked[0].Scopes) != 1 || asked[0].Scopes[0] != scope {
			t.Errorf("%s: asked for %+v", endpoint, asked)
		}
	}
}

// Scorecard: M7.
func TestEndpointsThatCouldLeakATokenAreRefused(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{
		"", "contoso.westeurope.batch.azure.com", "http://contoso.westeurope.batch.azure.com", "ftp://contoso.westeurope.batch.azure.com",
		"https://contoso.westeurope.batch.azure.com/jobs", "https://contoso.westeurope.batch.azure.com//", "https://contoso.westeurope.batch.azure.com?x=1",
		"https://contoso.westeurope.batch.azure.com?", "https://contoso.westeurope.batch.azure.com#", "https://contoso.westeurope.batch.azure.com#x",
		"https://user:pw@contoso.westeurope.batch.azure.com", "https://contoso.westeurope.batch.azure.com:8443", "https://contoso.westeurope.batch.azure.com.evil.example",
		"https://evil.example", "https://co.westeurope.batch.azure.com", "https://batch.azure.com", "https://a.b.contoso.westeurope.batch.azure.com",
		"https://contoso.westeurope.batch.azure.com\\@evil.example", "https://contoso.west europe.batch.azure.com", "https:contoso", "https://127.0.0.1",
		"http://127.0.0.1:1", "http://localhost:1", "https://contoso.westeurope.batch.azure.com\n",
	} {
		_, err := batchapi.NewClient(endpoint, &credential{}, nil)
		var argument *batchapi.ArgumentError
		if !errors.As(err, &argument) || argument.Field != "endpoint" {
			t.Errorf("%q: error %v", endpoint, err)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("%q: error repeats the password: %v", endpoint, err)
		}
	}
	if _, err := batchapi.NewClient("https://contoso.westeurope.batch.azure.com", nil, nil); err == nil {
		t.Error("a client without a credential was made")
	}
	if _, err := batchapi.NewClient("https://contoso.westeurope.batch.azure.com", &credential{}, nil); err != nil {
		t.Errorf("nil options: %v", err)
	}
	if _, err := batchapi.NewClient("https://batch.internal.example:8443", &credential{}, &batchapi.ClientOptions{Scope: "api://batch/.default"}); err != nil {
		t.Errorf("explicit scope: %v", err)
	}
}

func TestPlainHTTPIsForLoopbackOnlyAndSeesNoToken(t *testing.T) {
	t.Parallel()
	allowed := &batchapi.ClientOptions{AllowLoopbackHTTP: true, Scope: "api://any/.default"}
	for _, endpoint := range []string{"http://10.0.0.1", "http://example.com", "http://127.0.0.1.example.com", "http://localhost.example.com", "http://[::2]:80", "http://0.0.0.0:80"} {
		if _, err := batchapi.NewClient(endpoint, &credential{}, allowed); err == nil {
			t.Errorf("%s was taken", endpoint)
		}
	}
	for _, endpoint := range []string{"http://127.0.0.1:8080", "http://127.8.8.8", "http://[::1]:8080", "http://localhost:8080/"} {
		cred := &credential{}
		var authorization string
		options := &batchapi.ClientOptions{AllowLoopbackHTTP: true}
		options.Transport = transport(func(req *http.Request) (*http.Response, error) {
			authorization = req.Header.Get("Authorization")
			return noContent(req)
		})
		for _, c := range []*credential{cred, nil} {
			var client *batchapi.Client
			var err error
			if c == nil {
				client, err = batchapi.NewClient(endpoint, nil, options)
			} else {
				client, err = batchapi.NewClient(endpoint, c, options)
			}
			if err != nil {
				t.Fatalf("%s: %v", endpoint, err)
			}
			client.InvalidateToken()
			if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
				t.Fatal(err)
			}
		}
		if len(cred.requests()) != 0 || authorization != "Bearer loopback-placeholder" {
			t.Errorf("%s: %d token requests, Authorization %q", endpoint, len(cred.requests()), authorization)
		}
	}
}

func noContent(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}, nil
}
