package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"batchterminator/handler"
)

// A sender's link that ended while nobody sent, by itself or with its session or connection, says so at the next send,
// hours later perhaps, and at every one after it: that is no answer to this copy.
func TestEndedSenderIsReplaced(t *testing.T) {
	t.Parallel()
	full := &amqp.Error{Condition: amqp.ErrCondResourceLimitExceeded}
	for name, ended := range map[string]error{
		"unauthorized link": &amqp.LinkError{RemoteErr: &amqp.Error{Condition: amqp.ErrCondUnauthorizedAccess}},
		"link":              &amqp.LinkError{RemoteErr: full},
		"session":           &amqp.SessionError{RemoteErr: full},
		"connection":        &amqp.ConnError{RemoteErr: full},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted(messages(1)...)
				queue.before = func(_ context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op == "send" && queue.clientsMade() == 1 {
						return ended
					}
					return nil
				}
				r := run(t, queue, always(handler.JobDisabled))
				time.Sleep(10 * time.Second)
				r.end()
				equal(t, "operations", queue.operations(), []string{"copy m0", "complete m0"})
				equal(t, "clients", queue.clientsMade(), 2)
			})
		})
	}
}
