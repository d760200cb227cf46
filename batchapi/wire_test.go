package batchapi_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"batchterminator/batchapi"
	"batchterminator/batchapi/batchtest"
)

// overWire returns an account with a running task job/task on a real socket, and a client with the transport of
// production in front of it.
func overWire(t *testing.T) (*batchtest.Account, *batchapi.Client) {
	t.Helper()
	account := batchtest.New()
	t.Cleanup(account.Close)
	account.AddTask("job", "task", batchtest.TaskRunning)
	server, err := account.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := batchapi.NewClient(server.Endpoint(), nil, &batchapi.ClientOptions{AllowLoopbackHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return account, client
}

// says writes lines, each with its end, and then what follows the header.
func says(body string, lines ...string) batchtest.Fault {
	return batchtest.Raw(func(c io.ReadWriter) {
		_, _ = io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n\r\n"+body)
	})
}

// flood writes the start and then one text again and again, for as long as somebody reads.
func flood(start, again string) batchtest.Fault {
	return batchtest.Raw(func(c io.ReadWriter) {
		again := []byte(strings.Repeat(again, 1+16<<10/len(again)))
		_, err := io.WriteString(c, start)
		for written := 0; err == nil && written < 1<<30; written += len(again) {
			_, err = c.Write(again)
		}
	})
}

func bomb() string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(make([]byte, 32<<20))
	_ = w.Close()
	return b.String()
}

const (
	anID      = "request-id: 7b0e5f3c-0000-4000-8000-000000000001"
	ownID     = "0f3c1d52-6a7e-4b58-9a44-2d1c8e5b7f10"
	anothers  = "client-request-id: 00000000-0000-4000-8000-00000000dead"
	completed = `{"code":"TaskCompleted","message":{"value":"The task is completed."}}`
)

// Each answer is broken in its own way. None is a success or a verdict on the task; the status is what is left of it, 0
// where nothing is. The next call finds a client that works.
//
// Scorecard: H3, H7, H9.
func TestNoBrokenAnswerIsTakenForTheOutcome(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  batchtest.Fault
		status int
	}{
		"body cut":             {says(`{"a"`, "HTTP/1.1 200 OK", anID, "Content-Length: 100"), 200},
		"chunk size no number": {says("zz\r\n{}\r\n0\r\n\r\n", "HTTP/1.1 200 OK", anID, "Transfer-Encoding: chunked"), 200},
		"chunks without end":   {says("2\r\n{}\r\n", "HTTP/1.1 200 OK", anID, "Transfer-Encoding: chunked"), 200},
		"huge chunk":           {says("ffffffffffffffff\r\n{}", "HTTP/1.1 200 OK", anID, "Transfer-Encoding: chunked"), 200},
		"refusal cut":          {says(completed[:30], "HTTP/1.1 409 Conflict", anID, "Content-Length: 68"), 409},
		"body of a gigabyte":   {flood("HTTP/1.1 200 OK\r\n"+anID+"\r\n\r\n", " "), 200},
		"gzip bomb":            {says(bomb(), "HTTP/1.1 200 OK", anID, "Content-Encoding: gzip", "Content-Type: application/json"), 200},
		"HTML of Batch":        {says("<html></html>", "HTTP/1.1 200 OK", anID, "Content-Type: text/html"), 200},
		"HTML of a portal":     {says("<html></html>", "HTTP/1.1 200 OK", "Content-Type: text/html"), 200},
		"HTML labelled JSON":   {says("<html></html>", "HTTP/1.1 200 OK", anID, "Content-Type: application/json"), 200},
		"UTF-16":               {says("{\x00}\x00", "HTTP/1.1 200 OK", anID, "Content-Type: application/json; charset=utf-16le"), 200},
		"empty, of a portal":   {says("", "HTTP/1.1 200 OK", "Content-Length: 0"), 200},
		"garbage":              {says("", "\x00\x01\x02\x03", "\xff\xfe"), 0},
		"another protocol":     {says("", "SSH-2.0-OpenSSH_9.9"), 0},
		"nothing":              {batchtest.Raw(func(io.ReadWriter) {}), 0},
		"header cut":           {batchtest.Raw(func(c io.ReadWriter) { _, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nX: ") }), 0},
		"status 99":            {says("", "HTTP/1.1 99 Odd"), 0},
		"status 1000":          {says("", "HTTP/1.1 1000 Odd"), 0},
		"status negative":      {says("", "HTTP/1.1 -04 Odd"), 0},
		"status no number":     {says("", "HTTP/1.1 2o4 Odd"), 0},
		"two lengths":          {says("{}", "HTTP/1.1 200 OK", anID, "Content-Length: 2", "Content-Length: 3"), 0},
		"length negative":      {says("{}", "HTTP/1.1 200 OK", anID, "Content-Length: -2"), 0},
		"a header of 1 MB":     {says("", "HTTP/1.1 204 No Content", "X: "+strings.Repeat("x", 1<<20)), 0},
		"10,000 headers":       {says("", "HTTP/1.1 204 No Content", strings.Repeat("X: yyyy\r\n", 10_000)+"Z: z"), 0},
		"headers without end":  {flood("HTTP/1.1 204 No Content\r\n", "X: y\r\n"), 0},
		"another's success":    {says("", "HTTP/1.1 204 No Content", anID, anothers), 0},
		"another's refusal":    {says(completed, "HTTP/1.1 409 Conflict", anID, anothers), 0},
		"switched protocols":   {batchtest.Raw(switches), 101},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account, client := overWire(t)
			account.OnNext(test.fault)
			_, err := client.TerminateTask(t.Context(), "job", "task", nil)
			var answered *batchapi.Error
			if errors.As(err, &answered) != (test.status != 0) || err == nil || test.status != 0 && answered.StatusCode != test.status {
				t.Errorf("error %v, want status %d", err, test.status)
			}
			if answered != nil && answered.Code != "" || errors.Is(err, batchapi.ErrBodyBroken) != brokenOff[name] {
				t.Errorf("error %v, want one of a body broken off: %v", err, brokenOff[name])
			}
			if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil || account.Terminations("job", "task") != 1 {
				t.Errorf("the next call: %v, terminations %d", err, account.Terminations("job", "task"))
			}
		})
	}
}

// brokenOff are those of the answers whose code may be in the part that did not come.
var brokenOff = map[string]bool{"body cut": true, "chunk size no number": true, "chunks without end": true, "huge chunk": true, "refusal cut": true}

// switches never ends what it began: not an answer, not the connection.
func switches(c io.ReadWriter) {
	_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: odd\r\nConnection: upgrade\r\n\r\n")
	_, _ = io.Copy(io.Discard, c)
}

// What is undocumented, odd or old-fashioned, and an answer all the same.
//
// Scorecard: H3, H7.
func TestAnOddAnswerIsStillTheOutcome(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault batchtest.Fault
		code  string // "": a success
	}{
		"JSON where 204 is documented":   {says("{}", "HTTP/1.1 200 OK", anID, "Content-Length: 2"), ""},
		"behind a byte order mark":       {says("\xef\xbb\xbf"+completed, "HTTP/1.1 409 Conflict", anID), "TaskCompleted"},
		"labelled text":                  {says(completed, "HTTP/1.1 409 Conflict", "Content-Type: text/plain; charset=us-ascii"), "TaskCompleted"},
		"not labelled at all":            {says(completed, "HTTP/1.1 409 Conflict"), "TaskCompleted"},
		"HTTP/1.0":                       {says("", "HTTP/1.0 204 No Content"), ""},
		"204 with a body":                {says("<html></html>", "HTTP/1.1 204 No Content", "Content-Length: 13", "Connection: close"), ""},
		"control bytes in a phrase":      {says("", "HTTP/1.1 204 \x1b[31m\x07", "Content-Length: 0"), ""},
		"the echo in capital letters":    {says("", "HTTP/1.1 204 No Content", "client-request-id: "+strings.ToUpper(ownID)), ""},
		"informational answers before":   {says("", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 204 No Content"), ""},
		"five informational and refusal": {says(completed, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 5)+"HTTP/1.1 409 Conflict"), "TaskCompleted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account, client := overWire(t)
			account.OnNext(test.fault)
			_, err := client.TerminateTask(t.Context(), "job", "task", &batchapi.TerminateTaskOptions{ClientRequestID: ownID, ReturnClientRequestID: true})
			var answered *batchapi.Error
			if errors.As(err, &answered); (err == nil) != (test.code == "") || answered != nil && answered.Code != test.code {
				t.Errorf("error %v, want code %q", err, test.code)
			}
		})
	}
}

// A connection that gave one call another's answer would give the next call this one's.
//
// Scorecard: H9.
func TestAConnectionOutOfStepIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	account, client := overWire(t)
	account.OnNext(batchtest.Raw(func(c io.ReadWriter) {
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n"+anothers+"\r\n\r\n")
		if n, _ := c.Read(make([]byte, 1)); n > 0 {
			t.Error("the next call came here")
		}
	}))
	if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err == nil {
		t.Error("another's success was believed")
	}
	if _, err := client.TerminateTask(t.Context(), "job", "task", nil); err != nil {
		t.Error(err)
	}
}
