package batchtest

import "testing"

func TestTheCallLogDoesNotGrowWithTheCalls(t *testing.T) {
	t.Parallel()
	log := callLog{limit: 10}
	for range 1000 {
		log.add(Call{Stray: true})
		if len(log.calls) > 2*log.limit || len(log.strays) > 2*log.limit {
			t.Fatalf("%d calls and %d strays are held", len(log.calls), len(log.strays))
		}
	}
	if log.total != 1000 || len(latest(log.calls, log.limit)) != log.limit {
		t.Errorf("total %d, latest %d", log.total, len(latest(log.calls, log.limit)))
	}
}
