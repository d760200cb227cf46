package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"batchterminator/cmd/internal/app"
)

// terminal returns the two ends of one: what a person has, and what the program sees (pty(7)).
func terminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Skipf("this machine has no terminals: %v", err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	person = open("/dev/ptmx")
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return person, open(fmt.Sprint("/dev/pts/", n))
}

// answering is a standard error whose reader does something when asked.
type answering struct {
	bytes.Buffer
	question []byte
	do       func()
}

func (a *answering) Write(p []byte) (int, error) {
	n, err := a.Buffer.Write(p)
	if a.do != nil && bytes.Contains(a.Bytes(), a.question) {
		do := a.do
		a.do = nil
		do()
	}
	return n, err
}

// Found by review: only the number of what had been counted was held to, and what came meanwhile was deleted in its place.
func TestPurgeDeletesOnlyWhatItAskedAbout(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.bury(t, request("a"), request("b"), request("c"))
	person, program := terminal(t)
	var out bytes.Buffer
	asked := &answering{question: []byte("Delete 3 dead letters")}
	asked.do = func() {
		d.run(t, exitOK, "dlq", "purge", "--id=m-a", "--id=m-b", "--yes")
		d.bury(t, request("new-0"), request("new-1"))
		if _, err := person.WriteString("yes\n"); err != nil {
			t.Error(err)
		}
	}
	if code := runWith(t.Context(), []string{"dlq", "purge", "--job=j"}, d.env, streams{program, &out, asked}, app.Deps{Dial: d.bus.Dial}); code != exitOK {
		t.Errorf("exit code %d: %s", code, asked.String())
	}
	contains(t, out.String(), "1 dead letter of terminate-requests:\n  1 deleted\n")
	var left []string
	for _, m := range d.queue.DeadLettered() {
		left = append(left, m.ID)
	}
	if !slices.Equal(left, []string{"m-new-0", "m-new-1"}) {
		t.Errorf("left: %q", left)
	}
}
