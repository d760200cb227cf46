package worker

// How a client comes up: dialled, let in, and proven by one caller before others may use it.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

const (
	// warmLimit bounds dialling, authentication and the first round trips of a new client.
	warmLimit = 15 * time.Second
	// warmSilent is how long the broker may say nothing to a new client, which waits for an answer all the time: one that was
	// lost must not take the time that a lock has left.
	warmSilent = 5 * time.Second
)

// open dials and warms a client with this one caller.
func (s *clients) open(ctx context.Context) (*client, error) {
	conn, err := s.connect()
	if err != nil {
		return nil, err
	}
	c := newClient(conn, &s.stuck, s.count)
	ctx, heard := c.whileHeard(ctx)
	defer heard()
	s.metrics.Operation("probe")
	if err := c.probe(ctx, warmLimit); err != nil {
		err = unheard(ctx, err)
		c.fail("connect", err)
		return c, err
	}
	if err := c.askToSend(ctx); err != nil {
		err = unheard(ctx, err)
		c.fail("connect", err)
		return c, err
	}
	return c, nil
}

var errUnheard = fmt.Errorf("the broker has said nothing for %v while it was asked", warmSilent)

// whileHeard returns a context that ends when the broker is silent for too long on a connection that there is.
func (c *client) whileHeard(ctx context.Context) (heard context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if c.arrived == nil {
		return ctx, func() { cancel(nil) }
	}
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(warmSilent / 10)
		defer tick.Stop()
		last, since := c.arrived(), time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if n := c.arrived(); n == 0 || n != last { // dialling has bounds of its own
				last, since = n, time.Now()
			}
			if time.Since(since) >= warmSilent {
				cancel(errUnheard)
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		watch.Wait()
	}
}

// unheard is the better reason for a failure, if there is one.
func unheard(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errUnheard) {
		return cause
	}
	return err
}

// askToSend finds out whether copies can be sent. A refusal is an answer, not an error. Nobody else may use the sender.
func (c *client) askToSend(ctx context.Context) error {
	if c.sender == nil {
		return nil
	}
	_, err := do(ctx, c, warmLimit, func(ctx context.Context) (*azservicebus.MessageBatch, error) {
		return c.sender.NewMessageBatch(ctx, nil)
	})
	c.canSend.Store(err == nil)
	if refusesSend(err) {
		return nil
	}
	return err
}
