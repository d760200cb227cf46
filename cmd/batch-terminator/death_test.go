//go:build unix

package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// P10: a process that is killed writes nothing on the message that it had; those after it make up for that. The message
// was set apart after two deaths, and the fourth process finishes it all the same.
//
// Scorecard: S2, F18.
func TestChainOnTheMessageTellsOfKilledProcesses(t *testing.T) {
	t.Parallel()
	s := newSite(t, servicebustest.QueueConfig{})
	s.send(t, "a")
	const deaths = 3
	for i := range deaths {
		hang := s.account.OnNext(batchtest.Hang())
		r := s.start(t)
		eventually(t, fmt.Sprintf("call %d", i+1), func() bool { return hang.Met() == 1 })
		r.kill(t)
	}
	s.account.OnNext(batchtest.Status(http.StatusBadRequest, "InvalidPropertyValue", 0))
	last := s.start(t)
	s.until(t, "the dead letter", func(c servicebustest.Counts) bool { return c.DeadLettered == 1 && empty(c) })
	last.stop(t)
	dead := s.queue.DeadLettered()[0]
	chain := fmt.Sprint(dead.Properties["bt-ledger"])
	if want := regexp.MustCompile(`^unrecorded; unrecorded; \S+Z isolated/0; unrecorded; \S+Z refused/1$`); !want.MatchString(chain) || strings.Count(chain, "unrecorded") != deaths {
		t.Errorf("chain %q after %d deaths; want %v", chain, deaths, want)
	}
	if dead.Reason != "InvalidPropertyValue" || dead.Properties["bt-request-id"] != "a" {
		t.Errorf("dead-lettered for %q as the request %v; want Batch's own code for it", dead.Reason, dead.Properties["bt-request-id"])
	}
	if n := s.count(servicebustest.EventLockExpired); n != deaths {
		t.Errorf("%d burned deliveries, want one for each death", n)
	}
}
