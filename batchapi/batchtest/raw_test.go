package batchtest_test

import (
	"io"
	"slices"
	"sync"
	"testing"

	"batchterminator/batchapi/batchtest"
)

func TestARawAnswerIsWhatIsWritten(t *testing.T) {
	t.Parallel()
	account, client, task := setup(t)
	account.OnNext(batchtest.Raw(func(c io.ReadWriter) { _, _ = io.WriteString(c, "HTTP/1.1 299 Odd\r\nX: y\r\n\r\nuntil the end") }))
	if got := send(t, client, "POST", task+"/terminate"+version); got.status != 299 || got.header.Get("X") != "y" || got.body != "until the end" {
		t.Errorf("%+v", got)
	}
	var closing sync.WaitGroup
	defer closing.Wait()
	account.OnNext(batchtest.Raw(func(c io.ReadWriter) {
		closing.Go(account.Close) // which waits for this fault
		_, _ = io.Copy(io.Discard, c)
	}))
	if got := send(t, client, "POST", task+"/terminate"+version); got.err == nil || account.Terminations("job", "task") != 0 {
		t.Errorf("%+v", got)
	}
}

func TestAFaultCanMeetEachNthRequest(t *testing.T) {
	t.Parallel()
	account, client, task := setup(t)
	rule := account.OnNext(batchtest.Status(503, "ServerBusy", 0), batchtest.EveryNth(3), batchtest.Times(2))
	var got []int
	for range 10 {
		got = append(got, send(t, client, "POST", task+"/terminate"+version).status)
	}
	if want := []int{204, 409, 503, 409, 409, 503, 409, 409, 409, 409}; !slices.Equal(got, want) || rule.Met() != 2 {
		t.Errorf("%v, met %d", got, rule.Met())
	}
}
