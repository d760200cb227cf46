package worker

// How a dead letter comes back: as a copy with its body and properties, of which it keeps the request's identity and
// history, and loses what would make it end at once as it ended before.
//
// Copy, then complete, as redeliver.go has it, and for the same reason a crash between the two leaves both. The copy says
// which dead letter it comes from, so that a later run that sees it only has to take the dead letter out; its message id
// follows from that, so that duplicate detection, where the queue has it, drops a second one even when the first has been
// worked on already. Without it such a request is worked on twice: the second call finds its task ended.

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/google/uuid"
)

// resubmitted is the ledger's entry for it.
const resubmitted = "resubmitted"

// stale are the application properties that a dead letter does not take back with it: why it is one, and what counts
// towards its end. Its age, too, counts from now on.
var stale = []string{"DeadLetterReason", "DeadLetterErrorDescription", propAccounted, propSuspect, propRedeliveries, propFirstEnqueued, propOrigin}

// mark names the dead letter, by what stays with it as long as it is there.
func (d *delivery) mark() string {
	return strconv.FormatInt(d.sequence(), 10) + "@" + valueOf(d.msg.EnqueuedTime).UTC().Format(time.RFC3339Nano)
}

// resubmission returns the message that takes the place of the dead letter d. The time to live begins anew, with 0 as the
// queue's default: what is left of the old one would end it.
func resubmission(d *delivery, ttl time.Duration) *azservicebus.AMQPAnnotatedMessage {
	c := d.clone()
	c.Properties.MessageID = uuid.NewSHA1(copyNamespace, []byte(d.message.RequestIdentity+"\n"+d.mark())).String()
	c.Properties.AbsoluteExpiryTime, c.Properties.CreationTime = nil, nil
	c.Header.TTL = ttl
	properties := c.ApplicationProperties
	for _, name := range stale {
		delete(properties, name)
	}
	properties[propRequestID] = d.message.RequestIdentity
	properties[propResubmissions] = int64(count(d.msg, propResubmissions) + 1)
	properties[propDeadLetter] = d.mark()
	properties[propLedger] = extend(properties[propLedger], time.Now().UTC().Format(time.RFC3339)+" "+resubmitted)
	return c
}

// fingerprint is what a copy and its dead letter have in common beside the mark: nobody can end a request by sending
// something else under its mark.
func fingerprint(d *delivery) [sha256.Size]byte {
	return sha256.Sum256(append([]byte(d.message.RequestIdentity+"\n"), d.message.Body...))
}

// send sends the copy of w, once: a try that goes unanswered is looked for before the next one.
func (r *errand) send(ctx context.Context, w *wanted, m *azservicebus.AMQPAnnotatedMessage) error {
	if err := unsendable(m); err != nil {
		return fmt.Errorf("the dead letter with sequence number %d cannot be sent again, as a body or footer of its kind cannot be written; leave it out: %w", w.sequence, err)
	}
	for refusals := 0; ; {
		c, err := r.line.get(ctx)
		if err != nil {
			return err
		}
		if !c.canSend.Load() {
			return fmt.Errorf("%s takes no messages: grant the role Azure Service Bus Data Sender on it, and see that it is neither disabled nor full", r.to)
		}
		_, err = do(ctx, c, sendLimit, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, c.sender.SendAMQPAnnotatedMessage(ctx, m, nil)
		})
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errReplaced):
			continue // it reached nobody
		case refusesSend(err) && (refusals > 0 || !detached(err)):
			return fmt.Errorf("%s refuses the message: %w", r.to, err)
		case refusesSend(err):
			refusals++
		}
		c.fail("settle", err)
		if err := r.findCopies(ctx); err != nil {
			return err
		}
		if r.wasSent(w) {
			return nil
		}
		sleep(ctx, settlePause)
	}
}

// findCopies looks for copies of the wanted dead letters where they would be. One look at a time serves all who wait.
func (r *errand) findCopies(ctx context.Context) error {
	if r.target == nil {
		return nil
	}
	r.looking.Lock()
	defer r.looking.Unlock()
	walk, err := each(ctx, r.target, 0, r.Look, func(m *azservicebus.ReceivedMessage) bool {
		r.recognize(m)
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.TargetSeen, r.tally.TargetComplete = walk.Seen, walk.Complete
	if err != nil {
		return fmt.Errorf("look for copies in %s: %w", r.to, err)
	}
	return nil
}

// recognize notes that a message is the copy of a dead letter, or came of it.
func (r *errand) recognize(m *azservicebus.ReceivedMessage) {
	mark, _ := m.ApplicationProperties[propDeadLetter].(string)
	r.mu.Lock()
	w := r.byMark[mark]
	r.mu.Unlock()
	if w == nil || fingerprint(newDelivery(nil, m)) != w.print {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w.earlier = w.earlier || !w.sending
	w.sent = true
}

func (r *errand) wasSent(w *wanted) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return w.sent
}
