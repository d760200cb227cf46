package batchapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"

	"github.com/google/go-cmp/cmp"
)

// TestDocumentedErrorBodies reads every file of testdata/batch/errors. Its name
// says the status and the code that must be found, or notbatch.
func TestDocumentedErrorBodies(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/batch/errors/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			name := strings.Split(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), "-")
			status, _ := strconv.Atoi(name[0])
			code := name[1]
			if code == "notbatch" {
				code = ""
			}
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			account, client := setup(t)
			account.OnNext(batchtest.Body(status, "application/json;odata=minimalmetadata", body))
			_, err = client.TerminateTask(t.Context(), "job", "task", nil)
			var got *batchapi.Error
			if !errors.As(err, &got) || got.StatusCode != status || got.Code != code {
				t.Fatalf("error %v", err)
			}
			if got.RequestID == "" || got.ClientRequestID == "" || got.ServerDate.IsZero() {
				t.Errorf("ids or date are missing: %+v", got)
			}
			line := got.Error()
			for _, unwanted := range []string{"\n", "\r", "RequestId:", "Time:", "html"} {
				if strings.Contains(line, unwanted) {
					t.Errorf("%q contains %q", line, unwanted)
				}
			}
			if first := got.Message.FirstLine(); (got.Message.Value != "") != (first != "") || !strings.Contains(line, first) {
				t.Errorf("first line %q of %q, in %q", first, got.Message.Value, line)
			}
		})
	}
}

func TestTheErrorLineReadsWell(t *testing.T) {
	t.Parallel()
	e := &batchapi.Error{
		Operation: "terminate task", StatusCode: 409, Code: "TaskCompleted",
		Message:   batchapi.ErrorMessage{Lang: "en-US", Value: "The task is \x1b[31mdone\u2028.\nRequestId:x\nTime:y"},
		RequestID: "7b0e5f3c",
	}
	want := `terminate task: status 409 TaskCompleted: The task is \x1b[31mdone\u2028. (request-id 7b0e5f3c)`
	if got := e.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	bare := &batchapi.Error{Operation: "get task", StatusCode: 502, Err: io.ErrUnexpectedEOF}
	if got, want := bare.Error(), "get task: status 502: unexpected EOF"; got != want || !errors.Is(bare, io.ErrUnexpectedEOF) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestValuesKeepOrderAndRepeats(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../testdata/batch/errors/400-MultipleConditionHeadersNotSupported.json")
	if err != nil {
		t.Fatal(err)
	}
	got := refusal(t, batchtest.Body(400, "application/json", body))
	want := []batchapi.ErrorDetail{{Key: "HeaderName", Value: "If-Match"}, {Key: "HeaderName", Value: "If-None-Match"}}
	if diff := cmp.Diff(want, got.Values); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// refusal returns the error of one call that meets fault.
func refusal(t *testing.T, fault batchtest.Fault) *batchapi.Error {
	t.Helper()
	account, client := setup(t)
	account.OnNext(fault)
	_, err := client.TerminateTask(t.Context(), "job", "task", nil)
	var got *batchapi.Error
	if !errors.As(err, &got) {
		t.Fatalf("error %v", err)
	}
	return got
}

func TestSecretsOfARefusalAreTakenOut(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../testdata/batch/errors/403-AuthenticationFailed.json")
	if err != nil {
		t.Fatal(err)
	}
	got := refusal(t, batchtest.Body(403, "application/json", body))
	if len(got.Values) != 1 || !strings.Contains(got.Values[0].Value, "MAC signature") {
		t.Fatalf("values %+v", got.Values)
	}
	for _, secret := range []string{"q83vEjRWeJ", "POST", "ocp-date:", "/contoso/jobs"} {
		if strings.Contains(got.Values[0].Value, secret) {
			t.Errorf("%q is still in %q", secret, got.Values[0].Value)
		}
	}
	echo := `{"code":"AuthenticationFailed","message":{"value":"header was Bearer ` + secretToken + ` or bare ` + secretToken + `"}}`
	got = refusal(t, batchtest.Body(401, "application/json", []byte(echo)))
	if strings.Contains(got.Message.Value+got.Error(), "c2VjcmV0") {
		t.Errorf("the token is in %q", got.Message.Value)
	}
}

// Scorecard: H3.
func TestHostileAnswersAreStillAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  batchtest.Fault
		status int
		code   string
		cause  string
	}{
		"html":        {batchtest.HTML(502), 502, "", ""},
		"empty":       {batchtest.Body(404, "", nil), 404, "", ""},
		"truncated":   {batchtest.TruncatedBody(500, "InternalError"), 500, "", "unexpected EOF"},
		"ten MB":      {batchtest.LargeBody(500, "InternalError", 10<<20), 500, "", "exceeds 64 KiB"},
		"ten MB html": {batchtest.Body(503, "text/html", make([]byte, 10<<20)), 503, "", "exceeds 64 KiB"},
		"redirect":    {batchtest.Redirect("https://evil.example/"), 307, "", ""},
		"bad target":  {batchtest.Redirect("https://%zz/"), 307, "", ""},
		"unmodified":  {batchtest.Body(304, "", nil), 304, "", ""},
		"long code":   {batchtest.Body(400, "application/json", []byte(`{"code":"`+strings.Repeat("x", 129)+`"}`)), 400, "", ""},
	} {
		got := refusal(t, test.fault)
		if got.StatusCode != test.status || got.Code != test.code {
			t.Errorf("%s: %v", name, got)
		}
		if (got.Err != nil) != (test.cause != "") || (got.Err != nil && !strings.Contains(got.Err.Error(), test.cause)) {
			t.Errorf("%s: cause %v, want %q", name, got.Err, test.cause)
		}
	}
}

