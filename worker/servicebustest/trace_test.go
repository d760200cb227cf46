package servicebustest_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest"
)

var update = flag.Bool("update", false, "rewrite the golden conversations")

// synchronous leaves out the credit of reply links: go-amqp grants it on a goroutine of its own, any time after the
// attach.
func synchronous(lines []string) string {
	kept := slices.DeleteFunc(lines, func(line string) bool {
		return strings.Contains(line, " < ") && strings.HasSuffix(line, " credit=1000")
	})
	return strings.Join(kept, "\n") + "\n"
}

// The conversations are what the official SDK says at the version in go.mod: an update of the SDK shows here first.
func TestConversationsAreTheSameEveryTime(t *testing.T) {
	for name, talk := range map[string]func(*testing.T, rig){
		"receive-complete": func(t *testing.T, r rig) {
			receiver := r.receiver(t)
			r.fill(t, 2)
			for range 2 {
				complete(t, receiver, receiveOne(t, receiver))
			}
			closeLink(t, receiver.Close)
		},
		"attach-refused": func(t *testing.T, r rig) {
			r.OnNext(servicebustest.Attach, servicebustest.Fail("com.microsoft:entity-disabled", "disabled"))
			receiver := r.receiver(t)
			if _, err := receiver.ReceiveMessages(t.Context(), 1, nil); err == nil {
				t.Error("received")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var trace servicebustest.Trace
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
				talk(t, r)
				golden := filepath.Join("testdata", "trace", name+".txt")
				got := synchronous(trace.Lines())
				if *update {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("the conversation differs (-want +got):\n%s", diff)
				}
			}, servicebustest.WithTrace(&trace))
		})
	}
}
