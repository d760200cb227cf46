package simulate

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const (
	waitingInSDK = `goroutine 7 [sync.RWMutex.RLock, synctest bubble 3]:
sync.runtime_SemacquireRWMutexR(0x1)
	/usr/local/go/src/runtime/sema.go:100 +0x25
sync.(*RWMutex).RLock(...)
	/usr/local/go/src/sync/rwmutex.go:74
github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/internal.(*AMQPLinksImpl).Get(0x1)
	/amqpLinks.go:299 +0x71`
	holdingIt = "goroutine 8 [select (durable), synctest bubble 3]:\ngithub.com/Azure/go-amqp.(*link).closeLink.func1()"
	runs      = "goroutine 9 [runnable, synctest bubble 3]:\nbatchterminator/worker.(*pump).wait()"
	oursWaits = "goroutine 10 [sync.Mutex.Lock, synctest bubble 3]:\nsync.(*Mutex).Lock(...)\nbatchterminator/worker.(*clients).get(0x1)"
)

// A run that ends as a standstill of the SDK is left out of the count, so nothing else may pass for one: not a busy machine,
// not a moment between two steps, not a mutex of ours.
func TestStandstillIsTheSDKsOnlyIfNothingElseCanMove(t *testing.T) {
	t.Parallel()
	join := func(stacks ...string) []byte { return []byte(strings.Join(stacks, "\n\n")) }
	still := func(inSDK bool) *standstill { return &standstill{inSDK: inSDK} }
	for name, c := range map[string]struct {
		looks [][]byte // at a bubble in which nothing has happened
		last  time.Duration
		want  *standstill
	}{
		"a mutex of the SDK, once":               {looks: [][]byte{join(waitingInSDK, holdingIt)}},
		"a mutex of the SDK, twice":              {looks: [][]byte{join(waitingInSDK, holdingIt), join(waitingInSDK, holdingIt)}, want: still(true)},
		"something ran in between":               {looks: [][]byte{join(waitingInSDK), join(waitingInSDK, runs), join(waitingInSDK)}},
		"a busy machine":                         {looks: [][]byte{join(runs), join(runs), join(runs)}, last: patience - time.Second},
		"something spins":                        {looks: [][]byte{join(waitingInSDK, runs)}, last: patience, want: still(false)},
		"a mutex of ours":                        {looks: [][]byte{join(oursWaits), join(oursWaits)}, last: patience, want: still(false)},
		"a mutex of ours, and one of the SDK's":  {looks: [][]byte{join(oursWaits, waitingInSDK), join(waitingInSDK, oursWaits)}},
		"all wait for the clock, between steps":  {looks: [][]byte{join(holdingIt), join(holdingIt)}},
		"all wait for the clock, and never stop": {looks: [][]byte{join(holdingIt)}, last: patience, want: still(false)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			what, began := "3h a worker starts", time.Now()
			w := watch{last: &what, since: began}
			var err error
			for i, look := range c.looks {
				at := began.Add(time.Duration(i+1) * time.Second)
				if i == len(c.looks)-1 {
					at = began.Add(max(c.last, at.Sub(began)))
				}
				err = w.look(&what, at, func() []byte { return look })
			}
			got, ok := errors.AsType[*standstill](err)
			if ok != (c.want != nil) || ok && got.inSDK != c.want.inSDK {
				t.Errorf("got %v, want %+v", err, c.want)
			}
		})
	}
}

func TestProgressEndsEverySuspicion(t *testing.T) {
	t.Parallel()
	before, after, began := "one", "two", time.Now()
	w := watch{last: &before, since: began}
	stood := func() []byte { return []byte(waitingInSDK) }
	for i, beat := range []*string{&before, &after, &after} {
		if err := w.look(beat, began.Add(time.Duration(i)*time.Second), stood); err != nil {
			t.Errorf("look %d: %v", i, err)
		}
	}
	if err := w.look(&after, began.Add(4*time.Second), stood); err == nil {
		t.Error("no standstill although it was seen twice")
	}
}
