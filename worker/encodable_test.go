package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

const latin1 = "Grundst\xfcck" // not UTF-8

// Found by review: what a client of another kind wrote into a property ended one client of ours after the other, at each try to
// send the copy.
func TestCopyHoldsNoStringThatCannotBeSent(t *testing.T) {
	t.Parallel()
	m := arrived()
	raw := m.RawAMQPMessage
	subject := latin1
	raw.Properties.Subject, raw.Properties.CorrelationID = &subject, latin1
	raw.ApplicationProperties = map[string]any{"site": latin1, latin1: int64(1), "fine": "Grundstück"}
	raw.MessageAnnotations = map[any]any{"x-opt-partition-key": latin1}
	m.ApplicationProperties = raw.ApplicationProperties
	c := copyOf(newDelivery(nil, m), handler.Result{Outcome: handler.Draining}, 0)
	if err := unsendable(c); err != nil {
		t.Errorf("the copy cannot be sent: %v", err)
	}
	const legible = "Grundst\ufffdck"
	equal(t, "what it holds", []any{*c.Properties.Subject, c.Properties.CorrelationID, c.ApplicationProperties["site"], c.ApplicationProperties[legible],
		c.ApplicationProperties["fine"], c.MessageAnnotations["x-opt-partition-key"]}, []any{legible, legible, legible, int64(1), "Grundstück", legible})
	equal(t, "what the original holds", []any{*raw.Properties.Subject, raw.ApplicationProperties["site"], raw.ApplicationProperties[latin1]}, []any{latin1, latin1, int64(1)})
}

// A copy carries the request's identity, and all deliveries have to agree on it.
func TestIdentityIsText(t *testing.T) {
	t.Parallel()
	for _, m := range []*azservicebus.ReceivedMessage{
		message(latin1, 1), {MessageID: "m", ApplicationProperties: map[string]any{propRequestID: latin1}},
	} {
		d := newDelivery(nil, m)
		c := copyOf(d, handler.Result{Outcome: handler.Draining}, 0)
		if err := unsendable(c); err != nil {
			t.Errorf("the copy cannot be sent: %v", err)
		}
		again := newDelivery(nil, &azservicebus.ReceivedMessage{ApplicationProperties: c.ApplicationProperties})
		equal(t, "identity of the copy", again.message.RequestIdentity, d.message.RequestIdentity)
	}
}

// What cannot be mended is handed back without a try.
func TestCopyThatCannotBeSentEndsNoClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := arrived()
		m.RawAMQPMessage.Body = azservicebus.AMQPAnnotatedMessageBody{Value: latin1}
		m.Body = nil
		queue := newScripted(m)
		r := run(t, queue, always(handler.JobDisabled))
		time.Sleep(time.Minute)
		equal(t, "operations", queue.operations(), []string{"abandon " + m.MessageID})
		equal(t, "clients", queue.clientsMade(), 1)
		r.end()
	})
}
