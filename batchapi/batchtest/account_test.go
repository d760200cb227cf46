package batchtest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/batchapi/batchtest"
)

func TestTerminateActsOnceThenIsTaskCompleted(t *testing.T) {
	t.Parallel()
	account, client, task := setup(t)
	before, _ := account.Task("job", "task")
	got := send(t, client, "POST", task+"/terminate"+version)
	after, _ := account.Task("JOB", "TASK")
	if got.status != 204 || got.body != "" || got.err != nil {
		t.Fatalf("%+v", got)
	}
	if got.header.Get("ETag") != after.ETag || after.ETag == before.ETag || strings.Contains(after.ETag, `"`) {
		t.Errorf("ETag %q, task %q, before %q", got.header.Get("ETag"), after.ETag, before.ETag)
	}
	for _, name := range []string{"DataServiceId", "Last-Modified", "request-id"} {
		if got.header.Get(name) == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if got.header.Get("client-request-id") != "" {
		t.Error("client-request-id was echoed unasked")
	}
	again := send(t, client, "POST", account.Endpoint()+"/jobs/JOB/tasks/Task/terminate"+version)
	if again.status != 409 || again.code() != "TaskCompleted" || account.Terminations("job", "task") != 1 {
		t.Errorf("%+v, terminations %d", again, account.Terminations("job", "task"))
	}
	account.AddTask("job", "task", batchtest.TaskActive) // a new incarnation
	if got := send(t, client, "POST", task+"/terminate"+version); got.status != 204 || account.Terminations("job", "task") != 2 {
		t.Errorf("%+v, terminations %d", got, account.Terminations("job", "task"))
	}
}

// The layout of an error body is the documented one, byte for byte but for ids
// and times.
func TestErrorBodiesHaveTheServicesLayout(t *testing.T) {
	t.Parallel()
	_, client, task := setup(t)
	got := send(t, client, "POST", task+"/terminate?api-version=2025-06-01&timeOut=soon")
	documented, err := os.ReadFile("../../testdata/batch/errors/400-InvalidQueryParameterValue.json")
	if err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`"(value|Reason)":"[^"]*"`)
	if g, w := variable.ReplaceAllString(got.body, "V"), variable.ReplaceAllString(string(documented), "V"); g != w {
		t.Errorf("got  %q\nwant %q", g, w)
	}
	if !json.Valid([]byte(got.body)) || got.header.Get("Content-Type") != "application/json;odata=minimalmetadata" {
		t.Errorf("body %s, type %s", got.body, got.header.Get("Content-Type"))
	}
	message := regexp.MustCompile(`"value":"[^"]+\\nRequestId:` + got.header.Get("request-id") + `\\nTime:[0-9T:.-]+Z"`)
	if !message.MatchString(got.body) {
		t.Errorf("message in %s", got.body)
	}
}

const (
	longAgo = "Sat, 01 Jan 2000 00:00:00 GMT"
	farOff  = "Fri, 01 Jan 2100 00:00:00 GMT"
	someID  = "9C4D50EE-2D56-4CD3-8152-34347DC9F2B0"
)

