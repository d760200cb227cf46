package worker

// Messages that kill the process. A panic stays with its message (process.go); exhausted memory and the runtime's fatal
// errors end the process, and every message that it holds returns with its delivery count raised and its end unrecorded
// (ledger.go). Which of them did it shows only when each runs alone.
//
// Nor is an unrecorded end proof of a death: a message that is lost on the wire, or whose lock another replica lost, looks
// the same. An outage must never end in the dead-letter queue (promise P4), so evidence is taken in steps:
//
//   - After aloneAt unrecorded deliveries a copy takes the message's place. The copy says so in bt-suspect, its delivery
//     count starts anew, and whoever receives it runs it alone: intake stops, everything else of that worker ends first. No
//     worker holds two of them; one that comes too early goes back as another copy, at no cost.
//   - Unrecorded deliveries of such a copy count, if the process that sees them started after the copy was enqueued. One that
//     has been running all the time has not died of it: however often connections are cut, without a restart there is no
//     evidence. Of several replicas the first that has restarted decides. (The two times are of two clocks; between one
//     that is wrong and a false verdict stand three deliveries lost in a row.)
//   - After enough of those to make crashSuspectAt the message is dead-lettered. One attempt that it survives clears it.
//
// The lane gives way: after each message intake goes on for at least as long as that one took.
//
// Without the right to send there are no copies, so nothing is suspected: such messages run among the others until the
// queue's own delivery limit ends them.

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"batchterminator/handler"
)

const (
	// aloneAt is after how many unrecorded deliveries a message runs alone.
	aloneAt = 2
	// crashSuspectAt is after how many it is dead-lettered: three deaths while nothing else was under way. A node that is
	// killed again and again for another reason would have to hit the same message's turn three times.
	crashSuspectAt = aloneAt + 3
	// apart is the time over which messages that are to run alone come back, so that those of one death do not meet again.
	apart = 10 * time.Second
	// clearing is how long such a message waits for the others: its own unrecorded end would say nothing meanwhile.
	clearing = 10 * time.Second
)

// setApart tells whether the message is a copy that is to run alone.
func (d *delivery) setApart() bool { return d.suspicion >= aloneAt && d.client.canSend.Load() }

// weigh adds the evidence of unrecorded deliveries to what the message says.
func (w *Worker) weigh(d *delivery) {
	d.suspicion = count(d.msg, propSuspect)
	d.suspected = d.suspicion
	switch {
	case d.suspicion < aloneAt: // it ran among others, which is evidence for running alone and for no more
		d.suspected = min(d.suspicion+d.unrecorded, aloneAt)
	case d.msg.EnqueuedTime != nil && w.born.After(*d.msg.EnqueuedTime):
		d.suspected += d.unrecorded
	}
}

// suspicionAfter is what the message says from here on: an attempt that the process survived clears it.
func (d *delivery) suspicionAfter(r handler.Result) int {
	if r.Attempts > 0 {
		return 0
	}
	return d.suspected
}

// suspect decides about a message that was there when processes died. It returns false when the message may be handled:
// it is not suspected, or it is alone now.
func (w *Worker) suspect(ctx context.Context, d *delivery) (handler.Result, bool) {
	if d.suspected == 0 && d.unrecorded == 0 || !d.client.canSend.Load() {
		return handler.Result{}, false
	}
	last := w.lastDelivery(d)
	switch {
	case d.unrecorded > 0 && d.suspected >= crashSuspectAt:
		return handler.Result{Outcome: handler.CrashSuspect, Detail: fmt.Sprintf(
			"%d deliveries in a row have no recorded end, at least %d of them with nothing else under way", d.suspected, crashSuspectAt-aloneAt)}, true
	case d.unrecorded > 0 && last:
		return goesBack("nobody recorded the end of earlier deliveries, and after this one the queue's limit would end it"), true
	case d.suspected < aloneAt:
		return handler.Result{}, false
	case !d.setApart():
		return goesBack("nobody recorded the end of earlier deliveries; it comes back to run alone"), true
	case d.alone == nil:
		return goesBack("it is to run alone, and another message does or did just now"), true
	}
	limit := time.NewTimer(clearing)
	defer limit.Stop()
	select {
	case <-d.alone:
		return handler.Result{}, false
	case <-limit.C:
		return goesBack("it is to run alone, and others are still under way"), true
	case <-ctx.Done():
		return interrupted(ctx), true
	}
}

func goesBack(why string) handler.Result {
	return handler.Result{Outcome: handler.Isolated, Detail: why, RetryAfter: rand.N(apart)}
}

// lane lets one message have the worker to itself.
type lane struct {
	wake func() // the receive loop, once intake goes on

	mu      sync.Mutex
	open    int           // deliveries under way, under mu
	claimed time.Time     // since when one has the lane, zero for none; under mu
	rests   time.Time     // nobody gets it before, under mu
	empty   chan struct{} // closed when only the claimant is left, nil after that; under mu
}

// enter counts messages in that arrived together, before any of them starts.
func (l *lane) enter(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open += n
}

// claim gives the lane to the caller, one of those under way, unless it is taken or rests. The channel is closed when the
// others have ended. It is called as messages are taken in, while no receive is under way but one that had hung.
func (l *lane) claim() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.claimed.IsZero() || now.Before(l.rests) {
		return nil
	}
	alone := make(chan struct{})
	l.claimed, l.empty = now, alone
	l.tell()
	return alone
}

// leave counts a delivery out; claimant gives the lane back.
func (l *lane) leave(claimant bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if !claimant {
		l.tell()
		return
	}
	now := time.Now()
	l.rests = now.Add(now.Sub(l.claimed))
	l.claimed, l.empty = time.Time{}, nil
	l.wake()
}

// tell is called with mu held.
func (l *lane) tell() {
	if l.empty != nil && l.open == 1 {
		close(l.empty)
		l.empty = nil
	}
}

// taken tells whether intake has to wait.
func (l *lane) taken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.claimed.IsZero()
}
