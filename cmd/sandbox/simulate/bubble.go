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

const (
	// lookEvery is the real time between two looks at a bubble. Much of a day takes less.
	lookEvery = 5 * time.Second
	// patience is how long nothing of the agenda may happen in real time while goroutines of the bubble still run. It is for
	// spinning ones: an hour with many requests is long on a machine that does much else.
	patience = 5 * time.Minute
)

// beat says how far a bubble has come: what happened last.
type beat struct {
	last atomic.Pointer[string]
	name atomic.Pointer[[]byte] // of the bubble, as in the stacks of its goroutines
}

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
				ended <- fmt.Errorf("after %s: %v\n\n%s", *b.last.Load(), p, b.stacks())
			}
		}()
		synctest.Test(new(testing.T), func(*testing.T) {
			b.enter()
			f(b)
		})
		ended <- nil
	}()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	w := watch{last: b.last.Load(), since: time.Now()}
	for {
		select {
		case err := <-ended:
			return err
		case <-ticker.C:
		}
		if err := w.look(b.last.Load(), time.Now(), b.stacks); err != nil {
			return err
		}
	}
}

// watch follows a bubble from outside.
type watch struct {
	last  *string // beat
	since time.Time
	stood bool // at the last look, for a mutex of the SDK
}

// look returns a standstill when one is certain: nothing has happened, and either nothing can any more, twice in a row so
// that no moment between two steps is taken for it, or nothing has for too long.
func (w *watch) look(beat *string, now time.Time, stacks func() []byte) error {
	if beat != w.last {
		*w = watch{last: beat, since: now}
		return nil
	}
	all := stacks()
	waits := waitsInSDK(all)
	if waits && w.stood || now.Sub(w.since) >= patience {
		return &standstill{after: *beat, inSDK: waits, stacks: all}
	}
	w.stood = waits
	return nil
}

// enter is called in the bubble.
func (b *beat) enter() {
	header := make([]byte, 128)
	header = header[:runtime.Stack(header, false)]
	_, name, _ := bytes.Cut(header, []byte("synctest "))
	name, _, _ = bytes.Cut(name, []byte("]"))
	name = append(name, ']')
	b.name.Store(&name)
}

// stacks returns those of the goroutines in the bubble.
func (b *beat) stacks() []byte {
	const most = 16 << 20
	all := make([]byte, most)
	all = all[:runtime.Stack(all, true)]
	var kept [][]byte
	for stack := range bytes.SplitSeq(all, []byte("\n\n")) {
		header, _, _ := bytes.Cut(stack, []byte("\n"))
		if name := b.name.Load(); name != nil && bytes.Contains(header, *name) {
			kept = append(kept, stack)
		}
	}
	return bytes.Join(kept, []byte("\n\n"))
}

// waitsInSDK tells whether a goroutine waits for a mutex that the SDK locks, none for one of ours, and none runs.
func waitsInSDK(stacks []byte) (waits bool) {
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		header, frames, _ := bytes.Cut(stack, []byte("\n"))
		if bytes.Contains(header, []byte("[run")) {
			return false // running or runnable: something spins
		}
		if !bytes.Contains(header, []byte("Mutex.")) {
			continue
		}
		if !bytes.HasPrefix(caller(frames), []byte("github.com/Azure/")) {
			return false
		}
		waits = true
	}
	return waits
}

// caller returns the first frame outside of package sync: who locks the mutex.
func caller(frames []byte) []byte {
	for line := range bytes.SplitSeq(frames, []byte("\n")) {
		if !bytes.HasPrefix(line, []byte("sync.")) && !bytes.HasPrefix(line, []byte("internal/sync.")) && !bytes.HasPrefix(line, []byte("\t")) {
			return line
		}
	}
	return nil
}
