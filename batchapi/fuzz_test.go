package batchapi

import (
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

func FuzzErrorBody(f *testing.F) {
	files, err := filepath.Glob("../testdata/batch/errors/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, "7b0e5f3c")
	}
	f.Fuzz(func(t *testing.T, body []byte, requestID string) {
		a := &answer{status: 500, body: body, header: http.Header{headerRequestID: {requestID}}}
		e := a.asError("terminate task", nil)
		line := e.Error()
		for _, r := range line {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q is not one printable line", line)
			}
		}
		if e.Code != "" && !isCode(e.Code) || len(e.Values) > maxValues {
			t.Errorf("code %q, %d values", e.Code, len(e.Values))
		}
		if again := redact(e.Message.Value); again != e.Message.Value && strings.Contains(again, "eyJ") {
			t.Errorf("%q is redacted to %q at the second pass", e.Message.Value, again)
		}
	})
}

// The grammar of ids as the service documents it, and as it names the jobs of a
// schedule.
var (
	idGrammar    = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	jobIDGrammar = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}(:job-[1-9][0-9]{0,9})?$`)
)

// FuzzPathsStayWithinTheTask holds the promise that matters most: what the
// grammar lets through survives any cleaning and decoding unchanged.
func FuzzPathsStayWithinTheTask(f *testing.F) {
	for _, id := range []string{"task", "..", ".", "%2e%2e", "a/b", `a\b`, "s:job-1", "s:job-10987654321", "s:job-01", ":job-1", "s:job-1:job-1", strings.Repeat("a", 64), strings.Repeat("a", 65), "a b", "\x00", "é", "a%", "?", "#", ";"} {
		f.Add("job", id)
		f.Add(id, "task")
	}
	f.Fuzz(func(t *testing.T, jobID, taskID string) {
		if IsTaskID(taskID) != idGrammar.MatchString(taskID) || IsJobID(jobID) != jobIDGrammar.MatchString(jobID) {
			t.Errorf("job %q, task %q: not judged by the grammar", jobID, taskID)
		}
		k := call{jobID: jobID, taskID: taskID, action: "/terminate", options: &TerminateTaskOptions{}}
		if k.validate() != nil {
			return
		}
		u, err := url.Parse("https://contoso.westeurope.batch.azure.com" + k.path())
		if err != nil {
			t.Fatal(err)
		}
		segments := []string{"", "jobs", jobID, "tasks", taskID, "terminate"}
		for _, form := range []string{u.EscapedPath(), u.RequestURI(), u.Path, path.Clean(u.Path), u.JoinPath().Path} {
			if got := strings.Split(form, "/"); len(got) != 6 || strings.Join(got, "/") != strings.Join(segments, "/") {
				t.Errorf("job %q, task %q: path %q", jobID, taskID, form)
			}
		}
		if decoded, err := url.PathUnescape(k.path()); err != nil || decoded != k.path() {
			t.Errorf("job %q, task %q: decodes to %q, %v", jobID, taskID, decoded, err)
		}
	})
}
