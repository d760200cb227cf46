//go:build unix

package main

import (
	"fmt"
	"os"
	"testing"

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
