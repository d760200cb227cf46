//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// Work goes on and ends well, whatever becomes of the log.
//
// Scorecard: S7.
func TestWorkGoesOnWithoutALog(t *testing.T) {
	t.Parallel()
	pipe := func(t *testing.T) (near, far *os.File) {
		far, near, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = far.Close() })
		return near, far
	}
	for name, open := range map[string]func(t *testing.T) *os.File{
		"nobody reads": func(t *testing.T) *os.File {
			near, _ := pipe(t)
			return near
		},
		"closed": func(t *testing.T) *os.File {
			near, far := pipe(t)
			_ = far.Close() // for the test; closing it is the point
			return near
		},
		"full disk": func(t *testing.T) *os.File {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Skip("no full device here: ", err)
			}
			return full
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, servicebustest.QueueConfig{})
			for i := range 300 { // far more lines than a pipe holds
				s.send(t, fmt.Sprint("t", i))
			}
			log := open(t)
			r := s.startWith(t, log)
			_ = log.Close() // the worker has its own
			s.until(t, "an empty queue", empty)
			r.stop(t)
			s.holds(t)
			if n := s.account.CallCount(); n != 300 {
				t.Errorf("%d calls, want 300", n)
			}
		})
	}
}

// P10: each delivery has its one line, which also says who asked for it and why, and no id or text from a message makes it
// more or does anything to a terminal. At debug the SDK's own log is there, without a body or a key.
func TestEachDeliveryIsOneLineWhateverItsMessageHolds(t *testing.T) {
	t.Parallel()
	const foul = "m\x1b[2J\n\u009b1m\u202e\"\x7f"
	for _, format := range []string{"json", "console"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, servicebustest.QueueConfig{}, "LOG_LEVEL=debug", "LOG_FORMAT="+format)
			s.account.AddTask("j", "t0", batchtest.TaskRunning)
			body := `{"jobId":"j","taskId":"t0","requestedBy":"ops\u001b[31m\u000a","reason":"private \"why\" \u202e"}`
			for i, b := range []string{body, body, `{"jobId":"..\u001b\u000a"}`, "never to be logged"} {
				if _, err := s.queue.Send(servicebustest.Message{ID: fmt.Sprint(foul, i), Body: []byte(b)}); err != nil {
					t.Fatal(err)
				}
			}
			r := s.start(t)
			s.until(t, "an empty queue", empty)
			r.stop(t)
			log := r.log.String()
			deliveries, sdk := 0, 0
			for line := range strings.Lines(log) {
				line = strings.TrimSuffix(line, "\n")
				for _, c := range line {
					if c != ' ' && !unicode.IsPrint(c) {
						t.Errorf("%U in the line %q", c, line)
					}
				}
				var entry map[string]any
				if err := json.Unmarshal([]byte(line), &entry); err != nil && format == "json" {
					t.Errorf("%v: %s", err, line)
				}
				if strings.Contains(line, `"msg":"delivery"`) || strings.Contains(line, "message_id=") {
					deliveries++
				}
				if strings.Contains(line, "azure sdk") {
					sdk++
				}
			}
			if deliveries != 4 || sdk == 0 {
				t.Errorf("%d lines of deliveries, want 4, and %d of the SDK, want some, in:\n%s", deliveries, sdk, log)
			}
			if n := strings.Count(log, "private"); n != 2 {
				t.Errorf("the reason is there %d times, want 2", n)
			}
			for _, secret := range []string{"SharedAccessKey=", "jobId\\\"", "never to be logged"} {
				if strings.Contains(log, secret) {
					t.Errorf("%q is in the log:\n%s", secret, log)
				}
			}
		})
	}
}
