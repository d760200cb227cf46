package worker

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

const (
	// settleTry bounds one try. It is below the SDK's first own retry, which after a lost connection tears down the healthy
	// new one.
	settleTry = 2 * time.Second
	// settleLimit bounds all tries of one settlement, or of sending one copy. Waiting for a connection is no try: who gives up
	// before the lock ends burns the delivery.
	settleLimit = 8 * time.Second
	// abandonPause is how long a request that has to come back, and cannot as a copy, is kept before it is abandoned: a
	// queue's usual ten deliveries then outlast several times sendAgain.
	abandonPause = 5 * time.Second
	// settlePause separates tries.
	settlePause = 50 * time.Millisecond
	// bareTry is the first try, of those counted from 0, that leaves out what the broker may have refused before.
	bareTry = 2
)

// settlement is how a delivery was settled, in the words of metrics.Settlements and metrics.SettleResults: "unconfirmed" when
// the lock ended after a try that went unanswered, and so probably by it, "failed" when no try was answered.
type settlement struct {
	kind, result string
	// back is when the request comes back, zero when it does not.
	back time.Time
	// copied: a copy carries the request from here on. Should the original come back, it only has to be completed.
	copied bool
	took   time.Duration // all of it, set when it is over
	err    error
}

// settle acts on d's result: once, on a context of its own, since a finished request is settled even while the worker stops.
// Then it calls then, on this goroutine or, when the SDK keeps this one, on another. The result may have changed by then: a
// request that may not come back any more is dead-lettered.
func (w *Worker) settle(d *delivery, then func(settlement)) {
	until := time.Now().Add(max(d.left, settleTry))
	switch decision := d.result.Outcome.Decision(); {
	case decision == handler.Complete:
		w.complete(d, until, then)
	case decision == handler.DeadLetter:
		w.deadLetter(d, until, then)
	case d.result.Outcome == handler.LockLost:
		then(settlement{kind: "none", result: "skipped"})
	case d.result.Outcome == handler.Panic:
		w.settlePanic(d, until, then)
	default:
		w.redeliver(d, until, then)
	}
}

func (w *Worker) complete(d *delivery, until time.Time, then func(settlement)) {
	w.settleBy(d, "complete", until, func(ctx context.Context, r receiver, m *azservicebus.ReceivedMessage, _ int) error {
		return r.CompleteMessage(ctx, m, nil)
	}, then)
}

// deadLetter moves the message with all that there is to say about it. A broker that refuses that much says so to the SDK
// alone, which keeps it to itself: when the settlement of an earlier delivery failed too, the last tries are without.
func (w *Worker) deadLetter(d *delivery, until time.Time, then func(settlement)) {
	reason, description := d.result.DeadLetterReason(), d.result.DeadLetterDescription()
	options := &azservicebus.DeadLetterOptions{Reason: &reason, ErrorDescription: &description, PropertiesToModify: map[string]any{propLedger: d.ledger(d.result, time.Now())}}
	d.inscribe(options.PropertiesToModify)
	w.settleBy(d, "dead-letter", until, func(ctx context.Context, rc receiver, m *azservicebus.ReceivedMessage, try int) error {
		if d.recalled && try >= bareTry {
			return rc.DeadLetterMessage(ctx, m, nil)
		}
		return rc.DeadLetterMessage(ctx, m, options)
	}, then)
}

// abandon hands the message back with its history, which costs it a delivery.
func (w *Worker) abandon(d *delivery, until time.Time, then func(settlement)) {
	options := &azservicebus.AbandonMessageOptions{PropertiesToModify: d.handedBack(d.result)}
	w.settleBy(d, "abandon", until, func(ctx context.Context, rc receiver, m *azservicebus.ReceivedMessage, _ int) error {
		return rc.AbandonMessage(ctx, m, options)
	}, then)
}

// lastDelivery tells whether the broker would dead-letter the message on the next failure, without a word on why.
func (w *Worker) lastDelivery(d *delivery) bool {
	return int(d.msg.DeliveryCount) >= w.config.MaxDeliveryCount
}

// settlePanic gives the message another delivery, and on the last one dead-letters it with our reason rather than the
// broker's generic one.
func (w *Worker) settlePanic(d *delivery, until time.Time, then func(settlement)) {
	if w.lastDelivery(d) {
		d.result.Outcome = handler.CrashSuspect
		w.deadLetter(d, until, then)
		return
	}
	w.abandon(d, until, then)
}

