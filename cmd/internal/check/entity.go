package check

import (
	"context"
	"strings"

	"batchterminator/cmd/internal/app"
	"batchterminator/worker"
)

// judgeEntity is about what no worker can live with, whatever its settings.
func judgeEntity(e worker.EntitySettings) verdict {
	var ills []string
	if e.Status != "Active" {
		ills = append(ills, "its status is "+e.Status)
	}
	if e.Sessions {
		ills = append(ills, "it requires sessions, whose messages only a session's receiver gets")
	}
	if e.ForwardTo != "" {
		ills = append(ills, "it forwards its messages, so that none can be received")
	}
	switch {
	case len(ills) == 1 && e.Status == "SendDisabled":
		return warn("set the queue's status to Active", "its status is SendDisabled: neither senders nor copies get in")
	case len(ills) > 0:
		return fail("use a queue that is active, has no sessions and does not forward", "%s", strings.Join(ills, "; "))
	case e.AutoDeleteOnIdle < worker.Forever:
		return warn("take autoDeleteOnIdle off the queue", "it is deleted when nobody has used it for %s, which is what scaling to zero looks like", brief(e.AutoDeleteOnIdle))
	}
	return pass("active")
}

// fits are the checks of the entity's settings against those of the worker.
var fits = []struct {
	name  string
	judge func(app.Settings, worker.EntitySettings) verdict
}{
	{"lock-duration", judgeLock}, {"max-delivery-count", judgeDeliveries}, {"time-to-live", judgeLife}, {"duplicate-detection", judgeDuplicates},
}

func entityChecks() (names []string) {
	for _, f := range fits {
		names = append(names, f.name)
	}
	return names
}

func checkEntity(g *group, name string, s app.Settings, e entity) {
	if !e.read {
		g.skip(name, "the settings are not known", entityChecks()...)
		return
	}
	for _, f := range fits {
		g.check(f.name, name, func(context.Context) verdict { return f.judge(s, e.EntitySettings) })
	}
}

// judgeLock: lock duration × longest time to renew × longest delivery.
func judgeLock(s app.Settings, e worker.EntitySettings) verdict {
	delivery := s.Limits().Delivery
	switch {
	case s.Worker.MaxLock < delivery:
		return fail("set --max-lock (MAX_LOCK) to "+brief(delivery)+" or more", "locks are renewed for %s, and a delivery may take %s: it would lose its lock while it works", brief(s.Worker.MaxLock), brief(delivery))
	case e.LockDuration < worker.SafeLock:
		return warn("set lockDuration to PT1M", "%s: one renewal without an answer loses the lock; %s would leave time for another", brief(e.LockDuration), brief(worker.SafeLock))
	case e.LockDuration >= delivery:
		return pass("%s is longer than a delivery takes (%s); after a crash its messages wait that long", brief(e.LockDuration), brief(delivery))
	}
	return pass("%s, renewed for up to %s while a delivery takes up to %s", brief(e.LockDuration), brief(s.Worker.MaxLock), brief(delivery))
}

func judgeDeliveries(s app.Settings, e worker.EntitySettings) verdict {
	n, want := e.MaxDeliveryCount, s.Worker.MaxDeliveryCount
	switch {
	case n < 2:
		return fail("set maxDeliveryCount to 10", "%d: the death of a worker dead-letters what it holds", n)
	case n != want:
		return warn("set --max-delivery-count (MAX_DELIVERY_COUNT) to what the queue has, or the reverse", "the queue has %d and the worker goes by %d: a message that makes it panic is dead-lettered without a word, or too soon", n, want)
	case n <= worker.Unsuspected:
		return warn("set maxDeliveryCount to 10, and --max-delivery-count (MAX_DELIVERY_COUNT) too", "%d: a message that kills workers is dead-lettered before %d deaths have shown that it does", n, worker.Unsuspected)
	}
	return pass("%d, as the worker goes by", n)
}

// judgeLife: time to live against how long a request is retried.
func judgeLife(s app.Settings, e worker.EntitySettings) verdict {
	const bury = "set deadLetteringOnMessageExpiration to true"
	switch life := e.TimeToLive; {
	case life < worker.Forever && !e.DeadLetterOnExpiration:
		return fail(bury, "messages live for %s and then vanish, without a dead letter", brief(life))
	case life < s.Retry.MaxAge:
		return warn("set defaultMessageTimeToLive to more than --max-age (MAX_AGE), or that to less", "messages live for %s, and a request that fails is retried for %s: it would expire first", brief(life), brief(s.Retry.MaxAge))
	case !e.DeadLetterOnExpiration:
		return warn(bury, "a message whose sender gave it a time to live vanishes at its end, without a dead letter")
	}
	return pass("messages live for %s, and become dead letters at the end", brief(e.TimeToLive))
}

// judgeDuplicates: a copy that was sent twice because its sender died in between has the same id both times. The second one
// follows after the lock of the original has ended and it was worked on once more.
func judgeDuplicates(s app.Settings, e worker.EntitySettings) verdict {
	if s.ServiceBus.Topic != "" {
		return verdict{status: Skip, detail: "skipped because no copies are sent back to a subscription"}
	}
	least := e.LockDuration + s.Limits().Delivery
	switch {
	case !e.DuplicateDetection:
		return warn("create the queue with requiresDuplicateDetection; it cannot be switched on later", "off: a worker that dies between a copy and the completion of its original leaves both")
	case e.DuplicateWindow < least:
		return warn("set duplicateDetectionHistoryTimeWindow to PT10M", "%s, and a copy may be sent again %s later", brief(e.DuplicateWindow), brief(least))
	}
	return pass("on, over %s", brief(e.DuplicateWindow))
}
