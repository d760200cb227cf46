package simulate

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// patience is how long nothing of the agenda may happen in real time. Much of a day takes less.
const patience = 20 * time.Second

// beat says how far a bubble has come: what happened last.
type beat struct{ last atomic.Pointer[string] }

func (b *beat) at(what string) { b.last.Store(&what) }

// standstill is virtual time that does not pass.
type standstill struct {
	after string
	// inSDK: a goroutine waits for a mutex of the SDK, and so do all others for a clock that waits for it. It says nothing
	// about the worker: in real time the holder's deadline comes.
	inSDK  bool
	stacks []byte
}

func (e *standstill) Error() string {
	if e.inSDK {
		return fmt.Sprintf("virtual time stands still after %s: a mutex of the SDK is waited for, whose holder waits for the clock", e.after)
	}
	return fmt.Sprintf("the bubble hangs after %s\n\n%s", e.after, e.stacks)
}

// inBubble runs f in virtual time. A bubble takes a test only to hang its own sub-test on, and touches no more of it than
// a zero one has; the tests of this package would show if that changed.
//
// If virtual time stands still nobody in the bubble can say so: this watches it in real time. Nothing can end such a
// bubble; its goroutines stay until the process ends.
func inBubble(f func(*beat)) error {
	b := &beat{}
	b.at("the beginning")
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				ended <- fmt.Errorf("after %s: %v\n\n%s", *b.last.Load(), p, stacks())
			}
		}()
		synctest.Test(new(testing.T), func(*testing.T) { f(b) })
		ended <- nil
	}()
	timer := time.NewTicker(patience)
	defer timer.Stop()
	for before := b.last.Load(); ; {
		select {
		case err := <-ended:
			return err
		case <-timer.C:
		}
		now := b.last.Load()
		if now == before {
			all := stacks()
			return &standstill{after: *now, inSDK: waitsInSDK(all), stacks: all}
		}
		before = now
	}
}

// stacks returns those of the goroutines in bubbles.
func stacks() []byte {
	const most = 16 << 20
	all := make([]byte, most)
	all = all[:runtime.Stack(all, true)]
	var kept [][]byte
	for stack := range bytes.SplitSeq(all, []byte("\n\n")) {
		if header, _, _ := bytes.Cut(stack, []byte("\n")); bytes.Contains(header, []byte("synctest bubble")) {
			kept = append(kept, stack)
		}
	}
	return bytes.Join(kept, []byte("\n\n"))
}

// waitsInSDK tells whether a goroutine waits for a mutex that the SDK locks, and none runs.
func waitsInSDK(stacks []byte) (waits bool) {
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		header, frames, _ := bytes.Cut(stack, []byte("\n"))
		if bytes.Contains(header, []byte("[run")) {
			return false // running or runnable: something spins
		}
		if !bytes.Contains(header, []byte("Mutex.")) {
			continue
		}
		for line := range bytes.SplitSeq(frames, []byte("\n")) {
			if bytes.HasPrefix(line, []byte("sync.")) || bytes.HasPrefix(line, []byte("internal/sync.")) || bytes.HasPrefix(line, []byte("\t")) {
				continue
			}
			waits = waits || bytes.HasPrefix(line, []byte("github.com/Azure/"))
			break // who locks it
		}
	}
	return waits
}
