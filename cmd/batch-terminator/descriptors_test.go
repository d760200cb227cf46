//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"batchterminator/worker/servicebustest"
)

// limitDescriptors bounds the file descriptors of another process until the returned function is called.
func limitDescriptors(t *testing.T, pid int, most uint64) (restore func()) {
	t.Helper()
	set := func(limit, before *syscall.Rlimit) {
		if _, _, errno := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_NOFILE, uintptr(unsafe.Pointer(limit)), uintptr(unsafe.Pointer(before)), 0, 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	var before syscall.Rlimit
	set(nil, &before)
	set(&syscall.Rlimit{Cur: most, Max: before.Max}, nil)
	return func() { set(&before, nil) }
}

// The process has no file descriptor left just as its connections are cut: it keeps trying, and goes on once it has some.
//
// Scorecard: S8.
func TestWorkGoesOnWhenThereAreFileDescriptorsAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, servicebustest.QueueConfig{}, "RETRY_ATTEMPTS=1", "REDELIVERY_INITIAL=1s")
	path := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	r := s.startWith(t, log)
	_ = log.Close() // the worker has its own
	said := func(text string) bool {
		all, err := os.ReadFile(path)
		return err == nil && bytes.Contains(all, []byte(text))
	}
	eventually(t, "its connection", func() bool { return said(`"msg":"receiving"`) })
	restore := limitDescriptors(t, r.Process.Pid, 3)
	s.send(t, "a") // there is no connection to Batch yet
	eventually(t, "a call that finds none", func() bool { return s.queue.Counts().Scheduled == 1 || said("too many open files") })
	s.bus.DropConnections()
	s.send(t, "b", "c")
	eventually(t, "a dial that finds none", func() bool { return s.bus.Connections() == 0 && said("too many open files") })
	restore()
	s.until(t, "an empty queue", empty)
	r.stop(t)
	s.holds(t)
	if s.count(servicebustest.EventAbandoned) != 0 {
		t.Error("abandoned")
	}
}
