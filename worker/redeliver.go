package worker

// Delayed redelivery: a copy of the message is scheduled for later, then the original is completed. It costs no delivery,
// whereas an abandoned message comes back at once and is dead-lettered by the broker after a few rounds.
//
// Copy, then complete, is at-least-once: Service Bus gives the Go SDK no transactions. A crash between the two leaves both.
// The copy's message id is derived from the request, its original and its number, so that duplicate detection, where the queue
// has it, drops a twin; twins.go collapses those that this worker can know of; and every call is idempotent anyway.

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

// sendLimit bounds one try to send a copy. It leaves a settlement the time to complete the original, and is long, since a
// copy that is sent again for want of an answer may be there twice.
const sendLimit = 6 * time.Second

// Annotations of the original that the copy keeps; the others are the broker's own.
var keptAnnotations = []string{"x-opt-partition-key", "x-opt-via-partition-key"}

const scheduledEnqueueTime = "x-opt-scheduled-enqueue-time"

// copyOf returns the message that takes d's place after wait: same body and properties, the request's history added.
func copyOf(d *delivery, r handler.Result, wait time.Duration) *azservicebus.AMQPAnnotatedMessage {
	now := time.Now()
	number := d.message.Redeliveries + 1
	c := d.clone()
	c.Properties.MessageID = d.copyID(number)
	if !d.message.ExpiresAt.IsZero() {
		// The broker counts a scheduled message's time to live from its activation: what remains then is what is left of it.
		// On the wire it is whole milliseconds in 32 bits, 0 for none; two clocks that disagree must not overflow it.
		c.Header.TTL = min(max(d.message.ExpiresAt.Sub(now.Add(wait)), time.Millisecond), *d.msg.TimeToLive)
	}
	if wait > 0 {
		c.MessageAnnotations[scheduledEnqueueTime] = now.Add(wait).UTC()
	}
	properties := c.ApplicationProperties
	properties[propRequestID] = d.message.RequestIdentity
	properties[propRedeliveries] = int64(number)
	properties[propAttempts] = int64(d.message.Attempts + r.Attempts)
	properties[propOrigin] = d.origin()
	properties[propFirstEnqueued] = d.message.FirstEnqueued.UTC().Format(time.RFC3339Nano)
	properties[propLedger] = d.ledger(r, now)
	d.inscribe(properties)
	delete(properties, propAccounted) // the copy has had no delivery yet
	delete(properties, propSuspect)
	if n := d.suspicionAfter(r); n > 0 {
		properties[propSuspect] = int64(n)
	}
	return c
}

// clone returns a message with d's body and properties, and nothing that the broker or its delivery put there.
func (d *delivery) clone() *azservicebus.AMQPAnnotatedMessage {
	original := d.raw()
	c := &azservicebus.AMQPAnnotatedMessage{
		Body:                  original.Body,
		Footer:                original.Footer,
		ApplicationProperties: maps.Clone(original.ApplicationProperties),
		MessageAnnotations:    map[any]any{},
		Properties:            &azservicebus.AMQPAnnotatedMessageProperties{},
		Header:                &azservicebus.AMQPAnnotatedMessageHeader{Durable: true},
	}
	if original.Properties != nil {
		*c.Properties = *original.Properties
	}
	if original.Header != nil {
		c.Header.Durable, c.Header.Priority = original.Header.Durable, original.Header.Priority
	}
	for _, key := range keptAnnotations {
		if v, ok := original.MessageAnnotations[key]; ok {
			c.MessageAnnotations[key] = v
		}
	}
	if c.ApplicationProperties == nil {
		c.ApplicationProperties = map[string]any{}
	}
	legible(c)
	return c
}

// raw returns the message as it came over the wire, or as a scripted receiver made it.
func (d *delivery) raw() *azservicebus.AMQPAnnotatedMessage {
	if d.msg.RawAMQPMessage != nil {
		return d.msg.RawAMQPMessage
	}
	return &azservicebus.AMQPAnnotatedMessage{
		Body:                  azservicebus.AMQPAnnotatedMessageBody{Data: [][]byte{d.msg.Body}},
		ApplicationProperties: d.msg.ApplicationProperties,
		Properties: &azservicebus.AMQPAnnotatedMessageProperties{
			ContentType: d.msg.ContentType, Subject: d.msg.Subject, To: d.msg.To, ReplyTo: d.msg.ReplyTo,
			GroupID: d.msg.SessionID, ReplyToGroupID: d.msg.ReplyToSessionID,
		},
	}
}

// sendCopy sends the copy, trying again on another client until ctx ends. It reports whether the broker took it; refused
// means that another try would not help.
func (w *Worker) sendCopy(ctx context.Context, d *delivery, m *azservicebus.AMQPAnnotatedMessage) (sent, refused bool, err error) {
	if err := unsendable(m); err != nil {
		return false, true, err
	}
	var spent time.Duration // in tries
	for refusals := 0; ; {
		c, getErr := w.clients.get(ctx)
		if getErr != nil || spent > settleLimit {
			return false, false, cmp.Or(err, getErr)
		}
		if !c.canSend.Load() {
			return false, true, nil
		}
		start := time.Now()
		w.metrics.Operation("schedule")
		_, err = do(ctx, c, sendLimit, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, c.sender.SendAMQPAnnotatedMessage(ctx, m, nil)
		})
		switch {
		case err == nil:
			return true, false, nil
		case refusesSend(err) && (refusals > 0 || !detached(err)):
			return false, true, err
		case refusesSend(err):
			// The link was detached, perhaps long ago, and the SDK keeps it: every later send would fail with the same words.
			refusals++
			c.fail("settle", err)
		case !errors.Is(err, errReplaced):
			w.twins.suspect(d)
			if !idle(err) || ctx.Err() == nil { // a try that our own end cuts short says nothing about the client
				c.fail("settle", err)
			}
		}
		sleep(ctx, settlePause)
		spent += time.Since(start)
	}
}
