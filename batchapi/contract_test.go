package batchapi_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// field is a query parameter or a header.
type field struct {
	Name, Format string
	Required     bool
}

// contract is our description of an operation, in testdata/batch.
type contract struct {
	APIVersion, Method, Path, Scope string
	Query, Headers                  []field
	Success                         int
	ResponseHeaders                 []field
	Error                           any // an example whose values name their types
}

func readContract(t *testing.T, name string) contract {
	t.Helper()
	raw, err := os.ReadFile("../testdata/batch/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var c contract
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// formats are how each kind of value looks on the wire.
var formats = map[string]*regexp.Regexp{
	"version": regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`),
	"seconds": regexp.MustCompile(`^([1-9]|[12][0-9]|30)$`),
	"names":   regexp.MustCompile(`^[A-Za-z]+(,[A-Za-z]+)*$`),
	"guid":    regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`),
	"boolean": regexp.MustCompile(`^(true|false)$`),
	"etag":    regexp.MustCompile(`^[!-~]{1,256}$`),
	"address": regexp.MustCompile(`^https://[a-z0-9.-]+/jobs/job/tasks/task(/terminate)?$`),
	"date":    regexp.MustCompile(`^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT$`),
}

// transportHeaders belong to HTTP, not to the operation.
var transportHeaders = []string{"Accept", "Accept-Encoding", "Content-Length", "User-Agent"}

// hold compares a request, as it arrived, with the contract, and with exactly
// the optional parameters that were wanted.
func (c contract) hold(t *testing.T, call batchtest.Call, wanted map[string]string) {
	t.Helper()
	path := strings.NewReplacer("{jobId}", "job", "{taskId}", "task").Replace(c.Path)
	if call.Method != c.Method || call.Path != path {
		t.Errorf("request %s %s, want %s %s", call.Method, call.Path, c.Method, path)
	}
	seen := map[string]string{}
	for _, p := range c.Query {
		if values, ok := call.Query[p.Name]; ok {
			seen[p.Name] = strings.Join(values, "|")
			if !formats[p.Format].MatchString(seen[p.Name]) {
				t.Errorf("query %s=%q is no %s", p.Name, seen[p.Name], p.Format)
			}
		} else if p.Required {
			t.Errorf("query %s is missing", p.Name)
		}
	}
	for _, p := range c.Headers {
		if values := call.Header.Values(p.Name); len(values) > 0 {
			seen[p.Name] = strings.Join(values, "|")
			if !formats[p.Format].MatchString(seen[p.Name]) {
				t.Errorf("header %s: %q is no %s", p.Name, seen[p.Name], p.Format)
			}
		}
	}
	for name, value := range wanted {
		if seen[name] != value && value != "" || seen[name] == "" {
			t.Errorf("%s is %q, want %q", name, seen[name], value)
		}
		delete(seen, name)
	}
	if len(seen) > 0 {
		t.Errorf("sent beyond what was wanted: %v", seen)
	}
	c.nothingElse(t, call)
}

func (c contract) nothingElse(t *testing.T, call batchtest.Call) {
	t.Helper()
	for name := range call.Query {
		if !slices.ContainsFunc(c.Query, func(p field) bool {
			return p.Name == name
		}) {
			t.Errorf("query %s is not in the contract", name)
		}
	}
	for name := range call.Header {
		if !slices.ContainsFunc(c.Headers, func(p field) bool {
			return http.CanonicalHeaderKey(p.Name) == name
		}) && !slices.Contains(transportHeaders, name) {
			t.Errorf("header %s is not in the contract", name)
		}
	}
	if c.Method == http.MethodPost && call.Header.Get("Content-Length") != "0" {
		t.Errorf("Content-Length %q", call.Header.Get("Content-Length"))
	}
	if !call.Bearer {
		t.Error("no bearer token")
	}
}

// parameter is one optional parameter: how it is set, and how it must arrive.
type parameter struct {
	name, value string
	set         func(*batchapi.TerminateTaskOptions)
}

func optionalParameters() []parameter {
	pacific := time.FixedZone("PST", -8*3600)
	since := time.Date(2025, 9, 6, 23, 30, 1, 999, pacific)
	return []parameter{
		{"timeOut", "30", func(o *batchapi.TerminateTaskOptions) { o.TimeOut = 30 * time.Second }},
		{"client-request-id", "9C4D50EE-2D56-4CD3-8152-34347DC9F2B0", func(o *batchapi.TerminateTaskOptions) {
			o.ClientRequestID = "9C4D50EE-2D56-4CD3-8152-34347DC9F2B0"
		}},
		{"return-client-request-id", "true", func(o *batchapi.TerminateTaskOptions) { o.ReturnClientRequestID = true }},
		{"If-Match", "0x8D1", func(o *batchapi.TerminateTaskOptions) { o.IfMatch = "0x8D1" }},
		{"If-None-Match", "0x8D2", func(o *batchapi.TerminateTaskOptions) { o.IfNoneMatch = "0x8D2" }},
		{"If-Modified-Since", "Sun, 07 Sep 2025 07:30:01 GMT", func(o *batchapi.TerminateTaskOptions) { o.IfModifiedSince = since }},
		{"If-Unmodified-Since", "Sun, 07 Sep 2025 07:30:01 GMT", func(o *batchapi.TerminateTaskOptions) { o.IfUnmodifiedSince = since }},
	}
}

func TestEveryCombinationOfParametersKeepsTheContract(t *testing.T) {
	t.Parallel()
	c := readContract(t, "terminate-task.json")
	var headers http.Header
	account, client := setup(t, withPolicy(func(req *policy.Request) (*http.Response, error) {
		resp, err := req.Next()
		if resp != nil {
			headers = resp.Header
		}
		return resp, err
	}))
	parameters := optionalParameters()
	sent := 0
	for mask := range 1 << len(parameters) {
		options := &batchapi.TerminateTaskOptions{}
		wanted := map[string]string{"api-version": c.APIVersion, "client-request-id": "", "ocp-date": ""}
		for i, p := range parameters {
			if mask&(1<<i) != 0 {
				p.set(options)
				wanted[p.name] = p.value
			}
		}
		has := func(name string) bool { _, ok := wanted[name]; return ok }
		legal := (!has("If-Match") && !has("If-Unmodified-Since")) || (!has("If-None-Match") && !has("If-Modified-Since"))
		account.AddTask("job", "task", batchtest.TaskRunning)
		resp, err := client.TerminateTask(t.Context(), "job", "task", options)
		if !legal {
			if err == nil || account.CallCount() != sent {
				t.Errorf("%v: an illegal pair was sent", wanted)
			}
			continue
		}
		if sent++; account.CallCount() != sent {
			t.Fatalf("%v: not sent: %v", wanted, err)
		}
		c.hold(t, lastCall(t, account), wanted)
		c.holdAnswer(t, lastCall(t, account), headers, resp, err)
	}
	if sent == 0 || len(account.Strays()) > 0 {
		t.Errorf("%d calls sent, strays %v", sent, account.Strays())
	}
}

func TestGetTaskKeepsTheContract(t *testing.T) {
	t.Parallel()
	c := readContract(t, "get-task.json")
	account, client := setup(t)
	if _, err := client.GetTask(t.Context(), "job", "task", &batchapi.GetTaskOptions{TimeOut: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	c.hold(t, lastCall(t, account), map[string]string{
		"api-version": c.APIVersion, "client-request-id": "", "ocp-date": "", "timeOut": "5", "$select": "id,state,creationTime,eTag",
	})
}