// redeliver schedules a copy and completes the original, unless policy gives the request up.
func (w *Worker) redeliver(d *delivery, until time.Time, then func(settlement)) {
	wait, r, again := w.config.Redelivery.Next(d.message, d.result, w.gates.Down(d.result.Request.Endpoint))
	if d.result = r; !again {
		w.deadLetter(d, until, then)
		return
	}
	if twin, redundant := w.twins.redundant(d); redundant { // which may have arrived while this one was at work
		d.result = twin
		w.complete(d, until, then)
		return
	}
	ctx, cancel := context.WithDeadline(w.settles, until)
	defer cancel()
	back := time.Now().Add(wait)
	sent, refused, err := w.sendCopy(ctx, d, copyOf(d, r, wait))
	switch {
	case refused && r.Outcome == handler.Isolated:
		// Abandoned it would be back at once, and again, until the queue's delivery limit: it waits for its lock to end instead.
		then(settlement{kind: "redeliver", result: "failed", err: err})
	case refused && w.lastDelivery(d):
		d.result = r.GaveUp(handler.RetriesExhausted, "no delivery is left, and no copy can be sent")
		w.deadLetter(d, until, func(s settlement) {
			s.err = cmp.Or(s.err, err)
			then(s)
		})
	case refused:
		// An abandoned message comes back at once: without a pause one minute without the right to send spends all deliveries.
		sleep(ctx, min(wait, abandonPause, time.Until(until)/2))
		w.abandon(d, until, func(s settlement) {
			s.back, s.err = time.Now(), cmp.Or(s.err, err)
			then(s)
		})
	case !sent:
		// Neither the copy nor the original is certain; the original's lock ends by itself and it comes back.
		then(settlement{kind: "redeliver", result: "failed", err: err})
	default:
		w.metrics.Redelivered(r.Outcome)
		w.demand.scheduled(r, back)
		w.complete(d, until, func(s settlement) {
			s.kind, s.back, s.copied = "redeliver", back, true
			then(s)
		})
	}
}

// settler makes one try of a settlement; tries count from 0.
type settler func(ctx context.Context, r receiver, m *azservicebus.ReceivedMessage, try int) error

// settling is a settlement on its way. One goroutine owns it at a time.
type settling struct {
	*Worker
	d     *delivery
	kind  string
	until time.Time
	call  settler
	then  func(settlement)

	try   int
	spent time.Duration // in tries
	last  error
}

// settleBy makes one settlement certain if it can: first on the link that the message came on, then by lock token over
// the management node, which works from any client.
func (w *Worker) settleBy(d *delivery, kind string, until time.Time, call settler, then func(settlement)) {
	(&settling{Worker: w, d: d, kind: kind, until: until, call: call, then: then}).run()
}

// run makes tries until one is the last. A try is made on this goroutine, which the SDK may not give back: then run goes on
// where the guard is.
func (s *settling) run() {
	for {
		c, err := s.clients.getBy(s.settles, s.until)
		if err != nil || s.spent > settleLimit {
			s.then(settlement{kind: s.kind, result: "failed", err: cmp.Or(s.last, err)})
			return
		}
		m := s.d.msg
		if s.try > 0 || c != s.d.client {
			m = &azservicebus.ReceivedMessage{LockToken: m.LockToken}
		}
		start, try := time.Now(), s.try // the guard may own s before the call comes back
		s.metrics.Operation(s.kind)
		k := &sdkCall{client: c, hung: func() {
			if !s.ends(c, start, errHung) {
				s.run()
			}
		}}
		_, err, inTime := guard(k, min(settleTry, s.until.Sub(start)), func(ctx context.Context) (struct{}, error) {
			return struct{}{}, s.call(ctx, c.receiver, m, try)
		})
		if !inTime || s.ends(c, start, err) {
			return
		}
	}
}

// ends judges a try, and tells whether it was the last.
func (s *settling) ends(c *client, start time.Time, err error) bool {
	result := settlement{kind: s.kind}
	switch {
	case err == nil:
		s.ready.observeTrip(time.Since(start))
		result.result = "ok"
	case lockLost(err) && s.last == nil:
		result.result, result.err = "lock_lost", err
	case lockLost(err):
		// An earlier try went unanswered: the lock may be gone because that one worked.
		result.result, result.err = "unconfirmed", s.last
	default:
		s.failed(c, start, err)
		return false
	}
	s.then(result)
	return true
}

// failed prepares for the next try.
func (s *settling) failed(c *client, start time.Time, err error) {
	s.try++
	if errors.Is(err, errReplaced) { // it reached nobody
		return
	}
	if cut := s.try == 1 || !time.Now().Before(s.until) || s.settles.Err() != nil; !idle(err) || !cut { // a try that our own end cuts short says nothing about the client
		c.fail("settle", err)
	}
	s.last = err
	sleep(s.settles, settlePause)
	s.spent += time.Since(start)
}