// judgements are requests to terminate a running task whose ETag is
// 0x8DD000000000001, and what the service says to them.
var judgements = map[string]struct {
	query   string
	headers []string
	status  int
	code    string
}{
	"plain":                 {"", nil, 204, ""},
	"no version":            {"?timeOut=5", nil, 400, "MissingRequiredQueryParameter"},
	"unknown version":       {"?api-version=2024-07-01.20.0", nil, 400, "UnsupportedRequestVersion"},
	"timeOut":               {version + "&timeOut=5", nil, 204, ""},
	"timeout misspelt":      {version + "&timeout=5", nil, 400, "UnsupportedQueryParameter"},
	"timeOut text":          {version + "&timeOut=5s", nil, 400, "InvalidQueryParameterValue"},
	"timeOut zero":          {version + "&timeOut=0", nil, 400, "OutOfRangeQueryParameterValue"},
	"select on a write":     {version + "&$select=id", nil, 400, "UnsupportedQueryParameter"},
	"query broken":          {version + "&x=%zz", nil, 400, "RequestUrlFailedToParse"},
	"no bearer":             {"", []string{"Authorization", ""}, 401, "AuthenticationFailed"},
	"shared key":            {"", []string{"Authorization", "SharedKey a:b"}, 401, "AuthenticationFailed"},
	"date fresh":            {"", []string{"ocp-date", now()}, 204, ""},
	"date old":              {"", []string{"ocp-date", longAgo}, 403, "AuthenticationFailed"},
	"date ahead":            {"", []string{"ocp-date", farOff}, 403, "AuthenticationFailed"},
	"date in UTC":           {"", []string{"ocp-date", strings.Replace(now(), "GMT", "UTC", 1)}, 403, "AuthenticationFailed"},
	"guid":                  {"", []string{"client-request-id", someID}, 204, ""},
	"guid in braces":        {"", []string{"client-request-id", "{" + someID + "}"}, 400, "InvalidHeaderValue"},
	"echo text":             {"", []string{"return-client-request-id", "yes"}, 400, "InvalidHeaderValue"},
	"since text":            {"", []string{"If-Modified-Since", "yesterday"}, 400, "InvalidHeaderValue"},
	"since in UTC":          {"", []string{"If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 UTC"}, 400, "InvalidHeaderValue"},
	"match":                 {"", []string{"If-Match", "0x8DD000000000001"}, 204, ""},
	"match any":             {"", []string{"If-Match", "*"}, 204, ""},
	"match quoted":          {"", []string{"If-Match", `"0x8DD000000000001"`}, 412, "ConditionNotMet"},
	"match other":           {"", []string{"If-Match", "0x8D"}, 412, "ConditionNotMet"},
	"none match":            {"", []string{"If-None-Match", "0x8DD000000000001"}, 412, "ConditionNotMet"},
	"none match any":        {"", []string{"If-None-Match", "*"}, 412, "ConditionNotMet"},
	"none match other":      {"", []string{"If-None-Match", "0x8D"}, 204, ""},
	"modified":              {"", []string{"If-Modified-Since", longAgo}, 204, ""},
	"not modified":          {"", []string{"If-Modified-Since", farOff}, 412, "ConditionNotMet"},
	"unmodified":            {"", []string{"If-Unmodified-Since", farOff}, 204, ""},
	"not unmodified":        {"", []string{"If-Unmodified-Since", longAgo}, 412, "ConditionNotMet"},
	"rfc 850":               {"", []string{"If-Unmodified-Since", "Saturday, 01-Jan-00 00:00:00 GMT"}, 412, "ConditionNotMet"},
	"match decides":         {"", []string{"If-Match", "*", "If-Unmodified-Since", longAgo}, 204, ""},
	"none match decides":    {"", []string{"If-None-Match", "0x8D", "If-Modified-Since", farOff}, 204, ""},
	"both matches":          {"", []string{"If-Match", "*", "If-None-Match", "x"}, 400, "MultipleConditionHeadersNotSupported"},
	"both dates":            {"", []string{"If-Modified-Since", longAgo, "If-Unmodified-Since", longAgo}, 400, "MultipleConditionHeadersNotSupported"},
	"match and modified":    {"", []string{"If-Match", "*", "If-Modified-Since", longAgo}, 400, "MultipleConditionHeadersNotSupported"},
	"none match unmodified": {"", []string{"If-None-Match", "x", "If-Unmodified-Since", longAgo}, 400, "MultipleConditionHeadersNotSupported"},
}

func TestRequestsAreJudgedByTheServicesRules(t *testing.T) {
	t.Parallel()
	for name, test := range judgements {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account, client, task := setup(t)
			query := test.query
			if query == "" {
				query = version
			}
			got := send(t, client, "POST", task+"/terminate"+query, test.headers...)
			if got.status != test.status || got.code() != test.code {
				t.Errorf("%d %s, want %d %s", got.status, got.code(), test.status, test.code)
			}
			if acted := account.Terminations("job", "task") == 1; acted != (test.status == 204) {
				t.Errorf("acted: %v", acted)
			}
			if got.header.Get("request-id") == "" {
				t.Error("no request-id")
			}
			call := account.Calls()[0]
			if call.Status != test.status || call.Code != test.code || call.Acted != (test.status == 204) || call.Stray {
				t.Errorf("remembered as %+v", call)
			}
		})
	}
}

func TestStatesDecideTheAnswer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		job    batchtest.JobState
		task   batchtest.TaskState // empty: none
		status int
		code   string
	}{
		{batchtest.JobActive, batchtest.TaskActive, 204, ""},
		{batchtest.JobActive, batchtest.TaskPreparing, 204, ""},
		{batchtest.JobEnabling, batchtest.TaskRunning, 204, ""},
		{batchtest.JobActive, batchtest.TaskCompleted, 409, "TaskCompleted"},
		{batchtest.JobActive, "", 404, "TaskNotFound"},
		{"", "", 404, "JobNotFound"},
		{batchtest.JobDisabling, batchtest.TaskActive, 409, "JobDisabled"},
		{batchtest.JobDisabled, batchtest.TaskActive, 409, "JobDisabled"},
		{batchtest.JobTerminating, batchtest.TaskRunning, 409, "JobBeingTerminated"},
		{batchtest.JobCompleted, batchtest.TaskActive, 409, "JobCompleted"},
		{batchtest.JobDeleting, batchtest.TaskRunning, 409, "JobBeingDeleted"},
	} {
		account, client, _ := setup(t)
		if test.task != "" {
			account.AddTask("j", "t", test.task)
		}
		if test.job != "" {
			account.AddJob("j", test.job)
		}
		got := send(t, client, "POST", account.Endpoint()+"/jobs/j/tasks/t/terminate"+version)
		if got.status != test.status || got.code() != test.code {
			t.Errorf("%s/%s: %d %s, want %d %s", test.job, test.task, got.status, got.code(), test.status, test.code)
		}
	}
}

func TestTheRequestIDIsEchoedOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	const id = "9C4D50EE-2D56-4CD3-8152-34347DC9F2B0"
	_, client, task := setup(t)
	for ask, want := range map[string]string{"": "", "false": "", "true": id} {
		got := send(t, client, "GET", task+version, "client-request-id", id, "return-client-request-id", ask)
		if echo := got.header.Get("client-request-id"); got.status != 200 || echo != want {
			t.Errorf("asked %q: %d, echo %q", ask, got.status, echo)
		}
	}
}

func TestGetTaskSelects(t *testing.T) {
	t.Parallel()
	account, client, task := setup(t)
	info, _ := account.Task("job", "task")
	got := send(t, client, "GET", task+version+"&$select=id,eTag")
	var body map[string]string
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != 200 {
		t.Fatalf("%+v, %v", got, err)
	}
	delete(body, "odata.metadata")
	if len(body) != 2 || body["id"] != "task" || body["eTag"] != info.ETag {
		t.Errorf("body %v", body)
	}
	if got := send(t, client, "GET", task+version); !strings.Contains(got.body, `"state":"running"`) {
		t.Errorf("%+v", got)
	}
	if got := send(t, client, "GET", task+version, "If-None-Match", info.ETag); got.status != http.StatusNotModified || got.body != "" {
		t.Errorf("an unmet read condition: %+v", got)
	}
}

// What climbs out of its task does its harm here, where a test can see it.
func TestAnEscapedPathReallyTerminatesTheJob(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/jobs/job/tasks/../terminate", "/jobs/job/tasks/%2e%2e/terminate", "/jobs/job/terminate"} {
		account, client, _ := setup(t)
		got := send(t, client, "POST", account.Endpoint()+path+version)
		state, _ := account.Job("job")
		strays := account.Strays()
		if got.status != 202 || state != batchtest.JobTerminating || len(strays) != 1 || !strays[0].Acted {
			t.Errorf("%s: %+v, job %s, strays %+v", path, got, state, strays)
			continue
		}
		if strays[0].Operation != batchtest.TerminateJob || strays[0].Path != path {
			t.Errorf("stray %+v", strays[0])
		}
	}
	account, client, task := setup(t)
	if got := send(t, client, "PUT", task+version); got.status != 405 {
		t.Errorf("%+v", got)
	}
	if got := send(t, client, "GET", account.Endpoint()+"/pools"+version); got.status != 404 {
		t.Errorf("%+v", got)
	}
	send(t, client, "DELETE", task+version)
	send(t, client, "DELETE", account.Endpoint()+"/jobs/job"+version)
	if _, ok := account.Job("job"); ok || len(account.Strays()) != 4 {
		t.Errorf("job there: %v, strays %+v", ok, account.Strays())
	}
}

func TestAutoCreateBelievesInWhateverIsNamed(t *testing.T) {
	t.Parallel()
	account, client, _ := setup(t, batchtest.AutoCreate())
	if got := send(t, client, "POST", account.Endpoint()+"/jobs/new/tasks/new/terminate"+version); got.status != 204 || account.Terminations("new", "new") != 1 {
		t.Errorf("%+v", got)
	}
}

func TestTheMemoryOfCallsIsBounded(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{0, 3} {
		account, client, task := setup(t, batchtest.RememberCalls(limit))
		for range 10 {
			send(t, client, "POST", task+"/terminate"+version)
		}
		if n := len(account.Calls()); n != limit || account.CallCount() != 10 {
			t.Errorf("limit %d: %d remembered of %d", limit, n, account.CallCount())
		}
	}
}

func TestCallsRememberHeadersButNoToken(t *testing.T) {
	t.Parallel()
	account, client, task := setup(t)
	send(t, client, "POST", task+"/terminate"+version, "If-Match", "x", "client-request-id", "9C4D50EE-2D56-4CD3-8152-34347DC9F2B0")
	call := account.Calls()[0]
	if call.Header.Get("If-Match") != "x" || call.Header.Get("client-request-id") == "" || call.Query.Get("api-version") == "" || !call.Bearer {
		t.Errorf("%+v", call)
	}
	if _, ok := call.Header["Authorization"]; ok {
		t.Error("the token is remembered")
	}
}

func TestIdleConnectionsLetVirtualTimePass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account, client, task := setup(t)
		start := time.Now()
		send(t, client, "GET", task+version)
		time.Sleep(24 * time.Hour)
		if got := send(t, client, "POST", task+"/terminate"+version, "ocp-date", now()); got.status != 204 || time.Since(start) != 24*time.Hour {
			t.Errorf("%+v after %v", got, time.Since(start))
		}
		account.Close()
		if got := send(t, client, "GET", task+version); got.err == nil {
			t.Errorf("a closed account answered: %+v", got)
		}
	})
}
