package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/handler"
)

func TestSlotIsFreeBeforeTheSettlement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(4)...)
		queue.before = func(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error {
			if op == "complete" {
				time.Sleep(time.Second)
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated), func(c *Config) { c.Concurrency = 2 })
		time.Sleep(1500 * time.Millisecond)
		equal(t, "settled while two slots were settling slowly", len(queue.operations()), 3)
		r.end()
	})
}

func TestSettlementIsTriedAgainByLockToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		queue := newScripted(messages(1)...)
		var tries []bool // whether the try carried more than the token
		queue.before = func(ctx context.Context, op string, m *azservicebus.ReceivedMessage) error {
			if op == "complete" {
				if tries = append(tries, m.MessageID != ""); len(tries) == 1 {
					return errors.New("link detached")
				}
			}
			return nil
		}
		r := run(t, queue, always(handler.Terminated))
		time.Sleep(time.Minute)
		r.end()
		equal(t, "tries", tries, []bool{true, false})
		equal(t, "operations", queue.operations(), []string{"complete m0"})
		equal(t, "clients", queue.clientsMade(), 2)
	})
}
