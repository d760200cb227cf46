package batchapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"
)

// holdAnswer compares an answer's headers with the contract, and what the client
// made of them with the headers.
func (c contract) holdAnswer(t *testing.T, sent batchtest.Call, h http.Header, resp batchapi.TerminateTaskResponse, err error) {
	t.Helper()
	for _, f := range c.ResponseHeaders {
		value := h.Get(f.Name)
		optional := err != nil
		switch f.Name {
		case "request-id":
			optional = false
		case "client-request-id":
			optional = sent.Header.Get("return-client-request-id") != "true"
			if optional && value != "" {
				t.Errorf("%s came back without being asked for", f.Name)
			}
		}
		if (value != "" || !optional) && !formats[f.Format].MatchString(value) {
			t.Errorf("answer's %s: %q is no %s", f.Name, value, f.Format)
		}
	}
	id := sent.Header.Get("client-request-id")
	var refused *batchapi.Error
	if errors.As(err, &refused) {
		if refused.RequestID != h.Get("request-id") || refused.ClientRequestID != id {
			t.Errorf("ids of %+v, want %s and %s", refused, h.Get("request-id"), id)
		}
		return
	}
	want := batchapi.TerminateTaskResponse{
		StatusCode: c.Success, ClientRequestID: id, RequestID: h.Get("request-id"),
		DataServiceID: h.Get("DataServiceId"), ETag: h.Get("ETag"), LastModified: resp.LastModified,
	}
	if err != nil || resp != want || resp.LastModified.Format(http.TimeFormat) != h.Get("Last-Modified") {
		t.Errorf("answer %+v, error %v, want %+v of %v", resp, err, want, h)
	}
}

// fits reports where value departs from schema, an example whose values name
// their types. No member is required, and others are allowed.
func fits(schema, value any, at string) (problems []string) {
	if value == nil {
		return nil
	}
	switch schema := schema.(type) {
	case map[string]any:
		object, ok := value.(map[string]any)
		if !ok {
			return []string{at + " is no object"}
		}
		for name, member := range schema {
			problems = append(problems, fits(member, object[name], at+"."+name)...)
		}
	case []any:
		list, ok := value.([]any)
		if !ok {
			return []string{at + " is no array"}
		}
		for _, element := range list {
			problems = append(problems, fits(schema[0], element, at+"[]")...)
		}
	default:
		if _, ok := value.(string); !ok {
			return []string{at + " is no string"}
		}
	}
	return problems
}

// batchBodies are the bodies in testdata/batch/errors that the service gives:
// a third part in a name marks those that are odd or not Batch's.
func batchBodies(t *testing.T) (files []string) {
	t.Helper()
	all, err := filepath.Glob("../testdata/batch/errors/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if strings.Count(filepath.Base(file), "-") == 1 {
			files = append(files, file)
		}
	}
	if len(files) < 60 {
		t.Fatalf("%d bodies: one for each code is missing", len(files))
	}
	return files
}

// The double's bodies and ours in testdata have the layout of the service's:
// odata.metadata first, CRLF, two lines of its own behind the message.
func TestErrorBodiesKeepTheContract(t *testing.T) {
	t.Parallel()
	c := readContract(t, "terminate-task.json")
	bodies := map[string][]byte{"simulated": simulatedRefusal(t)}
	for _, file := range batchBodies(t) {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bodies[filepath.Base(file)] = body
	}
	for name, body := range bodies {
		var value struct {
			Code    string
			Message struct{ Value string }
		}
		var whole any
		if json.Unmarshal(body, &whole) != nil || json.Unmarshal(body, &value) != nil {
			t.Errorf("%s is not JSON", name)
			continue
		}
		for _, problem := range fits(c.Error, whole, "body") {
			t.Errorf("%s: %s", name, problem)
		}
		lines := strings.Split(value.Message.Value, "\n")
		if value.Code == "" || len(lines) != 3 || !strings.HasPrefix(lines[1], "RequestId:") || !strings.HasPrefix(lines[2], "Time:") {
			t.Errorf("%s: code %q, message lines %q", name, value.Code, lines)
		}
		text := string(body)
		if !strings.HasPrefix(text, "{\r\n  \"odata.metadata\":") || strings.Count(text, "\n") != strings.Count(text, "\r\n") {
			t.Errorf("%s does not begin with odata.metadata, or has bare line ends", name)
		}
	}
}

// simulatedRefusal is a body as the simulated account writes it.
func simulatedRefusal(t *testing.T) []byte {
	t.Helper()
	account := batchtest.New()
	t.Cleanup(account.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		account.Endpoint()+"/jobs/none/tasks/task/terminate?api-version=2025-06-01&timeOut=x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+secretToken)
	req.Header.Set("ocp-date", time.Now().UTC().Format(http.TimeFormat))
	resp, err := account.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Fatalf("status %d, %v", resp.StatusCode, err)
	}
	return body
}