// endless is a body without an end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func (*endless) Close() error { return nil }

// Scorecard: H3.
func TestOnlyABoundedPartOfABodyIsRead(t *testing.T) {
	t.Parallel()
	body := &endless{}
	client := clientOver(t, func(*http.Request) (*http.Response, error) {
		if body.read > 1<<20 {
			return nil, errors.New("asked again")
		}
		return &http.Response{StatusCode: 500, Header: http.Header{}, Body: io.NopCloser(io.LimitReader(body, 16<<20))}, nil
	})
	_, err := client.TerminateTask(t.Context(), "job", "task", nil)
	var refused *batchapi.Error
	if !errors.As(err, &refused) || body.read > 1<<17 {
		t.Errorf("%d bytes read, error %v", body.read, err)
	}
}

func TestABodyThatNeverEndsIsGivenUpWithTheStatusKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account, client := setup(t)
		account.OnNext(batchtest.SlowBody(503, "ServerBusy", time.Minute))
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
		defer cancel()
		start := time.Now()
		_, err := client.TerminateTask(ctx, "job", "task", nil)
		var got *batchapi.Error
		if !errors.As(err, &got) || got.StatusCode != 503 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 35*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestAHungServiceEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		account, client := setup(t)
		account.OnNext(batchtest.Hang())
		ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
		defer cancel()
		_, err := client.TerminateTask(ctx, "job", "task", nil)
		var answered *batchapi.Error
		if !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &answered) {
			t.Errorf("error %v", err)
		}
	})
}

func TestAnAnswerThatArrivesAsTheContextEndsIsTheOutcome(t *testing.T) {
	t.Parallel()
	for status, wantErr := range map[int]bool{http.StatusNoContent: false, http.StatusConflict: true} {
		ctx, cancel := context.WithCancel(t.Context())
		client := clientOver(t, func(req *http.Request) (*http.Response, error) {
			cancel()
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, nil
		})
		resp, err := client.TerminateTask(ctx, "job", "task", nil)
		var answered *batchapi.Error
		if got := errors.As(err, &answered); got != wantErr || (!wantErr && resp.StatusCode != status) {
			t.Errorf("status %d: error %v", status, err)
		}
	}
}

// Scorecard: H1.
func TestALostConnectionIsNoAnswer(t *testing.T) {
	t.Parallel()
	for acts, fault := range map[int]batchtest.Fault{0: batchtest.DropBeforeActing(), 1: batchtest.DropAfterActing()} {
		account, client := setup(t)
		account.OnNext(fault)
		_, err := client.TerminateTask(t.Context(), "job", "task", nil)
		var answered *batchapi.Error
		var argument *batchapi.ArgumentError
		var credential *batchapi.CredentialError
		if err == nil || errors.As(err, &answered) || errors.As(err, &argument) || errors.As(err, &credential) {
			t.Errorf("error %v", err)
		}
		if n := account.Terminations("job", "task"); n != acts {
			t.Errorf("terminations %d, want %d", n, acts)
		}
	}
}
