package worker

import (
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// Found by review: a purge by age took a dead letter for as old as its request, which had waited for long, and expired just now.
func TestDeadSinceIsTheExpiryOfWhatExpired(t *testing.T) {
	t.Parallel()
	now := time.Now()
	enqueued, expired := now.Add(-240*time.Hour), now.Add(-time.Minute)
	recorded := []LedgerEntry{{At: now.Add(-2 * time.Hour), What: "throttled/4"}}
	for name, c := range map[string]struct {
		s    Stored
		want time.Time
	}{
		"expired":                         {Stored{Reason: expiredByBroker, ExpiresAt: expired}, expired},
		"expired as a copy":               {Stored{Reason: expiredByBroker, ExpiresAt: expired, Ledger: recorded}, expired},
		"with a time that is to come":     {Stored{Reason: expiredByBroker, ExpiresAt: now.Add(time.Hour)}, enqueued},
		"without a time to live":          {Stored{Reason: expiredByBroker}, enqueued},
		"dead-lettered for another cause": {Stored{Reason: "refused", ExpiresAt: expired, Ledger: recorded}, recorded[0].At},
	} {
		c.s.EnqueuedAt = enqueued
		equal(t, name, c.s.DeadSince().Equal(c.want), true)
	}
}

func TestStoredTellsOfABodyThatHoldsNoBytes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body azservicebus.AMQPAnnotatedMessageBody
		want bool
	}{
		"none": {}, "bytes": {body: azservicebus.AMQPAnnotatedMessageBody{Data: [][]byte{{1}}}}, "text": {body: azservicebus.AMQPAnnotatedMessageBody{Value: "x"}},
		"a map":      {azservicebus.AMQPAnnotatedMessageBody{Value: map[string]any{"a": 1}}, true},
		"a sequence": {azservicebus.AMQPAnnotatedMessageBody{Sequence: [][]any{{1}}}, true},
	} {
		m := message("a", 1)
		m.Body, m.RawAMQPMessage = nil, &azservicebus.AMQPAnnotatedMessage{Body: c.body}
		equal(t, name, newStored(m).OtherBody, c.want)
	}
}
