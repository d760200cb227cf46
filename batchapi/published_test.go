package batchapi_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"

	"github.com/google/go-cmp/cmp"
)

// published is the part of Microsoft's description that the contract repeats.
type published struct {
	Paths map[string]map[string]struct {
		Parameters []struct {
			Name, In, Type, Format string
			Ref                    string `json:"$ref"`
		}
		Responses map[string]struct {
			Headers map[string]struct{ Format string }
			Schema  struct {
				Ref string `json:"$ref"`
			}
		}
	}
	Definitions         map[string]definition
	SecurityDefinitions map[string]struct{ Scopes map[string]any }
}

type definition struct {
	Type       string
	Ref        string `json:"$ref"`
	Properties map[string]definition
	Items      *definition
	Required   []string
}

// readPublished reads a file of Microsoft's where it lies beside the checkout.
// It is not ours to keep in the repository.
func readPublished(t *testing.T, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile("../../shared/reference/" + name)
	if err != nil {
		t.Skipf("published description not present: %v", err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func TestOurContractsAgreeWithThePublishedOne(t *testing.T) {
	t.Parallel()
	var doc published
	readPublished(t, "batch-terminate-openapi.json", &doc)
	for name, leftOut := range map[string][]string{
		"terminate-task.json": nil,
		"get-task.json":       {"query $expand"}, // never sent
	} {
		c := readContract(t, name)
		op, ok := doc.Paths[c.Path][strings.ToLower(c.Method)]
		if !ok {
			t.Fatalf("no %s %s", c.Method, c.Path)
		}
		want := []string{"query api-version version"} // by reference in the document
		for _, p := range op.Parameters {
			if p.Ref == "" && p.In != "path" && !slices.Contains(leftOut, p.In+" "+p.Name) {
				want = append(want, p.In+" "+p.Name+" "+kind(p.Name, p.Type, p.Format))
			}
		}
		if diff := cmp.Diff(want, c.parameters(), asSet); diff != "" {
			t.Errorf("%s: parameters (-published +ours)\n%s", name, diff)
		}
		var headers []string
		for header, h := range op.Responses[strconv.Itoa(c.Success)].Headers {
			headers = append(headers, header+" "+strconv.FormatBool(h.Format == "date-time-rfc7231"))
		}
		var ours []string
		for _, f := range c.ResponseHeaders {
			ours = append(ours, f.Name+" "+strconv.FormatBool(f.Format == "date"))
		}
		if diff := cmp.Diff(headers, ours, asSet); diff != "" {
			t.Errorf("%s: response headers (-published +ours)\n%s", name, diff)
		}
		refused := doc.example(t, definition{Ref: op.Responses["default"].Schema.Ref})
		if diff := cmp.Diff(refused, c.Error); diff != "" {
			t.Errorf("%s: error (-published +ours)\n%s", name, diff)
		}
		if _, ok := doc.SecurityDefinitions["OAuth2Auth"].Scopes[c.Scope]; !ok {
			t.Errorf("scope %s is not the published one", c.Scope)
		}
	}
}

// kind is the contract's word for a published type. Names decide where the
// document says string and its prose says more.
func kind(name, typ, format string) string {
	switch {
	case format == "date-time-rfc7231":
		return "date"
	case typ == "boolean":
		return "boolean"
	case typ == "integer":
		return "seconds"
	case typ == "array":
		return "names"
	case name == "client-request-id":
		return "guid"
	}
	return "etag"
}

// parameters lists the contract's parameters.
func (c contract) parameters() []string {
	var list []string
	for _, p := range c.Query {
		list = append(list, "query "+p.Name+" "+p.Format)
	}
	for _, p := range c.Headers {
		list = append(list, "header "+p.Name+" "+p.Format)
	}
	return list
}

// example writes a definition as the contract does. Required members would have
// no place there.
func (doc *published) example(t *testing.T, d definition) any {
	t.Helper()
	if name, ok := strings.CutPrefix(d.Ref, "#/definitions/"); ok {
		d = doc.Definitions[name]
	}
	if len(d.Required) > 0 {
		t.Errorf("members %v are required", d.Required)
	}
	switch d.Type {
	case "object":
		object := map[string]any{}
		for name, member := range d.Properties {
			object[name] = doc.example(t, member)
		}
		return object
	case "array":
		return []any{doc.example(t, *d.Items)}
	}
	return d.Type
}

// asSet makes a comparison blind to order.
var asSet = cmp.Transformer("asSet", func(list []string) map[string]bool {
	set := make(map[string]bool)
	for _, s := range list {
		set[s] = true
	}
	return set
})

// officialExample is a request with its answers.
type officialExample struct {
	Parameters map[string]string
	Responses  map[string]struct{ Body json.RawMessage }
}

func TestTheOfficialTerminateExampleRoundTrips(t *testing.T) {
	t.Parallel()
	var example officialExample
	readPublished(t, "batch-examples/Tasks_TerminateTask.json", &example)
	p := example.Parameters
	account, client := officialAccount(t, p)
	resp, err := client.TerminateTask(t.Context(), p["jobId"], p["taskId"],
		&batchapi.TerminateTaskOptions{ClientRequestID: p["client-request-id"], ReturnClientRequestID: true})
	if statuses := slices.Collect(maps.Keys(example.Responses)); err != nil || !slices.Equal(statuses, []string{strconv.Itoa(resp.StatusCode)}) {
		t.Errorf("status %d, error %v; the example has %v", resp.StatusCode, err, statuses)
	}
	if resp.ClientRequestID != p["client-request-id"] || account.Terminations(p["jobId"], p["taskId"]) != 1 {
		t.Errorf("answer %+v, %d terminations", resp, account.Terminations(p["jobId"], p["taskId"]))
	}
	holdOfficial(t, lastCall(t, account), "/jobs/"+p["jobId"]+"/tasks/"+p["taskId"]+"/terminate", p)
}

func TestTheOfficialGetExampleRoundTrips(t *testing.T) {
	t.Parallel()
	var example officialExample
	readPublished(t, "batch-examples/Tasks_GetTask.json", &example)
	p := example.Parameters
	account, client := officialAccount(t, p)
	var body struct{ ID, State, ETag string }
	if err := json.Unmarshal(example.Responses["200"].Body, &body); err != nil {
		t.Fatal(err)
	}
	account.OnNext(batchtest.Body(200, "application/json;odata=minimalmetadata", example.Responses["200"].Body), batchtest.Times(2))
	// The example answers for another task than it asks for. That must be noticed.
	options := &batchapi.GetTaskOptions{ClientRequestID: p["client-request-id"]}
	if _, err := client.GetTask(t.Context(), p["jobId"], p["taskId"], options); err == nil || !strings.Contains(err.Error(), "another task") {
		t.Errorf("error %v", err)
	}
	holdOfficial(t, lastCall(t, account), "/jobs/"+p["jobId"]+"/tasks/"+p["taskId"], p)
	task, err := client.GetTask(t.Context(), p["jobId"], body.ID, options)
	if err != nil || task.ID != body.ID || string(task.State) != body.State || task.ETag != body.ETag ||
		task.CreationTime.Format("2006-01-02T15:04:05.9999999Z07:00") != "2025-09-06T06:59:15.1161429Z" {
		t.Errorf("task %+v, error %v; want %+v", task, err, body)
	}
}

// officialAccount is the account of an example, by the name it has there.
func officialAccount(t *testing.T, p map[string]string) (*batchtest.Account, *batchapi.Client) {
	t.Helper()
	account := batchtest.New(batchtest.WithHost(p["batchUrl"]), batchtest.WithAPIVersions(p["api-version"]))
	t.Cleanup(account.Close)
	account.AddTask(p["jobId"], p["taskId"], batchtest.TaskRunning)
	options := &batchapi.ClientOptions{}
	options.Transport = account.Client()
	client, err := batchapi.NewClient("https://"+p["batchUrl"], &credential{}, options)
	if err != nil {
		t.Fatal(err)
	}
	return account, client
}

// holdOfficial compares a request with an example's parameters, except for the
// example's ocp-date, whose weekday is wrong; ours is today's.
func holdOfficial(t *testing.T, call batchtest.Call, path string, p map[string]string) {
	t.Helper()
	if call.Path != path || call.Query.Get("api-version") != p["api-version"] || call.Header.Get("client-request-id") != p["client-request-id"] || call.Header.Get("ocp-date") == "" {
		t.Errorf("request %+v, want %s and %v", call, path, p)
	}
}
